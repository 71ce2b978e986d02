//! Writing and committing as one: what a batch came to and how far the group has come, both or neither.

use std::future::Future;
use std::sync::Arc;

use crate::error::{PublishError, TransportError};
use crate::progress::Progress;
use crate::record::Record;

/// A transactional publisher.
///
/// Records become visible to readers of committed records when their transaction is committed, all at once. At most one
/// transaction is under way; whoever calls again before it has ended waits.
pub trait Transactions: Send + Sync + 'static {
    /// Whose offsets it commits.
    type Consumer;

    /// The offsets are those of `consumer` and its group. To be said once, before the first progress is committed: so
    /// the transactional id can be taken over before a consumer joins its group, and makes the other members wait.
    fn commit_for(&self, consumer: &Self::Consumer);

    /// Publishes `records` and commits `progress`, with `note` beside each offset, in one transaction. Nobody waits for
    /// a model here: the transaction begins with this call.
    ///
    /// A partition that is not assigned to the consumer refuses the whole, as with
    /// [`Consumer::commit`](crate::Consumer::commit). A future that is dropped does not take the transaction back.
    fn commit(
        &self,
        records: Arc<Vec<Record>>,
        progress: Progress,
        note: &str,
    ) -> impl Future<Output = Result<(), TransactionError>> + Send + 'static;
}

/// Why a transaction was not committed, sorted by what the caller does next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransactionError {
    /// It has certainly been undone: the same records may be committed again.
    #[error("{reason}")]
    Aborted {
        /// Why.
        reason: String,
    },
    /// It has certainly been undone, because partitions belong to somebody else by now: forget their work first.
    #[error("{reason}")]
    LostMembership {
        /// Why.
        reason: String,
    },
    /// It has certainly been undone, because records are too large for their topic.
    #[error(transparent)]
    TooLarge(PublishError),
    /// Another publisher has taken over the transactional id, or the broker gave up on a transaction that took too
    /// long. Whether this one was committed is not known: open the transactions anew, and go on where the group is.
    #[error("{reason}")]
    Fenced {
        /// Why.
        reason: String,
    },
    /// The broker did not answer, or the publisher is broken. As with `Fenced`, nothing is known.
    #[error("{reason}")]
    Unknown {
        /// Why.
        reason: String,
    },
    /// It will not heal by itself: stop.
    #[error(transparent)]
    Fatal(TransportError),
}
