//! `decode-image`: PNG, JPEG or WebP files to pixels.
//!
//! The size that a file claims is checked against the limits as soon as its header is read, before memory for pixels is
//! taken: a few hundred bytes can claim billions of pixels.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use schemars::JsonSchema;
use schemas::{Datatype, PAYLOAD_NAME, Tensor};
use serde::{Deserialize, Serialize};

use super::jpeg::{self, Structure};
use crate::error::Fault;
use crate::numbers;
use crate::operation::{FieldError, Operation, check_name, kind_of, position, quoted};

/// Decodes PNG, JPEG or WebP files. The output is a UINT8 tensor `[n, height, width, channels]`, where `n` is the number
/// of files in the tensor taken; files of one job must have the same size. Transparency is dropped, 16 bits per sample
/// become 8, palettes become colors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeImage {
    /// The BYTES tensor that holds the files. A record that is just an image file reads as `payload`.
    pub tensor: String,
    /// What the tensor of pixels is called; name it as the model names its input.
    pub output: String,
    /// The channels of the output.
    pub color: Color,
    /// The largest file, in bytes.
    #[schemars(range(min = 1))]
    pub max_bytes: u64,
    /// The widest image, in pixels.
    #[schemars(range(min = 1, max = 65536))]
    pub max_width: u32,
    /// The highest image, in pixels.
    #[schemars(range(min = 1, max = 65536))]
    pub max_height: u32,
    /// The most pixels that the images of one job may have together.
    #[schemars(range(min = 1))]
    pub max_pixels: u64,
}

/// The channels of decoded images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Color {
    /// One channel of brightness, `0.299 R + 0.587 G + 0.114 B`.
    #[serde(alias = "gray")]
    Grey,
    /// Red, green and blue.
    #[default]
    Rgb,
}

impl Default for DecodeImage {
    fn default() -> Self {
        Self {
            tensor: PAYLOAD_NAME.to_owned(),
            output: "image".to_owned(),
            color: Color::Rgb,
            max_bytes: 20 << 20,
            max_width: 8192,
            max_height: 8192,
            max_pixels: 1 << 24,
        }
    }
}

impl DecodeImage {
    pub(super) fn build(&self) -> Result<Box<dyn Operation>, FieldError> {
        check_name("tensor", &self.tensor)?;
        check_name("output", &self.output)?;
        let sides = [("max_width", self.max_width), ("max_height", self.max_height)];
        for (field, value) in sides {
            if !(1..=65536).contains(&value) {
                return Err(FieldError::new(field, format!("must be 1 to 65536, not {value}")));
            }
        }
        for (field, value) in [("max_bytes", self.max_bytes), ("max_pixels", self.max_pixels)] {
            if value == 0 {
                return Err(FieldError::new(field, "must be at least 1"));
            }
        }
        Ok(Box::new(self.clone()))
    }
}

impl Operation for DecodeImage {
    fn apply(&self, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
        let at = position(&tensors, Some(&self.tensor))?;
        let files = &tensors[at];
        if files.datatype() != Datatype::Bytes {
            return Err(Fault::invalid_input(format!(
                "tensor {}: expected image files as BYTES [n], got {}",
                quoted(&self.tensor),
                kind_of(files)
            )));
        }
        tensors[at] = self.decode_all(files)?;
        Ok(tensors)
    }
}

impl DecodeImage {
    fn decode_all(&self, files: &Tensor) -> Result<Tensor, Fault> {
        let place = |index: usize| match files.element_count() {
            1 => format!("tensor {}", quoted(files.name())),
            _ => format!("tensor {}, file {index}", quoted(files.name())),
        };
        let items = files.byte_strings().map_err(|error| Fault::internal(error.to_string()))?;
        let mut all: Option<Pixels> = None;
        let mut count = 0u64;
        let mut pixels_left = self.max_pixels;
        for (index, file) in items.enumerate() {
            let pixels = self.decode(file, pixels_left).map_err(|fault| fault.in_step(&place(index)))?;
            pixels_left -= u64::from(pixels.width) * u64::from(pixels.height);
            count += 1;
            match &mut all {
                None => all = Some(pixels),
                Some(first) if (first.width, first.height) == (pixels.width, pixels.height) => {
                    first.samples.extend_from_slice(&pixels.samples);
                }
                Some(first) => {
                    return Err(Fault::invalid_input(format!(
                        "{}: is {}x{} pixels, the first one {}x{}; images of one job must have the same size",
                        place(index),
                        pixels.width,
                        pixels.height,
                        first.width,
                        first.height
                    )));
                }
            }
        }
        let Some(Pixels { width, height, samples }) = all else {
            return Err(Fault::invalid_input(format!(
                "tensor {}: holds no image file",
                quoted(files.name())
            )));
        };
        let shape = [count, u64::from(height), u64::from(width), self.color.channels() as u64];
        numbers::tensor(&self.output, Datatype::Uint8, &shape, samples)
    }

    fn decode(&self, file: &[u8], max_pixels: u64) -> Result<Pixels, Fault> {
        if file.len() as u64 > self.max_bytes {
            return Err(Fault::too_large(format!(
                "has {} bytes, more than max_bytes = {}",
                file.len(),
                self.max_bytes
            )));
        }
        let mut reader =
            ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|error| broken(&error))?;
        match reader.format() {
            None => return Err(Fault::undecodable("is no PNG, JPEG or WebP file")),
            Some(ImageFormat::Jpeg) => match jpeg::structure(file) {
                Structure::Complete => {}
                Structure::EndsEarly => return Err(broken(&"the JPEG file ends early")),
                Structure::TooManyScans => return Err(Fault::too_large("is a JPEG file of too many scans")),
            },
            Some(_) => {}
        }
        // 8 bytes is the largest pixel, four samples of 16 bits; the rest is for a decoder's own tables.
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(max_pixels.saturating_mul(8).saturating_add(16 << 20));
        reader.limits(limits.clone());
        let mut decoder = reader.into_decoder().map_err(|error| decode_fault(&error))?;

        let (width, height) = decoder.dimensions();
        if width > self.max_width || height > self.max_height {
            return Err(Fault::too_large(format!(
                "is {width}x{height} pixels, more than max_width = {} by max_height = {}",
                self.max_width, self.max_height
            )));
        }
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(Fault::too_large(format!(
                "is {width}x{height} pixels, with which the job has more than max_pixels = {}",
                self.max_pixels
            )));
        }
        limits.max_image_width = Some(self.max_width);
        limits.max_image_height = Some(self.max_height);
        decoder.set_limits(limits).map_err(|error| decode_fault(&error))?;
        let image = DynamicImage::from_decoder(decoder).map_err(|error| decode_fault(&error))?;
        Ok(Pixels { width, height, samples: self.color.samples(image) })
    }
}

/// One decoded image.
struct Pixels {
    width: u32,
    height: u32,
    /// Row by row, channels interleaved.
    samples: Vec<u8>,
}

fn decode_fault(error: &ImageError) -> Fault {
    match error {
        ImageError::Limits(_) => Fault::too_large("needs more memory to decode than its limits allow"),
        error => broken(error),
    }
}

fn broken(error: &dyn std::fmt::Display) -> Fault {
    // A decoder's words can hold some bytes of the file; what is shown is short and printable.
    let text: String = error.to_string().chars().take(200).flat_map(char::escape_default).collect();
    Fault::undecodable(format!("is a broken image: {text}"))
}

impl Color {
    fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }

    fn samples(self, image: DynamicImage) -> Vec<u8> {
        let (channels, samples) = eight_bit(image);
        match (self, channels) {
            (Self::Grey, 1) | (Self::Rgb, 3) => samples,
            (Self::Grey, 2) => samples.chunks_exact(2).map(|pixel| pixel[0]).collect(),
            (Self::Grey, _) => samples.chunks_exact(channels).map(luma).collect(),
            (Self::Rgb, 1 | 2) => samples.chunks_exact(channels).flat_map(|pixel| [pixel[0]; 3]).collect(),
            (Self::Rgb, _) => {
                samples.chunks_exact(channels).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
            }
        }
    }
}

/// The samples of an image at 8 bits, with the number of channels that they have: 1 to 4.
fn eight_bit(image: DynamicImage) -> (usize, Vec<u8>) {
    // 65535 / 255 is 257: the division that maps the full range onto the full range, rounded.
    let narrow = |samples: Vec<u16>| {
        samples.into_iter().map(|sample| ((u32::from(sample) + 128) / 257) as u8).collect()
    };
    match image {
        DynamicImage::ImageLuma8(image) => (1, image.into_raw()),
        DynamicImage::ImageLumaA8(image) => (2, image.into_raw()),
        DynamicImage::ImageRgb8(image) => (3, image.into_raw()),
        DynamicImage::ImageRgba8(image) => (4, image.into_raw()),
        DynamicImage::ImageLuma16(image) => (1, narrow(image.into_raw())),
        DynamicImage::ImageLumaA16(image) => (2, narrow(image.into_raw())),
        DynamicImage::ImageRgb16(image) => (3, narrow(image.into_raw())),
        DynamicImage::ImageRgba16(image) => (4, narrow(image.into_raw())),
        other => (3, other.into_rgb8().into_raw()),
    }
}

/// Brightness as ITU-R 601-2 defines it, in the fixed-point arithmetic that Pillow uses.
fn luma(pixel: &[u8]) -> u8 {
    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests;
