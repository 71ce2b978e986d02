//! Why a worker stopped before it was asked to.

use tokio::task::JoinError;
use transport::{PublishError, TransportError};

use crate::on_failure::StoppedAt;

/// Why a worker stopped before it was asked to. It has not committed what was unfinished: starting it again is the retry.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The consumer or the group cannot go on.
    #[error(
        "the worker cannot read its topic any more; check the broker and the group's configuration, then start it again"
    )]
    Transport(#[from] TransportError),
    /// Outcomes cannot be written.
    #[error(
        "outcomes could not be published, so nothing was committed; check the broker and its topics, then start the worker again"
    )]
    Publish(#[source] PublishError),
    /// A topic takes less than it did as the worker started.
    #[error("outcomes are larger than their topic takes by now")]
    TooLarge(#[source] PublishError),
    /// Another worker has taken over the transactional id, or a transaction took too long.
    #[error(
        "the transactional id was taken over ({reason}); give each worker its own slot (worker.slot or --slot)"
    )]
    Fenced {
        /// What the broker said.
        reason: String,
    },
    /// Whether a transaction was committed is not known.
    #[error("a transaction was not answered ({reason})")]
    Interrupted {
        /// What happened to it.
        reason: String,
    },
    /// The model cannot be run any more.
    #[error(
        "the model cannot be run any more, and the jobs that wait are not to blame: {reason}; nothing of the batch was answered"
    )]
    Model {
        /// What it says.
        reason: String,
    },
    /// A job failed in a stage that is declared to stop then.
    #[error("{0}")]
    Stopped(Box<StoppedAt>),
    /// A batch panicked outside the places where that is contained.
    #[error("a batch panicked: this is a bug in millstream; nothing of the batch was committed")]
    Panicked(#[from] JoinError),
    /// The transport ended by itself.
    #[error("the consumer ended without being asked to; start the worker again")]
    ConsumerEnded,
}

impl WorkerError {
    pub(crate) fn of_publishing(error: PublishError) -> Self {
        if error.too_large() { Self::TooLarge(error) } else { Self::Publish(error) }
    }

    /// Whether Kafka could not be reached or refused, rather than a defect of this program.
    pub fn is_of_kafka(&self) -> bool {
        matches!(
            self,
            Self::Transport(_)
                | Self::Publish(_)
                | Self::TooLarge(_)
                | Self::Fenced { .. }
                | Self::Interrupted { .. }
        )
    }
}

/// An error with its causes, for a log line: `Display` of an error never prints its sources.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
