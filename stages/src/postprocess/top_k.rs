//! `top-k`: the classes of the highest scores.

use std::cmp::Ordering;
use std::sync::Arc;

use schemars::JsonSchema;
use schemas::Tensor;
use serde::{Deserialize, Serialize};

use super::Labels;
use super::rows::Rows;
use crate::error::Fault;
use crate::numbers;
use crate::operation::{FieldError, Operation, check_name, position};

/// Replaces scores by the highest `k` along the last axis, highest first: `label` (BYTES, where the model has labels),
/// `score` (FP32) and `index` (INT64), each of shape `[n, k]`. Of equal scores the first one counts; a NaN makes the job
/// fail as `model_error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopK {
    /// The tensor of scores; may be left out where the model has only one output.
    #[serde(default)]
    pub tensor: Option<String>,
    /// How many classes to give; all of them where the model has fewer.
    #[schemars(range(min = 1, max = 65536))]
    pub k: u32,
}

impl TopK {
    pub(super) fn build(&self, labels: Option<&Arc<Labels>>) -> Result<Box<dyn Operation>, FieldError> {
        if let Some(tensor) = &self.tensor {
            check_name("tensor", tensor)?;
        }
        if self.k == 0 {
            return Err(FieldError::new("k", "must be at least 1"));
        }
        if self.k > 65536 {
            return Err(FieldError::new("k", format!("must be at most 65536, not {}", self.k)));
        }
        Ok(Box::new(Prepared { tensor: self.tensor.clone(), k: self.k as usize, labels: labels.cloned() }))
    }
}

#[derive(Debug)]
struct Prepared {
    tensor: Option<String>,
    k: usize,
    labels: Option<Arc<Labels>>,
}

impl Operation for Prepared {
    fn apply(&self, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
        let at = position(&tensors, self.tensor.as_deref())?;
        let rows = Rows::of(&tensors[at])?;
        let k = self.k.min(rows.classes());
        let mut classes = Vec::with_capacity(rows.iter().len() * k);
        let mut scores = Vec::with_capacity(classes.capacity());
        for row in rows.iter() {
            for class in highest(row, k) {
                classes.push(class);
                scores.push(row[class] as f32);
            }
        }
        let shape = [rows.outer(), &[k as u64]].concat();
        let mut outputs = Vec::with_capacity(3);
        if let Some(labels) = &self.labels {
            rows.check_labels(labels)?;
            outputs.push(label_tensor(&shape, &classes, labels)?);
        }
        outputs.push(numbers::fp32_tensor("score", &shape, scores)?);
        let indices = classes.into_iter().map(|class| class as i64).collect();
        outputs.push(numbers::int64_tensor("index", &shape, indices)?);
        tensors.splice(at..=at, outputs);
        Ok(tensors)
    }
}

/// The classes of the `k` highest scores, highest first, of equal ones the first. No score is NaN.
fn highest(row: &[f64], k: usize) -> Vec<usize> {
    let order =
        |a: &usize, b: &usize| row[*b].partial_cmp(&row[*a]).unwrap_or(Ordering::Equal).then(a.cmp(b));
    let mut classes: Vec<usize> = (0..row.len()).collect();
    if k < classes.len() {
        classes.select_nth_unstable_by(k - 1, order);
        classes.truncate(k);
    }
    classes.sort_unstable_by(order);
    classes
}

/// The labels of classes, as the tensor `label`.
pub(super) fn label_tensor(shape: &[u64], classes: &[usize], labels: &Labels) -> Result<Tensor, Fault> {
    let names = classes.iter().map(|class| labels.of(*class).unwrap_or_default());
    Tensor::from_byte_strings("label", shape, names).map_err(|error| Fault::internal(error.to_string()))
}

#[cfg(test)]
mod tests;
