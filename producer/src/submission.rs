//! What is submitted: a payload, and what the producer says about it.

use std::fmt;

use bytes::Bytes;
use schemas::{Job, JobId, Stage, Timestamp};

/// A job on its way to a pipeline.
///
/// ```
/// use producer::Submission;
/// use schemas::{Job, Stage, Tensor};
///
/// let image = Submission::raw("image/png", vec![0x89, 0x50]).with_key("camera-7").with_batch("monday");
///
/// // A producer that has the model's inputs already starts at a later stage.
/// let tensor = Tensor::from_elements("input", [1, 2], &[0.5_f32, 1.5])?;
/// let ready = Submission::from(Job::new([tensor])).starting_at(Stage::Inference);
/// # let _ = (image, ready);
/// # Ok::<(), schemas::TensorError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Submission {
    /// The work itself.
    pub payload: Payload,
    /// The job's identity and idempotency key; a new UUIDv7 if left out.
    pub id: Option<JobId>,
    /// Jobs of one key keep their order; without one, any partition will do.
    pub key: Option<Bytes>,
    /// Past it the job is not run; it fails as `expired`.
    pub deadline: Option<Timestamp>,
    /// Groups jobs that are submitted together; results can be filtered by it.
    pub batch_id: Option<String>,
    /// The stage to start at.
    pub stage: Stage,
    /// The trace that this job belongs to; a new one if left out.
    pub traceparent: Option<String>,
    /// The state of that trace.
    pub tracestate: Option<String>,
    /// Headers of the caller's own, which pass through every hop unchanged. Those of the contract are not among them.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl Submission {
    /// A job that starts at the first stage, without key, deadline and batch.
    pub fn new(payload: impl Into<Payload>) -> Self {
        Self {
            payload: payload.into(),
            id: None,
            key: None,
            deadline: None,
            batch_id: None,
            stage: Stage::Preprocess,
            traceparent: None,
            tracestate: None,
            headers: Vec::new(),
        }
    }

    /// A payload as it is, such as the bytes of an image.
    pub fn raw(content_type: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self::new(Payload::Raw { content_type: Some(content_type.into()), body: body.into() })
    }

    /// The same job with an id of the caller's choice. Submitting one id twice is how a retry is told from a new job.
    #[must_use]
    pub fn with_id(self, id: JobId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// The same job with a key.
    #[must_use]
    pub fn with_key(self, key: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// The same job with a deadline.
    #[must_use]
    pub fn with_deadline(self, deadline: Timestamp) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// The same job as one of a batch.
    #[must_use]
    pub fn with_batch(self, batch_id: impl Into<String>) -> Self {
        Self { batch_id: Some(batch_id.into()), ..self }
    }

    /// The same job, starting at this stage.
    #[must_use]
    pub fn starting_at(self, stage: Stage) -> Self {
        Self { stage, ..self }
    }

    /// The same job with one header more.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }
}

impl<P: Into<Payload>> From<P> for Submission {
    fn from(payload: P) -> Self {
        Self::new(payload)
    }
}

/// The work itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// Named tensors; travels as MessagePack.
    Job(Job),
    /// Bytes that travel as they are. The content type says what they are, and so how they are read: MessagePack or
    /// JSON of the contract, or a raw payload for the preprocessing stage.
    Raw {
        /// The media type, such as `image/png`.
        content_type: Option<String>,
        /// The bytes.
        body: Bytes,
    },
}

impl From<Job> for Payload {
    fn from(job: Job) -> Self {
        Self::Job(job)
    }
}

/// Shows lengths only, so that no payload reaches a log line through `{:?}`.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(job) => write!(f, "Job({} tensors)", job.inputs.len()),
            Self::Raw { content_type, body } => {
                write!(
                    f,
                    "Raw({}, {} bytes)",
                    content_type.as_deref().unwrap_or("no content type"),
                    body.len()
                )
            }
        }
    }
}
