//! Inference: jobs that hold a model's inputs to jobs that hold its outputs, on a pool of sessions.

mod batch;
mod session;

use std::sync::Arc;
use std::time::Duration;

use deadpool::unmanaged::Pool;
use schemas::{Job, Tensor};
use tokio::sync::Mutex;

use crate::blocking::blocking;
use crate::config::{ModelConfig, RuntimeConfig};
use crate::error::{JobError, LoadError};
use crate::model::{Model, ModelError, OnnxModel};
use crate::provenance::digest;
use crate::runtime::Runtime;
use crate::signature::{Dimension, Signature, TensorSpec};

pub(crate) use batch::run_jobs;
use session::{Session, TimeLimit};

/// A model and the sessions that it is run on.
#[derive(Clone)]
pub struct Inference {
    signature: Arc<Signature>,
    digest: String,
    sessions: Pool<Box<dyn Model>>,
    time_limit: Option<TimeLimit>,
    /// Held while the sessions are warmed up: two that each wait for the other's sessions would wait for ever.
    warming_up: Arc<Mutex<()>>,
}

/// A job after the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    /// The job; its tensors are the model's outputs.
    pub job: Job,
    /// How long the run took that it was part of.
    pub elapsed: Duration,
    /// How many rows that run had; 1 for a model without a batch axis.
    pub batch_size: u32,
}

impl std::fmt::Debug for Inference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inference")
            .field("signature", &self.signature)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Inference {
    /// Loads a model from its file and makes its sessions. Starts ONNX Runtime if no model has done so before. Blocks.
    pub fn load(runtime: &RuntimeConfig, name: &str, config: &ModelConfig) -> Result<Self, LoadError> {
        if let Some(error) = config.check().into_iter().next() {
            return Err(LoadError::ModelConfig { model: name.to_owned(), error });
        }
        // Read once, so that the digest is that of the bytes that are run, whatever happens to the file.
        let bytes = std::fs::read(&config.path).map_err(|source| LoadError::Read {
            model: name.to_owned(),
            path: config.path.clone(),
            source,
        })?;
        let runtime = Runtime::start(runtime)?;
        let sessions = OnnxModel::sessions(runtime, name, config, &bytes)?;
        let boxed = sessions.into_iter().map(|session| Box::new(session) as Box<dyn Model>).collect();
        let inference = Self::with_models(boxed, digest(&bytes)).limited(name, config);
        tracing::info!(
            model = name,
            version = config.version,
            digest = inference.digest,
            sessions = config.sessions,
            threads_per_session = config.threads_per_session(),
            batch_axis = inference.signature.batch_axis(),
            "loaded model"
        );
        Ok(inference)
    }

    /// Inference on models that are there already, at least one, all of one signature.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn with_models(models: Vec<Box<dyn Model>>, digest: impl Into<String>) -> Self {
        let first = models.first().expect("inference has at least one session");
        let signature = Arc::new(first.signature().clone());
        Self {
            signature,
            digest: digest.into(),
            sessions: Pool::from(models),
            time_limit: None,
            warming_up: Arc::default(),
        }
    }

    /// With the limit that the configuration of the model sets to the time of each run, if it does.
    #[must_use]
    pub fn limited(self, name: &str, config: &ModelConfig) -> Self {
        let limit = |limit| TimeLimit { model: name.into(), limit };
        Self { time_limit: config.timeout().map(limit), ..self }
    }

    /// What the model takes and gives.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The sha-256 of the model's file, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Runs every session once, on one row of zeros with every other dynamic axis of size 1, so that the first job does
    /// not pay for what ONNX Runtime does lazily, and gives the outputs. A model that does not accept such an input
    /// gives an error here and may work all the same. The time limit does not hold here: a first run takes longer.
    pub async fn warm_up(&self) -> Result<Job, ModelError> {
        let job = Job::new(zeros(&self.signature)?);
        let _warming_up = self.warming_up.lock().await;
        let mut all = Vec::new();
        for _ in 0..self.sessions.status().size {
            // Each one is held until all have run, so that none is run twice.
            all.push(self.unlimited_session().await);
        }
        let signature = Arc::clone(&self.signature);
        let run = move || {
            let run = |session: &mut Session| {
                run_jobs(session, &signature, vec![job.clone()]).pop().expect("one outcome per job")
            };
            let outcomes: Vec<Result<Inferred, JobError>> = all.iter_mut().map(run).collect();
            outcomes.into_iter().collect::<Result<Vec<Inferred>, JobError>>()
        };
        match blocking(run).await {
            Ok(mut outcomes) => Ok(outcomes.pop().expect("there is at least one session").job),
            Err(JobError { code, message, class, .. }) => Err(ModelError { code, message, class }),
        }
    }

    /// Takes jobs through the model: one outcome per job, in the same order. Jobs that fit each other share a run; one
    /// that does not fit the model, or that the model fails on, fails alone. A run that takes longer than it may is ended,
    /// and its jobs fail with `timeout`.
    pub async fn run(&self, jobs: Vec<Job>) -> Vec<Result<Inferred, JobError>> {
        let mut session = self.session().await;
        let signature = Arc::clone(&self.signature);
        blocking(move || run_jobs(&mut session, &signature, jobs)).await
    }

    /// Sessions that no run holds.
    pub fn sessions_available(&self) -> usize {
        self.sessions.status().available
    }

    /// A session of one's own; the pool has it back when it is dropped.
    pub(crate) async fn session(&self) -> Session {
        self.session_with(self.time_limit.clone()).await
    }

    async fn unlimited_session(&self) -> Session {
        self.session_with(None).await
    }

    async fn session_with(&self, limit: Option<TimeLimit>) -> Session {
        let model = self.sessions.get().await;
        Session::new(
            model.expect("the pool of sessions is never closed, and getting one never times out"),
            limit,
        )
    }

    pub(crate) fn shared_signature(&self) -> Arc<Signature> {
        Arc::clone(&self.signature)
    }
}

fn zeros(signature: &Signature) -> Result<Vec<Tensor>, ModelError> {
    let zero = |input: &TensorSpec| {
        let size = |dimension: &Dimension| match dimension {
            Dimension::Fixed(size) => *size,
            Dimension::Dynamic(_) => 1,
        };
        let shape: Vec<u64> = input.dimensions.iter().map(size).collect();
        // An empty string is a length of zero: four bytes.
        let element_size = input.datatype.element_size().unwrap_or(4) as u64;
        let bytes = shape.iter().try_fold(element_size, |product, size| product.checked_mul(*size));
        let length = bytes.filter(|bytes| *bytes <= MAX_WARM_UP_BYTES);
        let length = length
            .ok_or_else(|| ModelError::permanent(format!("input {input} is too large to warm up with")))?;
        let data = vec![0; length as usize];
        Tensor::new(&input.name, input.datatype, shape, data)
            .map_err(|error| ModelError::permanent(error.to_string()))
    };
    signature.inputs().iter().map(zero).collect()
}

/// Models that take more than this in one row are not warmed up.
const MAX_WARM_UP_BYTES: u64 = 256 << 20;
