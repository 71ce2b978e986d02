//! Postprocessing: what the model put out to what the producer wants to read, by a list of operations that the pipeline
//! declares. A new operation is a file beside these and an entry in [`PostprocessStep`].

mod arg_max;
mod labels;
mod rows;
mod softmax;
mod top_k;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use schemars::JsonSchema;
use schemas::{Job, Stage};
use serde::{Deserialize, Serialize};

pub use arg_max::ArgMax;
pub use labels::Labels;
pub use softmax::Softmax;
pub use top_k::TopK;

use crate::config::StageConfigError;
use crate::error::{Fault, JobError, panic_text};
use crate::operation::{FieldError, Operation};

/// One step of postprocessing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum PostprocessStep {
    /// Turns scores into probabilities.
    Softmax(Softmax),
    /// Finds the class of the highest score.
    ArgMax(ArgMax),
    /// Finds the classes of the highest scores.
    TopK(TopK),
}

impl PostprocessStep {
    fn name(&self) -> &'static str {
        match self {
            Self::Softmax(_) => "softmax",
            Self::ArgMax(_) => "arg-max",
            Self::TopK(_) => "top-k",
        }
    }

    fn build(&self, labels: Option<&Arc<Labels>>) -> Result<Box<dyn Operation>, FieldError> {
        match self {
            Self::Softmax(step) => step.build(),
            Self::ArgMax(step) => step.build(labels),
            Self::TopK(step) => step.build(labels),
        }
    }
}

/// The postprocessing of one pipeline. Pure: a job that holds the model's outputs in, a job that holds the result out.
#[derive(Debug, Default)]
pub struct Postprocess {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    /// As messages name it: `postprocess[1] top-k`.
    label: String,
    operation: Box<dyn Operation>,
}

impl Postprocess {
    /// Prepares the steps; the first wrong parameter is the error. `labels` are those of the model, where it has some.
    pub fn new(steps: &[PostprocessStep], labels: Option<&Arc<Labels>>) -> Result<Self, StageConfigError> {
        let prepare = |(index, step): (usize, &PostprocessStep)| {
            let operation = step.build(labels).map_err(|error| error.in_list("postprocess", index))?;
            Ok(Step { label: format!("postprocess[{index}] {}", step.name()), operation })
        };
        Ok(Self { steps: steps.iter().enumerate().map(prepare).collect::<Result<_, _>>()? })
    }

    /// Everything that is wrong with the steps' parameters.
    pub(crate) fn check(steps: &[PostprocessStep]) -> Vec<StageConfigError> {
        let fault = |(index, step): (usize, &PostprocessStep)| {
            Some(step.build(None).err()?.in_list("postprocess", index))
        };
        steps.iter().enumerate().filter_map(fault).collect()
    }

    /// Whether the model's outputs are the result as they are.
    pub fn is_pass_through(&self) -> bool {
        self.steps.is_empty()
    }

    /// Takes one job through all steps. A panic in a step is that job's failure and nobody else's.
    pub fn run(&self, job: Job) -> Result<Job, JobError> {
        let Job { mut inputs, parameters } = job;
        for step in &self.steps {
            inputs = catch_unwind(AssertUnwindSafe(|| step.operation.apply(inputs)))
                .unwrap_or_else(|panic| Err(Fault::internal(format!("panicked: {}", panic_text(&*panic)))))
                .map_err(|fault| fault.in_step(&step.label).at(Stage::Postprocess))?;
        }
        Ok(Job { inputs, parameters })
    }
}

#[cfg(test)]
mod tests;
