//! What runs a batch: the trait, of which ONNX Runtime is one implementation and [`FakeModel`](crate::fake::FakeModel)
//! the other.

mod onnx;
mod values;

use std::sync::Arc;

use schemas::{Datatype, FailureCode, Tensor};

pub use onnx::OnnxModel;

use crate::failure_class::FailureClass;
use crate::signature::Signature;

/// A loaded model. It is used by one batch at a time; several of them run side by side as a pool.
pub trait Model: Send {
    /// What it takes and gives.
    fn signature(&self) -> &Signature;

    /// Runs it on one batch and gives its outputs in the order of the signature. Blocks until it is done.
    fn run(&mut self, inputs: &[ModelInput<'_>]) -> Result<Vec<Tensor>, ModelError>;

    /// What ends a run of this model from another thread.
    fn stopper(&self) -> Arc<dyn Stop>;
}

/// Ends the runs of one [`Model`]. It cannot tell one run from the next: whoever stops sees to it that it is the right one
/// that goes on.
pub trait Stop: Send + Sync {
    /// Ends the run that goes on, and every later one until [`Stop::resume`]. Does not wait: the run returns with an error
    /// as soon as it can.
    fn stop(&self) -> Result<(), ModelError>;

    /// Lets the model run again.
    fn resume(&self) -> Result<(), ModelError>;
}

/// One input of a batch: the tensors of its jobs, which follow each other along the first axis.
#[derive(Debug, Clone)]
pub struct ModelInput<'a> {
    /// The input's name.
    pub name: &'a str,
    /// The type of its elements.
    pub datatype: Datatype,
    /// Its shape as a whole.
    pub shape: Vec<u64>,
    /// What it consists of, in order; a model copies them into one buffer. At least one.
    pub parts: Vec<&'a Tensor>,
}

/// Why a model did not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// The kind of failure, as the wire contract names it.
    pub code: FailureCode,
    /// What it says.
    pub message: String,
    /// What is to be done about it.
    pub class: FailureClass,
}

impl ModelError {
    /// An error that the same inputs will always give.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, message)
    }

    /// An error that may pass: memory that was short.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Transient, message)
    }

    /// An error that every later run will give as well: a device that was lost.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Fatal, message)
    }

    /// An error of the model, with what is to be done about it.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { code: FailureCode::ModelError, message: message.into(), class }
    }

    /// Whether the same inputs can succeed another time.
    pub const fn is_retriable(&self) -> bool {
        self.class.is_retriable()
    }
}
