//! `softmax`: scores to probabilities.

use schemars::JsonSchema;
use schemas::Tensor;
use serde::{Deserialize, Serialize};

use super::rows::Rows;
use crate::error::Fault;
use crate::numbers;
use crate::operation::{FieldError, Operation, check_name, position};

/// Turns the scores along the last axis into probabilities that add up to 1. The output is FP32, in the place and under
/// the name of the input. Scores that are NaN or infinite make the job fail as `model_error`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Softmax {
    /// The tensor of scores; may be left out where the model has only one output.
    pub tensor: Option<String>,
}

impl Softmax {
    pub(super) fn build(&self) -> Result<Box<dyn Operation>, FieldError> {
        if let Some(tensor) = &self.tensor {
            check_name("tensor", tensor)?;
        }
        Ok(Box::new(self.clone()))
    }
}

impl Operation for Softmax {
    fn apply(&self, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
        let at = position(&tensors, self.tensor.as_deref())?;
        let rows = Rows::of(&tensors[at])?;
        let mut probabilities = Vec::with_capacity(rows.iter().len() * rows.classes());
        for (index, row) in rows.iter().enumerate() {
            let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if !highest.is_finite() {
                return Err(Fault::model_error(format!(
                    "tensor {}: the scores of row {index} are infinite, which no probability follows from",
                    rows.name()
                )));
            }
            // With the highest score taken off, no power overflows and at least one is 1.
            let powers = row.iter().map(|score| (score - highest).exp());
            let sum: f64 = powers.clone().sum();
            probabilities.extend(powers.map(|power| (power / sum) as f32));
        }
        let tensor = &tensors[at];
        tensors[at] = numbers::fp32_tensor(tensor.name(), tensor.shape(), probabilities)?;
        Ok(tensors)
    }
}

#[cfg(test)]
mod tests;
