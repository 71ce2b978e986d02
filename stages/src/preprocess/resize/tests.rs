use std::path::Path;

use proptest::prelude::*;

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn resize(filter: Filter, size: (u32, u32), image: Tensor) -> Result<Tensor, Fault> {
    let step = Resize { tensor: None, width: size.0, height: size.1, filter };
    Ok(step.build().unwrap().apply(vec![image])?.remove(0))
}

#[test]
fn the_filters_are_those_of_pillow() {
    let filters = [
        (Filter::Nearest, "nearest"),
        (Filter::Box, "box"),
        (Filter::Bilinear, "bilinear"),
        (Filter::Hamming, "hamming"),
        (Filter::Bicubic, "bicubic"),
        (Filter::Lanczos, "lanczos"),
    ];
    for (filter, name) in filters {
        for (width, height) in [(8u32, 8u32), (50, 31)] {
            for (channels, ending) in [(3u64, "rgb"), (1, "grey")] {
                let source = fixture(&format!("resize_source.{ending}"));
                let source = Tensor::new("image", Datatype::Uint8, [1, 23, 37, channels], source).unwrap();
                let resized = resize(filter, (width, height), source).unwrap();
                assert_eq!(resized.shape(), [1, u64::from(height), u64::from(width), channels]);
                let expect = fixture(&format!("resize_{name}_{width}x{height}.{ending}"));
                let difference =
                    resized.data().iter().zip(&expect).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                let largest = if filter == Filter::Lanczos { 2 } else { 1 };
                assert!(
                    difference <= largest,
                    "{name} to {width}x{height}, {ending}: differs by {difference}"
                );
            }
        }
    }
}

#[test]
fn an_image_of_the_right_size_is_not_touched() {
    let image = Tensor::new("image", Datatype::Uint8, [2u64, 2, 1], vec![1, 2, 3, 4]).unwrap();
    let resized = resize(Filter::Lanczos, (2, 2), image.clone()).unwrap();
    assert_eq!(resized, image);
    assert_eq!(resized.data().as_ptr(), image.data().as_ptr());
}

#[test]
fn what_is_no_image_is_named() {
    let check = |datatype, shape: &[u64], expect: &str| {
        let size = datatype_size(datatype) * shape.iter().product::<u64>() as usize;
        let image = Tensor::new("image", datatype, shape, vec![0; size]).unwrap();
        assert_eq!(resize(Filter::Box, (4, 4), image).unwrap_err().message, expect);
    };
    fn datatype_size(datatype: Datatype) -> usize {
        datatype.element_size().unwrap()
    }
    check(Datatype::Fp32, &[8, 8, 1], "tensor `image`: expected an image of UINT8, got FP32 [8, 8, 1]");
    check(
        Datatype::Uint8,
        &[8, 8],
        "tensor `image`: expected an image [n, height, width, channels], got UINT8 [8, 8]",
    );
    check(
        Datatype::Uint8,
        &[1, 0, 8, 3],
        "tensor `image`: expected an image [n, height, width, channels], got UINT8 [1, 0, 8, 3], which is empty",
    );
    check(
        Datatype::Uint8,
        &[8, 8, 5],
        "tensor `image`: expected an image of 1 to 4 channels, got UINT8 [8, 8, 5]",
    );
}

proptest! {
    /// Images in a batch do not see each other, and a plain color stays what it is.
    #[test]
    fn each_image_alone(
        (height, width, channels) in (1usize..12, 1usize..12, 1usize..5),
        size in (1u32..16, 1u32..16),
        colors in prop::collection::vec(any::<u8>(), 3),
        filter in prop::sample::select(vec![Filter::Nearest, Filter::Box, Filter::Bilinear, Filter::Hamming, Filter::Bicubic, Filter::Lanczos]),
    ) {
        let pixels: Vec<u8> = colors.iter().flat_map(|color| vec![*color; height * width * channels]).collect();
        let shape = [3, height as u64, width as u64, channels as u64];
        let images = Tensor::new("image", Datatype::Uint8, shape, pixels).unwrap();
        let resized = resize(filter, size, images).unwrap();
        let each = resized.data().len() / 3;
        for (image, color) in resized.data().chunks_exact(each).zip(colors) {
            prop_assert!(image.iter().all(|sample| *sample == color));
        }
    }
}
