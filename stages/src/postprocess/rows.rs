//! Scores as rows: the classes along the last axis of a tensor, one row for everything before it.

use schemas::Tensor;

use super::Labels;
use crate::error::Fault;
use crate::numbers;
use crate::operation::{kind_of, quoted};

/// The scores of a tensor, row by row.
#[derive(Debug)]
pub(super) struct Rows {
    scores: Vec<f64>,
    classes: usize,
    /// The axes before the classes.
    outer: Vec<u64>,
    name: String,
}

impl Rows {
    /// Reads the scores of a tensor. None of them may be NaN: it has no rank among the others, and a probability of it
    /// says nothing.
    pub(super) fn of(tensor: &Tensor) -> Result<Self, Fault> {
        let name = quoted(tensor.name()).to_string();
        let Some((&classes, outer)) = tensor.shape().split_last().filter(|(classes, _)| **classes > 0) else {
            return Err(Fault::invalid_input(format!(
                "tensor {name}: expected scores with the classes along the last axis, got {}",
                kind_of(tensor)
            )));
        };
        let classes = usize::try_from(classes).map_err(|_| Fault::internal("more classes than memory"))?;
        let scores = numbers::scores(tensor)?;
        if let Some(at) = scores.iter().position(|score| score.is_nan()) {
            return Err(Fault::model_error(format!(
                "tensor {name}: the score of class {} in row {} is not a number (NaN)",
                at % classes,
                at / classes
            )));
        }
        Ok(Self { scores, classes, outer: outer.to_vec(), name })
    }

    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.scores.chunks_exact(self.classes)
    }

    pub(super) fn outer(&self) -> &[u64] {
        &self.outer
    }

    /// The tensor's name as messages show it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Labels that are not as many as the classes would name the wrong ones.
    pub(super) fn check_labels(&self, labels: &Labels) -> Result<(), Fault> {
        if labels.count() == self.classes {
            return Ok(());
        }
        Err(Fault::model_error(format!(
            "tensor {}: has {} classes along the last axis, but the model's labels are {}",
            self.name,
            self.classes,
            labels.count()
        )))
    }
}
