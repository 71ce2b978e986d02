//! `resize`: images to another width and height, as Pillow does it.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use schemars::JsonSchema;
use schemas::{Datatype, Tensor};
use serde::{Deserialize, Serialize};

use super::pixels::ImageShape;
use crate::error::Fault;
use crate::numbers;
use crate::operation::{FieldError, Operation, check_name, kind_of, position, quoted};

/// The largest side of a resized image.
const MAX_SIDE: u32 = 16_384;

/// Changes the width and height of UINT8 images `[n, height, width, channels]`, without regard to their proportions.
/// The filters are those of Pillow's `Image.resize` and give the same pixels up to rounding: samples differ by 1 at most,
/// with `lanczos` by 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// The tensor to resize; may be left out where the job has only one.
    #[serde(default)]
    pub tensor: Option<String>,
    /// The new width, in pixels.
    #[schemars(range(min = 1, max = 16384))]
    pub width: u32,
    /// The new height, in pixels.
    #[schemars(range(min = 1, max = 16384))]
    pub height: u32,
    /// How new pixels are computed.
    #[serde(default)]
    pub filter: Filter,
}

/// How pixels of a resized image are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// The mean of the pixels that a new one covers.
    Box,
    /// Linear interpolation.
    #[default]
    Bilinear,
    /// Sharper than `bilinear` where images shrink.
    Hamming,
    /// Cubic interpolation.
    Bicubic,
    /// The sharpest, and the slowest.
    Lanczos,
}

impl Filter {
    fn algorithm(self) -> ResizeAlg {
        match self {
            Self::Nearest => ResizeAlg::Nearest,
            Self::Box => ResizeAlg::Convolution(FilterType::Box),
            Self::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Self::Hamming => ResizeAlg::Convolution(FilterType::Hamming),
            Self::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
            Self::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        }
    }
}

impl Resize {
    pub(super) fn build(&self) -> Result<Box<dyn Operation>, FieldError> {
        if let Some(tensor) = &self.tensor {
            check_name("tensor", tensor)?;
        }
        for (field, value) in [("width", self.width), ("height", self.height)] {
            if value == 0 {
                return Err(FieldError::new(field, "must be at least 1"));
            }
            if value > MAX_SIDE {
                return Err(FieldError::new(field, format!("must be at most {MAX_SIDE}, not {value}")));
            }
        }
        Ok(Box::new(self.clone()))
    }
}

impl Operation for Resize {
    fn apply(&self, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
        let at = position(&tensors, self.tensor.as_deref())?;
        let tensor = &tensors[at];
        let wrong = |what: &str| {
            Fault::invalid_input(format!(
                "tensor {}: expected {what}, got {}",
                quoted(tensor.name()),
                kind_of(tensor)
            ))
        };
        if tensor.datatype() != Datatype::Uint8 {
            return Err(wrong("an image of UINT8"));
        }
        let shape = ImageShape::interleaved(tensor)?;
        let pixel_type = match shape.channels {
            1 => PixelType::U8,
            2 => PixelType::U8x2,
            3 => PixelType::U8x3,
            4 => PixelType::U8x4,
            _ => return Err(wrong("an image of 1 to 4 channels")),
        };
        let (Ok(width), Ok(height)) = (u32::try_from(shape.width), u32::try_from(shape.height)) else {
            return Err(wrong("an image of a size that can be resized"));
        };
        if (width, height) == (self.width, self.height) {
            return Ok(tensors);
        }

        // Channels are channels: none of them is transparency that the others would have to be multiplied with.
        let options = ResizeOptions::new().resize_alg(self.filter.algorithm()).use_alpha(false);
        let mut resizer = Resizer::new();
        let mut target = Image::new(self.width, self.height, pixel_type);
        let mut resized = Vec::with_capacity(shape.images * target.buffer().len());
        for image in tensor.data().chunks_exact(shape.height * shape.width * shape.channels) {
            let source = ImageRef::new(width, height, image, pixel_type)
                .map_err(|error| Fault::internal(format!("tensor {}: {error}", quoted(tensor.name()))))?;
            resizer
                .resize(&source, &mut target, &options)
                .map_err(|error| Fault::internal(format!("tensor {}: {error}", quoted(tensor.name()))))?;
            resized.extend_from_slice(target.buffer());
        }
        let shape = ImageShape { width: self.width as usize, height: self.height as usize, ..shape };
        tensors[at] = numbers::tensor(tensor.name(), Datatype::Uint8, &shape.to_interleaved(), resized)?;
        Ok(tensors)
    }
}

#[cfg(test)]
mod tests;
