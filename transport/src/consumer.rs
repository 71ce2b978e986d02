//! Reading as a member of a group: everything that can happen is one enum.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::TransportError;
use crate::progress::Progress;
use crate::record::{Offset, Partition, Received};

/// A member of a consumer group.
///
/// Events that concern the assignment overtake records that wait to be read, and records of revoked partitions that
/// were not read yet are dropped (their next owner reads them); so after [`Event::Revoked`] no record of its
/// partitions comes until they are assigned again.
pub trait Consumer: Send {
    /// The next thing that happened; `None` once the consumer has stopped for good. Cancel safe: an event is either
    /// returned or stays.
    fn next(&mut self) -> impl Future<Output = Option<Event>> + Send;

    /// As [`next`](Self::next), but leaves records where they are: for a caller that has no room for more of them and
    /// must still learn of a revocation. Cancel safe.
    fn next_signal(&mut self) -> impl Future<Output = Option<Event>> + Send;

    /// Writes down how far the group has come, and `note` beside each offset; resolves when the broker has it. Works
    /// while a revocation waits for its release. Commits take effect in the order of the calls, whether or not their
    /// futures are polled.
    ///
    /// A commit that names a partition which is not assigned is refused as a whole
    /// ([`TransportError::LostMembership`]): it would set the next owner back.
    fn commit(
        &self,
        progress: Progress,
        note: &str,
    ) -> impl Future<Output = Result<(), TransportError>> + Send + 'static;

    /// What the group has committed for these partitions, in the same order. Waits for transactions that are being
    /// ended, so that what it tells is settled.
    fn committed(
        &self,
        partitions: &[Partition],
    ) -> impl Future<Output = Result<Vec<Committed>, TransportError>> + Send + 'static;

    /// Stops reading a partition until [`resume`](Self::resume); what has been read ahead may still come. A partition
    /// that is assigned anew is read.
    fn pause(&self, partition: &Partition);

    /// Goes on reading a paused partition, after the last record that came.
    fn resume(&self, partition: &Partition);

    /// How the consumer is doing, now and later.
    fn status(&self) -> watch::Receiver<Status>;

    /// Leaves the group, unless under a [fixed name](ConsumerOptions::instance_id), and ends the polling; bounded in time. What has not been committed before is read again by
    /// the next owner.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// What a group has written down about a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The partition.
    pub partition: Partition,
    /// The next offset to read; `None` before the first commit.
    pub next: Option<Offset>,
    /// The note of the last commit; empty where there is none.
    pub note: String,
    /// The offset after the last record of the partition, as it was when it was asked for.
    pub end: Offset,
}

/// Everything that a consumer can see.
#[derive(Debug)]
pub enum Event {
    /// Records, in order within each partition; never empty.
    Records(Vec<Received>),
    /// Partitions that this consumer now reads, in addition to those it had. None of them: other members have them
    /// all, and this one stands by.
    Assigned(Vec<Partition>),
    /// Partitions that this consumer gives up.
    Revoked(Revocation),
    /// Something is wrong; see [`TransportError`] for what to do. Errors that heal by themselves and cost nothing
    /// but time (a broker restarting) are in the [`Status`] instead.
    Error(TransportError),
}

/// Partitions are about to go to another member. The group waits until this is dropped or [released](Self::release),
/// at most the drain timeout: finish what runs, publish, commit, then let go.
#[must_use = "the partitions are let go when the revocation is dropped"]
pub struct Revocation {
    /// The partitions that are given up.
    pub partitions: Vec<Partition>,
    /// They are gone already (the membership was lost): nothing to wait for, and a commit would be refused.
    pub lost: bool,
    on_release: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Revocation {
    /// A revocation that calls `on_release` once, when it is let go.
    pub fn new(
        partitions: Vec<Partition>,
        lost: bool,
        on_release: impl FnOnce() + Send + Sync + 'static,
    ) -> Self {
        Self { partitions, lost, on_release: Some(Box::new(on_release)) }
    }

    /// Lets the partitions go. The same as dropping it, but says so.
    pub fn release(self) {}
}

impl Drop for Revocation {
    fn drop(&mut self) {
        if let Some(on_release) = self.on_release.take() {
            on_release();
        }
    }
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation").field("partitions", &self.partitions).field("lost", &self.lost).finish()
    }
}

/// How a consumer is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether at least one broker is reachable. False until the first connection.
    pub brokers_up: bool,
    /// For each assigned partition the records that are not committed yet, as far as it is known.
    pub lag: Vec<(Partition, i64)>,
    /// How many partitions are assigned.
    pub assigned: usize,
}

/// What a consumer may hold and how long it may take to let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// How long a revocation waits for its release. Shorter than the session timeout; checked at construction.
    pub drain_timeout: Duration,
    /// Records that wait to be read; at this many the partitions are paused, at half of it they go on.
    pub max_queued_records: usize,
    /// Bytes of records that wait to be read; the same.
    pub max_queued_bytes: usize,
    /// Records in one [`Event::Records`] at most.
    pub max_chunk: usize,
    /// How this member calls itself to the broker; by default the `client_id` of the configuration.
    pub client_id: Option<String>,
    /// A fixed name of this member, unique within the group: whoever has it again within the session timeout, 45 s then,
    /// has the same partitions, and nobody else's move. On closing, the member does not leave the group. In memory,
    /// where nothing is restarted, it has no effect.
    pub instance_id: Option<String>,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            drain_timeout: Duration::from_secs(10),
            max_queued_records: 2_000,
            max_queued_bytes: 16 * 1024 * 1024,
            max_chunk: 256,
            client_id: None,
            instance_id: None,
        }
    }
}
