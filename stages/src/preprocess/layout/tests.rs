use proptest::prelude::*;
use schemas::Datatype;

use super::*;

fn layout(to: ChannelOrder, tensor: Tensor) -> Result<Tensor, Fault> {
    Ok(Layout { tensor: None, to }.build().unwrap().apply(vec![tensor])?.remove(0))
}

#[test]
fn channels_become_planes_and_a_batch_axis_is_added() {
    let image = Tensor::from_elements("image", [1u64, 2, 3], &[1u8, 2, 3, 11, 12, 13]).unwrap();
    let planes = layout(ChannelOrder::Chw, image).unwrap();
    assert_eq!(planes.shape(), [1, 3, 1, 2]);
    assert_eq!(planes.data()[..], [1, 11, 2, 12, 3, 13]);
}

#[test]
fn planes_become_channels() {
    let planes = Tensor::from_elements("image", [3u64, 1, 2], &[1.0f32, 11.0, 2.0, 12.0, 3.0, 13.0]).unwrap();
    let image = layout(ChannelOrder::Hwc, planes).unwrap();
    assert_eq!(image.shape(), [1, 1, 2, 3]);
    assert_eq!(image.elements::<f32>().unwrap(), [1.0, 2.0, 3.0, 11.0, 12.0, 13.0]);
}

#[test]
fn one_channel_is_only_given_another_shape() {
    let image = Tensor::from_elements("image", [2u64, 2, 3, 1], &[0u8; 12]).unwrap();
    let planes = layout(ChannelOrder::Chw, image.clone()).unwrap();
    assert_eq!(planes.shape(), [2, 1, 2, 3]);
    assert_eq!(planes.data().as_ptr(), image.data().as_ptr());
}

#[test]
fn what_is_no_image_is_named() {
    let check =
        |tensor, expect: &str| assert_eq!(layout(ChannelOrder::Chw, tensor).unwrap_err().message, expect);
    let flat = Tensor::from_elements("x", [2u64, 2], &[0u8; 4]).unwrap();
    check(flat, "tensor `x`: expected an image [n, height, width, channels], got UINT8 [2, 2]");
    let text = Tensor::from_byte_strings("x", [1u64, 1, 1], ["a"]).unwrap();
    check(text, "tensor `x`: expected an image, got BYTES [1, 1, 1]");
}

proptest! {
    #[test]
    fn there_and_back_is_the_same(
        (images, height, width, channels) in (1u64..4, 1u64..6, 1u64..6, 1u64..5),
        datatype in prop::sample::select(vec![Datatype::Uint8, Datatype::Fp16, Datatype::Fp32, Datatype::Int64]),
        seed in any::<u8>(),
    ) {
        let shape = [images, height, width, channels];
        let bytes = shape.iter().product::<u64>() as usize * datatype.element_size().unwrap();
        let data: Vec<u8> = (0..bytes).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect();
        let image = Tensor::new("image", datatype, shape, data).unwrap();
        let planes = layout(ChannelOrder::Chw, image.clone()).unwrap();
        prop_assert_eq!(planes.shape(), [images, channels, height, width]);
        prop_assert_eq!(layout(ChannelOrder::Hwc, planes).unwrap(), image);
    }
}
