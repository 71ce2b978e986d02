//! What runs a batch: the trait, of which ONNX Runtime is one implementation and [`FakeModel`](crate::fake::FakeModel)
//! the other.

mod onnx;
mod values;

use schemas::{Datatype, Tensor};

pub use onnx::OnnxModel;

use crate::signature::Signature;

/// A loaded model. It is used by one batch at a time; several of them run side by side as a pool.
pub trait Model: Send {
    /// What it takes and gives.
    fn signature(&self) -> &Signature;

    /// Runs it on one batch and gives its outputs in the order of the signature. Blocks until it is done.
    fn run(&mut self, inputs: &[ModelInput<'_>]) -> Result<Vec<Tensor>, ModelError>;
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
    /// What it says.
    pub message: String,
    /// Whether the same inputs may succeed another time: memory that was short, a device that was lost.
    pub retriable: bool,
}

impl ModelError {
    /// An error that the same inputs will always give.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: false }
    }

    /// An error that may pass.
    pub fn transient(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: true }
    }
}
