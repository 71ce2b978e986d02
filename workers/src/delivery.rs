//! How outcomes leave and offsets are committed: one after the other (at least once) or as one (exactly once).

use std::time::Instant;

use transport::{Partition, Progress, Transport};

use crate::answers::Answers;
use crate::at_least_once::AtLeastOnce;
use crate::exactly_once::ExactlyOnce;
use crate::worker::WorkerError;

/// The exit of a worker; batches are added in fetch order.
pub(crate) enum Delivery<T: Transport> {
    AtLeastOnce(AtLeastOnce<T::Publisher>),
    ExactlyOnce(ExactlyOnce<T::Transactions>),
}

/// What is settled when a batch's outcomes are safe.
pub(crate) struct Settles {
    pub(crate) progress: Progress,
    pub(crate) entries: usize,
    /// Bytes of what is held for it: as it was read while it runs, then of its outcomes.
    pub(crate) bytes: usize,
}

/// Why a commit should not wait for its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// It should.
    None,
    /// Nothing else is going on, so that waiting for more has no purpose.
    Idle,
    /// Work cannot go on without it.
    Needed,
}

/// What happened at the exit.
pub(crate) enum Step {
    /// Outcomes are acknowledged; their offsets can be committed.
    Moved,
    /// The group has these offsets.
    Committed(Progress),
    /// A commit or a transaction did not come through; it is tried again.
    Failed,
}

impl<T: Transport> Delivery<T> {
    /// Where delivery is exactly once, offsets are those of this consumer. To be said once, at the beginning.
    pub(crate) fn commit_for(&self, consumer: &T::Consumer) {
        if let Self::ExactlyOnce(delivery) = self {
            delivery.commit_for(consumer);
        }
    }

    /// The oldest batch is done. Of partitions that went away while it ran, the answers are their next owner's to give:
    /// a transaction must not hold them, since it would not settle them. At least once they are only a repeat.
    pub(crate) fn add(&mut self, mut answers: Answers, mut settles: Settles, forgotten: &[Partition]) {
        if matches!(self, Self::ExactlyOnce(_)) {
            answers.forget(forgotten);
        }
        // From here on the outcomes are what is held; they can be far larger than what was read.
        settles.bytes = answers.bytes();
        match self {
            Self::AtLeastOnce(delivery) => delivery.add(answers, settles),
            Self::ExactlyOnce(delivery) => delivery.add(answers, settles),
        }
    }

    /// When [`start_commit`](Self::start_commit) should be called.
    pub(crate) fn due_at(&self, haste: Haste) -> Option<Instant> {
        match self {
            Self::AtLeastOnce(delivery) => delivery.due_at(haste),
            Self::ExactlyOnce(delivery) => delivery.due_at(haste),
        }
    }

    /// What [`start_commit`](Self::start_commit) would commit.
    pub(crate) fn to_commit(&self) -> &Progress {
        match self {
            Self::AtLeastOnce(delivery) => delivery.to_commit(),
            Self::ExactlyOnce(delivery) => delivery.to_commit(),
        }
    }

    /// Commits what can be committed, with a note beside each offset. Only when [`due_at`](Self::due_at) says so.
    pub(crate) fn start_commit(&mut self, consumer: &T::Consumer, note: &str) {
        match self {
            Self::AtLeastOnce(delivery) => delivery.start_commit(consumer, note),
            Self::ExactlyOnce(delivery) => delivery.start_commit(note),
        }
    }

    /// Waits for the next thing that happens at the exit. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Step, WorkerError> {
        match self {
            Self::AtLeastOnce(delivery) => delivery.next().await,
            Self::ExactlyOnce(delivery) => delivery.next().await,
        }
    }

    /// The work on these partitions is their next owner's.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        match self {
            Self::AtLeastOnce(delivery) => delivery.forget(partitions),
            Self::ExactlyOnce(delivery) => delivery.forget(partitions),
        }
    }

    /// Whether a commit now would leave outcomes behind that are still on their way.
    pub(crate) fn is_publishing(&self) -> bool {
        matches!(self, Self::AtLeastOnce(delivery) if delivery.is_publishing())
    }

    /// Whether a transaction is under way.
    pub(crate) fn is_in_transaction(&self) -> bool {
        matches!(self, Self::ExactlyOnce(delivery) if delivery.is_committing())
    }

    /// Whether a commit is under way.
    pub(crate) fn is_committing(&self) -> bool {
        match self {
            Self::AtLeastOnce(delivery) => delivery.is_committing(),
            Self::ExactlyOnce(delivery) => delivery.is_committing(),
        }
    }

    /// Whether everything that was added is committed.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::AtLeastOnce(delivery) => delivery.is_idle(),
            Self::ExactlyOnce(delivery) => delivery.is_idle(),
        }
    }

    /// Entries and bytes that are held until they are acknowledged.
    pub(crate) fn held(&self) -> (usize, usize) {
        match self {
            Self::AtLeastOnce(delivery) => delivery.held(),
            Self::ExactlyOnce(delivery) => delivery.held(),
        }
    }
}
