use std::path::Path;

use proptest::prelude::*;

use super::*;

fn normalise(step: &Normalise, tensor: Tensor) -> Result<Tensor, Fault> {
    Ok(step.build().unwrap().apply(vec![tensor])?.remove(0))
}

fn image_net(channels: ChannelOrder) -> Normalise {
    Normalise {
        scale: 1.0 / 255.0,
        mean: PerChannel::Each(vec![0.485, 0.456, 0.406]),
        std: PerChannel::Each(vec![0.229, 0.224, 0.225]),
        channels,
        ..Normalise::default()
    }
}

/// `numbers.json` holds what numpy computes in float32.
fn reference(key: &str) -> Vec<f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/numbers.json");
    let reference: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    reference[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn images_are_normalised_to_the_bit_as_numpy_does() {
    let pixels: Vec<u8> = reference("pixels").iter().map(|value| *value as u8).collect();
    let expect: Vec<f32> = reference("normalised").iter().map(|value| *value as f32).collect();
    let shape = [2u64, 4, 3, 3];
    let bytes = Tensor::from_elements("image", shape, &pixels).unwrap();
    let floats: Vec<f32> = pixels.iter().map(|byte| f32::from(*byte)).collect();
    let floats = Tensor::from_elements("image", shape, &floats).unwrap();
    for tensor in [bytes, floats] {
        let normalised = normalise(&image_net(ChannelOrder::Hwc), tensor).unwrap();
        assert_eq!((normalised.datatype(), normalised.shape()), (Datatype::Fp32, &shape[..]));
        assert_eq!(normalised.elements::<f32>().unwrap(), expect);
    }
}

#[test]
fn planes_are_normalised_too() {
    let pixels: Vec<u8> = reference("pixels").iter().map(|value| *value as u8).collect();
    let planes: Vec<u8> = (0..2)
        .flat_map(|image| {
            (0..3).flat_map(move |channel| (0..12).map(move |pixel| (image * 12 + pixel) * 3 + channel))
        })
        .map(|at: usize| pixels[at])
        .collect();
    let expect: Vec<f32> = reference("normalised_planes").iter().map(|value| *value as f32).collect();
    let tensor = Tensor::from_elements("image", [2u64, 3, 4, 3], &planes).unwrap();
    let normalised = normalise(&image_net(ChannelOrder::Chw), tensor).unwrap();
    assert_eq!(normalised.elements::<f32>().unwrap(), expect);
}

#[test]
fn one_mean_fits_every_shape() {
    let step = Normalise {
        scale: 2.0,
        mean: PerChannel::All(1.0),
        std: PerChannel::All(0.5),
        ..Normalise::default()
    };
    let normalised = normalise(&step, Tensor::from_elements("x", [3u64], &[0i64, 1, -1]).unwrap()).unwrap();
    assert_eq!(normalised.elements::<f32>().unwrap(), [-2.0, 2.0, -6.0]);
    let scalar = normalise(&step, Tensor::from_elements("x", [], &[1.0f64]).unwrap()).unwrap();
    assert_eq!((scalar.shape().len(), scalar.elements::<f32>().unwrap()), (0, vec![2.0]));
}

#[test]
fn one_number_goes_with_a_list() {
    let step = Normalise {
        mean: PerChannel::All(1.0),
        std: PerChannel::Each(vec![1.0, 2.0]),
        ..Normalise::default()
    };
    let normalised = normalise(&step, Tensor::from_elements("x", [1u64, 1, 2], &[3u8, 3]).unwrap()).unwrap();
    assert_eq!(normalised.elements::<f32>().unwrap(), [2.0, 1.0]);
}

#[test]
fn another_number_of_channels_is_named() {
    let grey = Tensor::from_elements("image", [1u64, 2, 2, 1], &[0u8; 4]).unwrap();
    let fault = normalise(&image_net(ChannelOrder::Hwc), grey).unwrap_err();
    assert_eq!(
        fault.message,
        "tensor `image`: expected 3 channels, as many as mean and std have, got 1 (UINT8 [1, 2, 2, 1])"
    );
}

proptest! {
    #[test]
    fn every_number_by_the_formula(
        values in prop::collection::vec(-1e6f32..1e6, 1..50),
        scale in 0.01f64..10.0,
        mean in -10.0f64..10.0,
        std in 0.1f64..10.0,
    ) {
        let step = Normalise { scale, mean: PerChannel::All(mean), std: PerChannel::All(std), ..Normalise::default() };
        let tensor = Tensor::from_elements("x", [values.len() as u64], &values).unwrap();
        let normalised = normalise(&step, tensor).unwrap().elements::<f32>().unwrap();
        for (value, got) in values.iter().zip(normalised) {
            prop_assert_eq!(got, (value * scale as f32 - mean as f32) / std as f32);
        }
    }
}
