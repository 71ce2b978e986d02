use std::path::Path;

use proptest::prelude::*;
use schemas::FailureCode;

use super::*;
use crate::FailureClass;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn decode_files(step: &DecodeImage, files: &[&[u8]]) -> Result<Tensor, Fault> {
    let payload = Tensor::from_byte_strings("payload", [files.len() as u64], files).unwrap();
    let mut tensors = step.build().unwrap().apply(vec![payload])?;
    assert_eq!(tensors.len(), 1);
    Ok(tensors.remove(0))
}

fn fault(step: &DecodeImage, file: &[u8]) -> (FailureCode, String) {
    let fault = decode_files(step, &[file]).unwrap_err();
    assert_eq!(fault.class, FailureClass::Permanent);
    (fault.code, fault.message)
}

/// Decodes to both colors and compares with what Pillow makes of the file.
fn check(name: &str, largest_difference: u8) {
    for (color, ending) in [(Color::Rgb, "rgb"), (Color::Grey, "grey")] {
        let tensor =
            decode_files(&DecodeImage { color, ..DecodeImage::default() }, &[&fixture(name)]).unwrap();
        assert_eq!(tensor.name(), "image");
        assert_eq!(tensor.datatype(), Datatype::Uint8);
        assert_eq!(tensor.shape(), [1, 23, 37, color.channels() as u64], "{name}");
        let expect = fixture(&format!("{name}.{ending}"));
        let difference = tensor.data().iter().zip(&expect).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(difference <= largest_difference, "{name}.{ending}: differs by {difference}");
    }
}

#[test]
fn lossless_files_are_as_pillow_reads_them() {
    for name in [
        "rgb.png",
        "grey.png",
        "bilevel.png",
        "palette.png",
        "palette_transparent.png",
        "rgba.png",
        "grey_alpha.png",
        "grey16.png",
        "rgb16.png",
        "lossless.webp",
    ] {
        check(name, 0);
    }
}

#[test]
fn lossy_files_differ_from_pillow_by_rounding() {
    check("full.jpg", 2);
    check("progressive.jpg", 2);
    check("grey.jpg", 1);
    check("halved.jpg", 4);
    check("lossy.webp", 2);
}

#[test]
fn several_files_of_one_size_become_one_tensor() {
    let (one, other) = (fixture("rgb.png"), fixture("lossless.webp"));
    let tensor = decode_files(&DecodeImage::default(), &[&one, &other]).unwrap();
    assert_eq!(tensor.shape(), [2, 23, 37, 3]);
    assert_eq!(tensor.data()[..23 * 37 * 3], tensor.data()[23 * 37 * 3..]);
}

#[test]
fn what_is_taken_is_checked() {
    let step = DecodeImage::default().build().unwrap();
    let apply = |tensor: Tensor| step.apply(vec![tensor]).unwrap_err();
    let fault = apply(Tensor::from_elements("payload", [2u64], &[1u8, 2]).unwrap());
    assert_eq!(fault.message, "tensor `payload`: expected image files as BYTES [n], got UINT8 [2]");
    let fault = apply(Tensor::from_byte_strings("payload", [0u64], [""; 0]).unwrap());
    assert_eq!(fault.message, "tensor `payload`: holds no image file");
    let fault = apply(Tensor::from_byte_strings("text", [1u64], ["hello"]).unwrap());
    assert_eq!(fault.message, "there is no tensor `payload`; the job has `text`");
    assert_eq!(fault.code, FailureCode::InvalidInput);
}

#[test]
fn images_of_different_sizes_do_not_make_a_tensor() {
    let grey = fixture("rgb.png");
    let other = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny.png")).unwrap();
    let fault = decode_files(&DecodeImage::default(), &[&grey, &other]).unwrap_err();
    assert_eq!(
        fault.message,
        "tensor `payload`, file 1: is 2x1 pixels, the first one 37x23; images of one job must have the same size"
    );
}

#[test]
fn huge_claims_are_refused_from_the_header() {
    let step = DecodeImage::default();
    let check = |name: &str, expect: &str| {
        assert_eq!(fault(&step, &fixture(name)), (FailureCode::TooLarge, expect.to_owned()), "{name}");
    };
    check(
        "bomb_square.png",
        "tensor `payload`: is 60000x60000 pixels, more than max_width = 8192 by max_height = 8192",
    );
    check(
        "bomb_16bit.png",
        "tensor `payload`: is 60000x60000 pixels, more than max_width = 8192 by max_height = 8192",
    );
    check(
        "bomb.jpg",
        "tensor `payload`: is 65500x65500 pixels, more than max_width = 8192 by max_height = 8192",
    );
    check(
        "bomb.webp",
        "tensor `payload`: is 16383x16383 pixels, more than max_width = 8192 by max_height = 8192",
    );
    check(
        "bomb_pixels.png",
        "tensor `payload`: is 8000x8000 pixels, with which the job has more than max_pixels = 16777216",
    );
    let (code, _) = fault(&step, &fixture("bomb_wide.png"));
    assert_eq!(code, FailureCode::TooLarge);
}

#[test]
fn the_pixels_of_a_job_are_counted_together() {
    let step = DecodeImage { max_pixels: 23 * 37 * 2, ..DecodeImage::default() };
    let file = fixture("rgb.png");
    assert!(decode_files(&step, &[&file, &file]).is_ok());
    let fault = decode_files(&step, &[&file, &file, &file]).unwrap_err();
    assert_eq!(fault.code, FailureCode::TooLarge);
    assert_eq!(
        fault.message,
        "tensor `payload`, file 2: is 37x23 pixels, with which the job has more than max_pixels = 1702"
    );
}

#[test]
fn a_file_can_be_too_long() {
    let file = fixture("rgb.png");
    let step = DecodeImage { max_bytes: file.len() as u64 - 1, ..DecodeImage::default() };
    let expect =
        format!("tensor `payload`: has {} bytes, more than max_bytes = {}", file.len(), file.len() - 1);
    assert_eq!(fault(&step, &file), (FailureCode::TooLarge, expect));
}

#[test]
fn what_is_no_image_is_undecodable() {
    let step = DecodeImage::default();
    for file in [
        &b""[..],
        b"hello",
        b"GIF89a\x01\x00\x01\x00",
        b"BM12345678901234567890",
        b"\x89PNG\r\n",
        b"\xff\xd8\xff",
    ] {
        let (code, message) = fault(&step, file);
        assert_eq!(code, FailureCode::Undecodable, "{message}");
    }
    assert_eq!(fault(&step, b"hello").1, "tensor `payload`: is no PNG, JPEG or WebP file");
}

#[test]
fn a_file_that_ends_early_is_undecodable() {
    let step = DecodeImage::default();
    for name in
        ["rgb.png", "palette.png", "rgb16.png", "lossless.webp", "lossy.webp", "full.jpg", "progressive.jpg"]
    {
        let file = fixture(name);
        for part in [4, 2] {
            let (code, message) = fault(&step, &file[..file.len() - file.len() / part]);
            assert_eq!(code, FailureCode::Undecodable, "{name} without its last {part}th: {message}");
            assert!(message.len() < 400 && !message.contains('\n'), "{message}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever is broken in a file: an answer, no panic, and no more memory than the limits allow.
    #[test]
    fn broken_files_never_panic(
        which in 0usize..8,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let names = [
            "rgb.png", "palette_transparent.png", "rgb16.png", "lossless.webp", "lossy.webp", "full.jpg",
            "progressive.jpg", "halved.jpg",
        ];
        let mut file = fixture(names[which]);
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if cut {
            file.truncate(length.index(file.len()));
        }
        let step = DecodeImage { max_pixels: 1 << 20, ..DecodeImage::default() };
        if let Ok(tensor) = decode_files(&step, &[&file]) {
            prop_assert_eq!(tensor.data().len() as u64, tensor.element_count());
        }
    }
}
