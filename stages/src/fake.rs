//! A model that needs no ONNX Runtime: what it computes is a function that the test gives.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use schemas::{Datatype, Tensor};

use crate::model::{Model, ModelError, ModelInput, Stop};
use crate::signature::{Signature, TensorSpec};

type Function = Box<dyn FnMut(&[ModelInput<'_>]) -> Result<Vec<Tensor>, ModelError> + Send>;

/// A model in memory, for tests of what is built on [`Model`].
pub struct FakeModel {
    signature: Signature,
    function: Function,
    runs: Runs,
    stop: StopSign,
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

/// Whether a fake model is to end its run. The function of a model sees it go up when a run is too long.
#[derive(Debug, Clone, Default)]
pub struct StopSign(Arc<Sign>);

#[derive(Debug, Default)]
struct Sign {
    is_up: Mutex<bool>,
    changed: Condvar,
    stops: AtomicUsize,
}

impl StopSign {
    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        *self.lock()
    }

    /// Waits until it is up, at most this long; whether it is. Blocks, as a run of a model does.
    pub fn wait(&self, at_most: Duration) -> bool {
        let waited = self.0.changed.wait_timeout_while(self.lock(), at_most, |is_up| !*is_up);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// How often it went up.
    pub fn count(&self) -> usize {
        self.0.stops.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.is_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stop for StopSign {
    fn stop(&self) -> Result<(), ModelError> {
        *self.lock() = true;
        self.0.stops.fetch_add(1, Ordering::SeqCst);
        self.0.changed.notify_all();
        Ok(())
    }

    fn resume(&self) -> Result<(), ModelError> {
        *self.lock() = false;
        Ok(())
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
        Self { signature, function: Box::new(function), runs: Runs::default(), stop: StopSign::default() }
    }

    /// As [`FakeModel::new`]; the function also sees when its run is to end.
    pub fn stoppable(
        signature: Signature,
        mut function: impl FnMut(&[ModelInput<'_>], &StopSign) -> Result<Vec<Tensor>, ModelError> + Send + 'static,
    ) -> Self {
        let stop = StopSign::default();
        let sign = stop.clone();
        Self { stop, ..Self::new(signature, move |inputs| function(inputs, &sign)) }
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

    /// What tells this model's runs to end.
    pub fn stop_sign(&self) -> StopSign {
        self.stop.clone()
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

    fn stopper(&self) -> Arc<dyn Stop> {
        Arc::new(self.stop.clone())
    }
}
