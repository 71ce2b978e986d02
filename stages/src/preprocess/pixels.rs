//! The shape of images between operations.

use schemas::Tensor;

use crate::error::Fault;
use crate::operation::{kind_of, quoted};

/// One or several images with interleaved channels: `[n, height, width, channels]`, or without the `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ImageShape {
    pub(super) images: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    /// Whether there is an `n`.
    pub(super) batched: bool,
}

impl ImageShape {
    /// Reads the shape of a tensor whose channels are interleaved.
    pub(super) fn interleaved(tensor: &Tensor) -> Result<Self, Fault> {
        let [images, height, width, channels] = Self::four(tensor, "[n, height, width, channels]")?;
        Ok(Self { images, height, width, channels, batched: tensor.shape().len() == 4 })
    }

    /// Reads the shape of a tensor whose channels are planes.
    pub(super) fn planar(tensor: &Tensor) -> Result<Self, Fault> {
        let [images, channels, height, width] = Self::four(tensor, "[n, channels, height, width]")?;
        Ok(Self { images, height, width, channels, batched: tensor.shape().len() == 4 })
    }

    fn four(tensor: &Tensor, expected: &str) -> Result<[usize; 4], Fault> {
        let wrong = |what: String| {
            let name = quoted(tensor.name());
            Fault::invalid_input(format!(
                "tensor {name}: expected an image {expected}, got {}{what}",
                kind_of(tensor)
            ))
        };
        let dimensions = match *tensor.shape() {
            [a, b, c] => [1, a, b, c],
            [n, a, b, c] => [n, a, b, c],
            _ => return Err(wrong(String::new())),
        };
        if dimensions.contains(&0) {
            return Err(wrong(", which is empty".to_owned()));
        }
        let mut four = [0; 4];
        for (to, from) in four.iter_mut().zip(dimensions) {
            *to = usize::try_from(from).map_err(|_| wrong(String::new()))?;
        }
        Ok(four)
    }

    /// The tensor shape of these images with interleaved channels.
    pub(super) fn to_interleaved(self) -> Vec<u64> {
        let inner = [self.height as u64, self.width as u64, self.channels as u64];
        if self.batched { [&[self.images as u64][..], &inner].concat() } else { inner.to_vec() }
    }
}
