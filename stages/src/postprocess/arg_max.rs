//! `arg-max`: the class of the highest score.

use std::cmp::Ordering;
use std::sync::Arc;

use schemars::JsonSchema;
use schemas::Tensor;
use serde::{Deserialize, Serialize};

use super::Labels;
use super::rows::Rows;
use super::top_k::label_tensor;
use crate::error::Fault;
use crate::numbers;
use crate::operation::{FieldError, Operation, check_name, position};

/// Replaces scores by the class of the highest one along the last axis: `index` (INT64) and, where the model has
/// labels, `label` (BYTES). Of equal scores the first one counts; a NaN makes the job fail as `model_error`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArgMax {
    /// The tensor of scores; may be left out where the model has only one output.
    pub tensor: Option<String>,
}

impl ArgMax {
    pub(super) fn build(&self, labels: Option<&Arc<Labels>>) -> Result<Box<dyn Operation>, FieldError> {
        if let Some(tensor) = &self.tensor {
            check_name("tensor", tensor)?;
        }
        Ok(Box::new(Prepared { tensor: self.tensor.clone(), labels: labels.cloned() }))
    }
}

#[derive(Debug)]
struct Prepared {
    tensor: Option<String>,
    labels: Option<Arc<Labels>>,
}

impl Operation for Prepared {
    fn apply(&self, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
        let at = position(&tensors, self.tensor.as_deref())?;
        let rows = Rows::of(&tensors[at])?;
        let classes: Vec<usize> = rows.iter().map(highest).collect();
        let mut outputs = Vec::with_capacity(2);
        if let Some(labels) = &self.labels {
            rows.check_labels(labels)?;
            outputs.push(label_tensor(rows.outer(), &classes, labels)?);
        }
        let indices = classes.into_iter().map(|class| class as i64).collect();
        outputs.push(numbers::int64_tensor("index", rows.outer(), indices)?);
        tensors.splice(at..=at, outputs);
        Ok(tensors)
    }
}

/// The first of the highest scores.
fn highest(row: &[f64]) -> usize {
    let better = |best: usize, (class, score): (usize, &f64)| {
        if score.partial_cmp(&row[best]) == Some(Ordering::Greater) { class } else { best }
    };
    row.iter().enumerate().fold(0, better)
}

#[cfg(test)]
mod tests;
