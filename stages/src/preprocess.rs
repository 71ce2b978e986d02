//! Preprocessing: a job's raw payload to what the model takes, by a list of operations that the pipeline declares.
//!
//! Between operations an image is a UINT8 tensor `[n, height, width, channels]`. Operations also take a single image
//! without the `n`; `layout` adds it. A new operation is a file beside these and an entry in [`PreprocessStep`].

mod decode_image;
mod jpeg;
mod layout;
mod normalise;
mod pixels;
mod resize;

use std::panic::{AssertUnwindSafe, catch_unwind};

use schemars::JsonSchema;
use schemas::{Job, Stage};
use serde::{Deserialize, Serialize};

pub use decode_image::{Color, DecodeImage};
pub use layout::{ChannelOrder, Layout};
pub use normalise::{Normalise, PerChannel};
pub use resize::{Filter, Resize};

use crate::config::StageConfigError;
use crate::error::{Fault, JobError, panic_text};
use crate::operation::{FieldError, Operation};

/// One step of preprocessing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum PreprocessStep {
    /// Decodes PNG, JPEG or WebP files to pixels.
    DecodeImage(DecodeImage),
    /// Changes the width and height of images.
    Resize(Resize),
    /// Turns numbers into FP32: `(x * scale - mean) / std`.
    #[serde(alias = "normalize")]
    Normalise(Normalise),
    /// Changes the order of an image's axes, and adds the batch axis.
    Layout(Layout),
}

impl PreprocessStep {
    fn name(&self) -> &'static str {
        match self {
            Self::DecodeImage(_) => "decode-image",
            Self::Resize(_) => "resize",
            Self::Normalise(_) => "normalise",
            Self::Layout(_) => "layout",
        }
    }

    fn build(&self) -> Result<Box<dyn Operation>, FieldError> {
        match self {
            Self::DecodeImage(step) => step.build(),
            Self::Resize(step) => step.build(),
            Self::Normalise(step) => step.build(),
            Self::Layout(step) => step.build(),
        }
    }
}

/// The preprocessing of one pipeline. Pure: a job in, a job out.
#[derive(Debug, Default)]
pub struct Preprocess {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    /// As messages name it: `preprocess[1] resize`.
    label: String,
    operation: Box<dyn Operation>,
}

impl Preprocess {
    /// Prepares the steps; the first wrong parameter is the error.
    pub fn new(steps: &[PreprocessStep]) -> Result<Self, StageConfigError> {
        let prepare = |(index, step): (usize, &PreprocessStep)| {
            let operation = step.build().map_err(|error| error.in_list("preprocess", index))?;
            Ok(Step { label: format!("preprocess[{index}] {}", step.name()), operation })
        };
        Ok(Self { steps: steps.iter().enumerate().map(prepare).collect::<Result<_, _>>()? })
    }

    /// Everything that is wrong with the steps' parameters.
    pub(crate) fn check(steps: &[PreprocessStep]) -> Vec<StageConfigError> {
        let fault =
            |(index, step): (usize, &PreprocessStep)| Some(step.build().err()?.in_list("preprocess", index));
        steps.iter().enumerate().filter_map(fault).collect()
    }

    /// Whether jobs pass through unchanged.
    pub fn is_pass_through(&self) -> bool {
        self.steps.is_empty()
    }

    /// Takes one job through all steps. A panic in a step is that job's failure and nobody else's.
    pub fn run(&self, job: Job) -> Result<Job, JobError> {
        let Job { mut inputs, parameters } = job;
        for step in &self.steps {
            inputs = catch_unwind(AssertUnwindSafe(|| step.operation.apply(inputs)))
                .unwrap_or_else(|panic| Err(Fault::internal(format!("panicked: {}", panic_text(&*panic)))))
                .map_err(|fault| fault.in_step(&step.label).at(Stage::Preprocess))?;
        }
        Ok(Job { inputs, parameters })
    }
}

#[cfg(test)]
mod tests;
