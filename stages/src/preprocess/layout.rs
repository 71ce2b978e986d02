//! `layout`: the order of an image's axes.

use bytes::Bytes;
use schemars::JsonSchema;
use schemas::Tensor;
use serde::{Deserialize, Serialize};

use super::pixels::ImageShape;
use crate::error::Fault;
use crate::numbers;
use crate::operation::{FieldError, Operation, check_name, kind_of, position, quoted};

/// Puts the channels of images first or last, and adds the batch axis where there is none: the output always has four
/// axes. Works on any datatype but BYTES.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// The tensor to reorder; may be left out where the job has only one.
    #[serde(default)]
    pub tensor: Option<String>,
    /// The order wanted. The input has the other one.
    pub to: ChannelOrder,
}

/// Where the channels of an image are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelOrder {
    /// Interleaved: `[n, height, width, channels]`, as decoded.
    #[default]
    Hwc,
    /// Planes: `[n, channels, height, width]`, as most vision models take them.
    Chw,
}

impl Layout {
    pub(super) fn build(&self) -> Result<Box<dyn Operation>, FieldError> {
        if let Some(tensor) = &self.tensor {
            check_name("tensor", tensor)?;
        }
        Ok(Box::new(self.clone()))
    }
}

impl Operation for Layout {
    fn apply(&self, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
        let at = position(&tensors, self.tensor.as_deref())?;
        let tensor = &tensors[at];
        let Some(size) = tensor.datatype().element_size() else {
            return Err(Fault::invalid_input(format!(
                "tensor {}: expected an image, got {}",
                quoted(tensor.name()),
                kind_of(tensor)
            )));
        };
        let (shape, rows, columns, dimensions) = match self.to {
            ChannelOrder::Chw => {
                let shape = ImageShape::interleaved(tensor)?;
                let pixels = shape.height * shape.width;
                (shape, pixels, shape.channels, [shape.images, shape.channels, shape.height, shape.width])
            }
            ChannelOrder::Hwc => {
                let shape = ImageShape::planar(tensor)?;
                let pixels = shape.height * shape.width;
                (shape, shape.channels, pixels, [shape.images, shape.height, shape.width, shape.channels])
            }
        };
        let data = if shape.channels == 1 {
            tensor.data().clone()
        } else {
            let transposed = match size {
                1 => transpose::<1>(tensor.data(), rows, columns),
                2 => transpose::<2>(tensor.data(), rows, columns),
                4 => transpose::<4>(tensor.data(), rows, columns),
                8 => transpose::<8>(tensor.data(), rows, columns),
                _ => return Err(Fault::internal(format!("no element has {size} bytes"))),
            };
            Bytes::from(transposed)
        };
        tensors[at] =
            numbers::tensor(tensor.name(), tensor.datatype(), &dimensions.map(|size| size as u64), data)?;
        Ok(tensors)
    }
}

/// Transposes each matrix of `rows` by `columns` elements of `N` bytes.
fn transpose<const N: usize>(data: &[u8], rows: usize, columns: usize) -> Vec<u8> {
    let (elements, _) = data.as_chunks::<N>();
    let mut transposed = Vec::with_capacity(data.len());
    for matrix in elements.chunks_exact(rows * columns) {
        for column in 0..columns {
            for row in matrix.chunks_exact(columns) {
                transposed.extend_from_slice(&row[column]);
            }
        }
    }
    transposed
}

#[cfg(test)]
mod tests;
