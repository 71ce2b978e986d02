//! `normalise`: numbers to FP32 in the range that the model was trained with.

use schemars::JsonSchema;
use schemas::{Datatype, Tensor};
use serde::{Deserialize, Serialize};

use super::layout::ChannelOrder;
use super::pixels::ImageShape;
use crate::error::Fault;
use crate::numbers;
use crate::operation::{FieldError, Operation, check_name, kind_of, position, quoted};

/// Computes `(x * scale - mean) / std` in FP32 for every number of a tensor. With one mean and one standard deviation,
/// the tensor may have any shape; with one per channel, it is an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Normalise {
    /// The tensor to normalise; may be left out where the job has only one.
    pub tensor: Option<String>,
    /// What every number is multiplied with first; 0.00392156862745098 (1/255) brings UINT8 to 0..1.
    pub scale: f64,
    /// What is subtracted then: one number, or one per channel.
    pub mean: PerChannel,
    /// What is divided by last: one number, or one per channel.
    pub std: PerChannel,
    /// Where the channels are.
    pub channels: ChannelOrder,
}

/// One number for all channels, or a list with one per channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PerChannel {
    /// The same for all channels.
    All(f64),
    /// One number per channel.
    Each(Vec<f64>),
}

impl PerChannel {
    fn values(&self) -> Vec<f32> {
        match self {
            Self::All(value) => vec![*value as f32],
            Self::Each(values) => values.iter().map(|value| *value as f32).collect(),
        }
    }
}

impl Default for Normalise {
    fn default() -> Self {
        Self {
            tensor: None,
            scale: 1.0,
            mean: PerChannel::All(0.0),
            std: PerChannel::All(1.0),
            channels: ChannelOrder::Hwc,
        }
    }
}

impl Normalise {
    pub(super) fn build(&self) -> Result<Box<dyn Operation>, FieldError> {
        if let Some(tensor) = &self.tensor {
            check_name("tensor", tensor)?;
        }
        let scale = self.scale as f32;
        if !scale.is_finite() || scale == 0.0 {
            return Err(FieldError::new(
                "scale",
                format!("must be a number other than 0, not {}", self.scale),
            ));
        }
        let (mean, std) = (self.mean.values(), self.std.values());
        if mean.is_empty() || mean.iter().any(|value| !value.is_finite()) {
            return Err(FieldError::new("mean", "must be a number, or a list with one number per channel"));
        }
        if std.is_empty() || std.iter().any(|value| !value.is_finite() || *value == 0.0) {
            return Err(FieldError::new(
                "std",
                "must be a number other than 0, or a list with one per channel",
            ));
        }
        if mean.len() > 1 && std.len() > 1 && mean.len() != std.len() {
            return Err(FieldError::new(
                "std",
                format!(
                    "has {} numbers, but mean has {}: give one per channel in both",
                    std.len(),
                    mean.len()
                ),
            ));
        }
        let count = mean.len().max(std.len());
        let each = |values: &[f32], channel: usize| values[if values.len() == 1 { 0 } else { channel }];
        let channels: Vec<Channel> = (0..count)
            .map(|channel| Channel { scale, mean: each(&mean, channel), std: each(&std, channel) })
            .collect();
        let of_bytes = channels.iter().map(Channel::of_every_byte).collect();
        Ok(Box::new(Prepared { tensor: self.tensor.clone(), order: self.channels, channels, of_bytes }))
    }
}

/// The arithmetic of one channel.
#[derive(Debug, Clone, Copy)]
struct Channel {
    scale: f32,
    mean: f32,
    std: f32,
}

impl Channel {
    fn value(&self, x: f32) -> f32 {
        (x * self.scale - self.mean) / self.std
    }

    /// The result for each of the 256 values of a UINT8, so that images are normalised by looking up.
    fn of_every_byte(&self) -> Vec<f32> {
        (0..=u8::MAX).map(|byte| self.value(f32::from(byte))).collect()
    }
}

#[derive(Debug)]
struct Prepared {
    tensor: Option<String>,
    order: ChannelOrder,
    /// One, or one per channel.
    channels: Vec<Channel>,
    of_bytes: Vec<Vec<f32>>,
}

impl Operation for Prepared {
    fn apply(&self, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
        let at = position(&tensors, self.tensor.as_deref())?;
        let tensor = &tensors[at];
        let run = self.run_length(tensor)?;
        let values = if tensor.datatype() == Datatype::Uint8 {
            self.map(tensor.data(), run, |channel, byte| self.of_bytes[channel][usize::from(byte)])
        } else {
            self.map(&numbers::as_f32(tensor)?, run, |channel, x| self.channels[channel].value(x))
        };
        tensors[at] = numbers::fp32_tensor(tensor.name(), tensor.shape(), values)?;
        Ok(tensors)
    }
}

impl Prepared {
    /// How many numbers of one channel follow each other before the next channel's begin.
    fn run_length(&self, tensor: &Tensor) -> Result<usize, Fault> {
        if self.channels.len() == 1 {
            return Ok(usize::MAX);
        }
        let (shape, run) = match self.order {
            ChannelOrder::Hwc => (ImageShape::interleaved(tensor)?, 1),
            ChannelOrder::Chw => {
                let shape = ImageShape::planar(tensor)?;
                (shape, shape.height * shape.width)
            }
        };
        if shape.channels != self.channels.len() {
            return Err(Fault::invalid_input(format!(
                "tensor {}: expected {} channels, as many as mean and std have, got {} ({})",
                quoted(tensor.name()),
                self.channels.len(),
                shape.channels,
                kind_of(tensor)
            )));
        }
        Ok(run)
    }

    fn map<T: Copy>(&self, numbers: &[T], run: usize, value: impl Fn(usize, T) -> f32) -> Vec<f32> {
        if self.channels.len() == 1 {
            return numbers.iter().map(|&number| value(0, number)).collect();
        }
        let channels = self.channels.len();
        let mut values = Vec::with_capacity(numbers.len());
        if run == 1 {
            for pixel in numbers.chunks_exact(channels) {
                values.extend(pixel.iter().enumerate().map(|(channel, &number)| value(channel, number)));
            }
        } else {
            for (index, plane) in numbers.chunks_exact(run).enumerate() {
                let channel = index % channels;
                values.extend(plane.iter().map(|&number| value(channel, number)));
            }
        }
        values
    }
}

#[cfg(test)]
mod tests;
