//! A model that needs no ONNX Runtime: what it computes is a function that the test gives.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use schemas::{Datatype, Tensor};

use crate::model::{Model, ModelError, ModelInput};
use crate::signature::{Signature, TensorSpec};

type Function = Box<dyn FnMut(&[ModelInput<'_>]) -> Result<Vec<Tensor>, ModelError> + Send>;

/// A model in memory, for tests of what is built on [`Model`].
pub struct FakeModel {
    signature: Signature,
    function: Function,
    runs: Runs,
}

/// How often a fake model has been run; stays with the test when the model has gone into a pool.
#[derive(Debug, Clone, Default)]
pub struct Runs(Arc<AtomicUsize>);

impl Runs {
    /// The number of runs so far.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for FakeModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeModel").field("signature", &self.signature).finish_non_exhaustive()
    }
}

impl FakeModel {
    /// A model that computes what `function` says. It may fail, and it may panic.
    pub fn new(
        signature: Signature,
        function: impl FnMut(&[ModelInput<'_>]) -> Result<Vec<Tensor>, ModelError> + Send + 'static,
    ) -> Self {
        Self { signature, function: Box::new(function), runs: Runs::default() }
    }

    /// A model that gives its one input `x` back as `y`; a dimension below 0 is dynamic.
    pub fn identity(datatype: Datatype, dimensions: &[i64]) -> Self {
        let signature = Signature::new(
            vec![TensorSpec::new("x", datatype, dimensions)],
            vec![TensorSpec::new("y", datatype, dimensions)],
        );
        Self::new(signature, |inputs| Ok(vec![concatenated(&inputs[0])?.renamed("y")]))
    }

    /// The counter of this model's runs.
    pub fn runs(&self) -> Runs {
        self.runs.clone()
    }
}

/// An input as one tensor.
pub fn concatenated(input: &ModelInput<'_>) -> Result<Tensor, ModelError> {
    let mut data = BytesMut::new();
    for part in &input.parts {
        data.extend_from_slice(part.data());
    }
    Tensor::new(input.name, input.datatype, input.shape.clone(), data.freeze())
        .map_err(|error| ModelError::permanent(error.to_string()))
}

impl Model for FakeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: &[ModelInput<'_>]) -> Result<Vec<Tensor>, ModelError> {
        self.runs.0.fetch_add(1, Ordering::SeqCst);
        (self.function)(inputs)
    }
}
