//! Errors, sorted by what the caller does next. Each of them names its job or its position.

use std::fmt;
use std::time::Duration;

use schemas::{Cancellation, DecodeError, EncodeError, JobId};
use transport::{Position, TransportError};

use crate::outcome::JobOutcome;

/// A job was not submitted, or it is not known whether it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// A fact about this job: as it is, it will never be taken. Others are not concerned.
    #[error("job {id} is refused: {reason}")]
    Rejected {
        /// The job.
        id: JobId,
        /// What is wrong with it.
        reason: Rejection,
    },
    /// No acknowledgement came. Submit it again with the same id; it may arrive twice then.
    #[error("job {id} was not acknowledged: {reason}")]
    Unacknowledged {
        /// The job.
        id: JobId,
        /// Why, and what to look at.
        reason: String,
    },
    /// Publishing does not work and will not heal by itself: tell the user and stop.
    #[error("job {id} cannot be submitted: {reason}")]
    Broken {
        /// The job.
        id: JobId,
        /// Why, and what to do.
        reason: String,
    },
}

impl SubmitError {
    /// The job that it is about.
    pub fn id(&self) -> &JobId {
        match self {
            Self::Rejected { id, .. } | Self::Unacknowledged { id, .. } | Self::Broken { id, .. } => id,
        }
    }

    /// Whether submitting the same job again, under its id, may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unacknowledged { .. })
    }
}

/// What is wrong with a job that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Its tensors or parameters cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Its record is larger than the pipeline takes.
    #[error(
        "its record has {bytes} bytes, more than limits.max_record_bytes = {limit}; send less, or raise the limit \
         together with the topic's max.message.bytes"
    )]
    TooLarge {
        /// Bytes of key, value and headers.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A header of the caller has a name that the contract gives a meaning to.
    #[error(
        "the header {0} belongs to the contract; leave it out, or set it by the field or option of its own"
    )]
    ReservedHeader(String),
    /// The broker refused the record.
    #[error("{0}")]
    Refused(String),
}

/// A cancellation was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot cancel {cancellation}: {reason}")]
pub struct CancelError {
    /// What was to be withdrawn.
    pub cancellation: Cancellation,
    /// Whether trying again may succeed; asking twice does no harm.
    pub is_retryable: bool,
    /// Why, and what to look at.
    pub reason: String,
}

/// Following the results met something that is not a result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResultError {
    /// A terminal record that cannot be decoded: note it and read on.
    #[error(transparent)]
    Undecodable(#[from] Box<UndecodableResult>),
    /// The transport fails; [`TransportError::is_retryable`] says whether to read on.
    #[error("cannot read results: {0}")]
    Transport(#[from] TransportError),
}

impl ResultError {
    /// Whether reading on makes sense: always, unless the transport is broken for good.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Undecodable(_) => true,
            Self::Transport(error) => error.is_retryable(),
        }
    }
}

/// A terminal record that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndecodableResult {
    /// Where it lies.
    pub position: Position,
    /// Whose it is, if at least that can be read.
    pub id: Option<JobId>,
    /// What is wrong with it.
    pub fault: DecodeError,
}

impl fmt::Display for UndecodableResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the record at {} is not a result that can be read: {}", self.position, self.fault)?;
        match &self.id {
            Some(id) => write!(f, " (job {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UndecodableResult {}

/// Waiting for outcomes came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WaitError {
    /// The job was not submitted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The results cannot be followed, or the outcome of one of the jobs cannot be decoded.
    #[error(transparent)]
    Result(#[from] ResultError),
    /// Not every outcome came in time. The jobs go on; their outcomes can still be read later.
    #[error(
        "no outcome of {} of {} jobs after {}, first of them {}; see that a worker runs for each stage, and look for it \
         later among the results",
        missing.len(), missing.len() + found.len(), seconds(*.after), missing.first().map_or("none", JobId::as_str)
    )]
    Timeout {
        /// How long was waited.
        after: Duration,
        /// The jobs without an outcome, in the order asked for; never empty.
        missing: Vec<JobId>,
        /// The outcomes that came, in the order asked for.
        found: Vec<JobOutcome>,
    },
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
