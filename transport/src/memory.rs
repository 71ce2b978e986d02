//! The same contract in memory, for tests: topics are vectors, and what goes wrong on a real cluster is done on demand.
//!
//! Groups rebalance as Kafka's do with cooperative assignment: a partition that moves is given up first, and goes to
//! its new owner when its revocation is released or the drain timeout has passed. Time is tokio's, so tests may pause
//! it.

mod append;
mod cluster;
mod consumer;
mod fetch;
mod group;
mod log;
mod publisher;
mod reader;
mod spread;
mod transact;
mod transactions;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::cluster::{Cluster, wait_for_change};
pub use self::consumer::MemoryConsumer;
pub use self::publisher::MemoryPublisher;
pub use self::reader::MemoryReader;
pub use self::transactions::{MemoryTransactions, TransactionFault};
use crate::consumer::ConsumerOptions;
use crate::error::{ConfigError, PublishErrorKind, TransportError};
use crate::progress::Progress;
use crate::reader::ReadFrom;
use crate::record::{Partition, Received};
use crate::transport::Transport;

/// A transport in memory; clones share the same topics and groups.
#[derive(Clone, Default)]
pub struct Memory {
    cluster: Arc<Cluster>,
}

/// How a commit is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// The group's coordinator does not answer: trying again may succeed.
    Unavailable,
    /// The group has given the partitions to somebody else.
    LostMembership,
    /// The group may not be written to.
    Fatal,
}

impl CommitFault {
    fn error(self) -> TransportError {
        let what = "cannot commit offsets".to_owned();
        let reason = "an injected failure".to_owned();
        match self {
            Self::Unavailable => TransportError::Unavailable { what, reason },
            Self::LostMembership => TransportError::LostMembership { what, reason },
            Self::Fatal => TransportError::Fatal { what, reason },
        }
    }
}

impl Memory {
    /// A transport without topics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a topic; one that exists stays as it is. Groups that want it share it at once.
    ///
    /// # Panics
    ///
    /// When `partitions` is not positive.
    pub fn create_topic(&self, name: &str, partitions: i32) {
        self.cluster.change(|state| state.topics.create(name, partitions));
    }

    /// All records of a topic, in order within each partition; none when the topic does not exist.
    pub fn records(&self, topic: &str) -> Vec<Received> {
        self.cluster.lock().topics.records(topic)
    }

    /// What a group has committed: for each partition the next offset to read.
    pub fn committed(&self, group: &str) -> Progress {
        self.cluster.lock().topics_and_group(group).1.committed()
    }

    /// How many members a group has.
    pub fn members(&self, group: &str) -> usize {
        self.cluster.lock().topics_and_group(group).1.members.len()
    }

    /// Takes partitions from the group, as if a member elsewhere had joined and got them; resolves when they are let
    /// go, which takes the drain timeout at most. [`give_back`](Self::give_back) undoes it.
    pub async fn revoke(&self, group: &str, partitions: &[Partition]) {
        let mut changes = self.cluster.changes();
        self.cluster.change(|state| state.topics_and_group(group).1.withhold(partitions));
        loop {
            changes.mark_unchanged();
            let expiry = {
                let mut state = self.cluster.lock();
                state.expire_revocations();
                let group = state.topics_and_group(group).1;
                if !partitions.iter().any(|partition| group.is_held(partition)) {
                    return;
                }
                group.next_expiry()
            };
            wait_for_change(&mut changes, expiry).await;
        }
    }

    /// Gives back what was revoked, as if that member had left: the group's members share it again.
    pub fn give_back(&self, group: &str) {
        self.cluster.change(|state| state.topics_and_group(group).1.give_back());
    }

    /// Takes partitions away without asking, as from a member that was thought dead; then the group shares them anew.
    pub fn lose(&self, group: &str, partitions: &[Partition]) {
        self.cluster.change(|state| state.topics_and_group(group).1.lose(partitions));
    }

    /// Makes all brokers unreachable, or reachable again. Meanwhile nothing is read, commits fail, and records wait
    /// to be published until the message timeout.
    pub fn set_reachable(&self, reachable: bool) {
        self.cluster.set_reachable(reachable);
    }

    /// Lets the next `count` records published to `topic` fail.
    pub fn fail_publishes(&self, topic: &str, kind: PublishErrorKind, count: usize) {
        self.cluster.fail_publishes(topic, kind, count);
    }

    /// Lets the next `count` commits fail, in any group.
    pub fn fail_commits(&self, fault: CommitFault, count: usize) {
        self.cluster.fail_commits(fault, count);
    }

    /// Lets the next `count` transactions end so, in any group.
    pub fn fail_transactions(&self, fault: TransactionFault, count: usize) {
        self.cluster.fail_transactions(fault, count);
    }

    /// Sets the largest record that is taken; 4 MiB otherwise.
    pub fn set_max_record_bytes(&self, bytes: usize) {
        self.cluster.change(|state| state.max_record_bytes = bytes);
    }

    /// Sets the largest record that one topic takes, where that is less.
    pub fn set_topic_max_record_bytes(&self, topic: &str, bytes: usize) {
        self.cluster.change(|state| {
            state.topic_max_record_bytes.insert(topic.into(), bytes);
        });
    }

    /// Sets how long a record waits for a reachable broker; 30 seconds otherwise.
    pub fn set_message_timeout(&self, timeout: Duration) {
        self.cluster.change(|state| state.message_timeout = timeout);
    }
}

impl Transport for Memory {
    type Consumer = MemoryConsumer;
    type Publisher = MemoryPublisher;
    type Transactions = MemoryTransactions;
    type Reader = MemoryReader;

    async fn transactions(&self, transactional_id: &str) -> Result<MemoryTransactions, TransportError> {
        let epoch = self.cluster.take_over(transactional_id)?;
        Ok(MemoryTransactions::new(&self.cluster, transactional_id, epoch))
    }

    async fn max_record_bytes(&self, topics: &[String]) -> Result<BTreeMap<String, usize>, TransportError> {
        let state = self.cluster.lock();
        if !state.reachable {
            return Err(TransportError::Unavailable {
                what: "cannot ask how large records may be".into(),
                reason: "no broker is reachable".into(),
            });
        }
        let known = topics.iter().filter(|topic| state.topics.partitions(topic).is_some());
        Ok(known.map(|topic| (topic.clone(), state.max_bytes(topic))).collect())
    }

    async fn consumer(
        &self,
        group: &str,
        topics: &[String],
        options: ConsumerOptions,
    ) -> Result<MemoryConsumer, TransportError> {
        if topics.is_empty() {
            return Err(ConfigError::new("topics", format!("group `{group}` has no topic to read")).into());
        }
        Ok(MemoryConsumer::join(&self.cluster, group, topics, options))
    }

    async fn publisher(&self) -> Result<MemoryPublisher, TransportError> {
        Ok(MemoryPublisher { cluster: self.cluster.clone() })
    }

    // Records are taken or refused one by one.
    fn with_batches_up_to(&self, _: usize) -> Self {
        self.clone()
    }

    fn at_leisure(&self) -> Self {
        self.clone()
    }

    async fn reader(&self, topic: &str, from: ReadFrom) -> Result<MemoryReader, TransportError> {
        MemoryReader::open(&self.cluster, topic, &from)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
