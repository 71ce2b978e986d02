//! Errors, split by what the caller does next: a [`JobError`] is published as that job's outcome and everything goes
//! on; a [`LoadError`] stops the start of a worker.

use std::path::PathBuf;

use schemas::{FailureCode, Stage};

use crate::config::StageConfigError;
use crate::failure_class::FailureClass;
use crate::model::ModelError;
use crate::runtime::RuntimeError;

/// Why one job failed. Its neighbours in the batch are not touched by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {message}")]
pub struct JobError {
    /// The stage that the job failed in.
    pub stage: Stage,
    /// The kind of failure, as the wire contract names it.
    pub code: FailureCode,
    /// What failed, where, and what was expected. Never holds the job's data.
    pub message: String,
    /// What is to be done about it.
    pub class: FailureClass,
}

impl JobError {
    /// Whether the same job can succeed when it is run again.
    pub const fn is_retriable(&self) -> bool {
        self.class.is_retriable()
    }
}

/// Why a pipeline could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The declaration of the pipeline is wrong; the path is relative to the pipeline's section.
    #[error("pipeline `{pipeline}`: {error}")]
    PipelineConfig {
        /// The pipeline that is wrongly declared.
        pipeline: String,
        /// The field and what is wrong with it.
        error: StageConfigError,
    },
    /// The declaration of the model is wrong; the path is relative to the model's section.
    #[error("model `{model}`: {error}")]
    ModelConfig {
        /// The model that is wrongly declared.
        model: String,
        /// The field and what is wrong with it.
        error: StageConfigError,
    },
    /// The stages asked for are not a run of neighbours.
    #[error(
        "stages {first} to {last} are not in the order of the pipeline: preprocess, inference, postprocess"
    )]
    Stages {
        /// The stage asked for as the first.
        first: Stage,
        /// The stage asked for as the last.
        last: Stage,
    },
    /// ONNX Runtime is not there or cannot be used.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A file that the model needs cannot be read.
    #[error("model `{model}`: cannot read {}: {source}", path.display())]
    Read {
        /// The model whose file it is.
        model: String,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The model's file is no ONNX model that ONNX Runtime can load.
    #[error("model `{model}`: {} is not a usable ONNX model: {message}", path.display())]
    Model {
        /// The model that does not load.
        model: String,
        /// Its file.
        path: PathBuf,
        /// What ONNX Runtime or the check of its inputs and outputs says.
        message: String,
    },
    /// The file of labels does not hold one label per line, or does not fit the model.
    #[error("model `{model}`: labels {}: {message}", path.display())]
    Labels {
        /// The model whose labels they are.
        model: String,
        /// The file of labels.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

/// What an operation says about the job in its hands; the stage is added where the operation was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: FailureCode,
    pub(crate) message: String,
    pub(crate) class: FailureClass,
}

impl Fault {
    pub(crate) fn permanent(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), class: FailureClass::Permanent }
    }

    pub(crate) fn invalid_input(message: impl Into<String>) -> Self {
        Self::permanent(FailureCode::InvalidInput, message)
    }

    pub(crate) fn undecodable(message: impl Into<String>) -> Self {
        Self::permanent(FailureCode::Undecodable, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::permanent(FailureCode::TooLarge, message)
    }

    pub(crate) fn model_error(message: impl Into<String>) -> Self {
        Self::permanent(FailureCode::ModelError, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::permanent(FailureCode::Internal, message)
    }

    /// Names the step that the fault occurred in, as the configuration names it.
    pub(crate) fn in_step(self, step: &str) -> Self {
        Self { message: format!("{step}: {}", self.message), ..self }
    }

    pub(crate) fn at(self, stage: Stage) -> JobError {
        JobError { stage, code: self.code, message: self.message, class: self.class }
    }
}

impl From<ModelError> for Fault {
    fn from(error: ModelError) -> Self {
        Self { code: error.code, message: error.message, class: error.class }
    }
}

/// What a caught panic said, as far as it can be read.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
