//! Transactions in memory: everything at once under one lock, and the failures of a real cluster on demand.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::cluster::{Cluster, wait_for_change};
use super::consumer::MemoryConsumer;
use super::group::MemberId;
use crate::progress::Progress;
use crate::record::Record;
use crate::transactions::{TransactionError, Transactions};

/// How a transaction is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionFault {
    /// It is undone, and may be tried again.
    Aborted,
    /// It is undone, but nobody can say so.
    Unknown,
    /// It is committed, but nobody can say so.
    UnknownCommitted,
    /// Somebody else has taken over the transactional id; it is undone.
    Fenced,
}

/// Transactions in memory, under one transactional id.
pub struct MemoryTransactions {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) cluster: Arc<Cluster>,
    pub(super) id: String,
    /// How often the id has been taken over, this time included.
    pub(super) epoch: u64,
    pub(super) commits_for: OnceLock<Membership>,
    /// Why it is of no more use, as a producer on Kafka is after anything uncertain.
    pub(super) broken: Mutex<Option<TransactionError>>,
}

/// A member of a group.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) group: String,
    pub(super) member: MemberId,
}

impl MemoryTransactions {
    pub(super) fn new(cluster: &Arc<Cluster>, id: &str, epoch: u64) -> Self {
        let (cluster, id) = (cluster.clone(), id.to_owned());
        Self {
            inner: Arc::new(Inner {
                cluster,
                id,
                epoch,
                commits_for: OnceLock::new(),
                broken: Mutex::new(None),
            }),
        }
    }
}

impl Inner {
    // `None` while no broker is reachable.
    fn attempt(
        &self,
        records: &[Record],
        progress: &Progress,
        note: &str,
    ) -> Option<Result<(), TransactionError>> {
        let mut broken = self.broken.lock().expect("no holder of the reason panics");
        if let Some(error) = &*broken {
            return Some(Err(error.clone()));
        }
        // Looked at first, because every change wakes whoever waits for one, and that is this.
        if !self.cluster.lock().reachable {
            return None;
        }
        let outcome = self.cluster.change(|state| state.transact(self, records, progress, note));
        broken.clone_from(&outcome.as_ref().err().filter(|error| breaks(error)).cloned());
        Some(outcome)
    }

    async fn wait(
        &self,
        records: &[Record],
        progress: &Progress,
        note: &str,
        limit: Duration,
    ) -> Result<(), TransactionError> {
        let deadline = Instant::now() + limit;
        let mut changes = self.cluster.changes();
        loop {
            changes.mark_unchanged();
            if let Some(outcome) = self.attempt(records, progress, note) {
                return outcome;
            }
            if Instant::now() >= deadline {
                let error = TransactionError::Unknown { reason: "no broker is reachable".into() };
                *self.broken.lock().expect("no holder of the reason panics") = Some(error.clone());
                return Err(error);
            }
            wait_for_change(&mut changes, Some(deadline)).await;
        }
    }
}

fn breaks(error: &TransactionError) -> bool {
    matches!(error, TransactionError::Fenced { .. } | TransactionError::Unknown { .. })
}

impl Transactions for MemoryTransactions {
    type Consumer = MemoryConsumer;

    fn commit_for(&self, consumer: &MemoryConsumer) {
        // The first stays, as on Kafka.
        drop(self.inner.commits_for.set(consumer.membership()));
    }

    fn commit(
        &self,
        records: Arc<Vec<Record>>,
        progress: Progress,
        note: &str,
    ) -> impl Future<Output = Result<(), TransactionError>> + Send + 'static {
        // At once, so that dropping the future takes nothing back.
        let settled = self.inner.attempt(&records, &progress, note);
        let (inner, note) = (self.inner.clone(), note.to_owned());
        async move {
            match settled {
                Some(outcome) => outcome,
                None => {
                    let limit = inner.cluster.lock().message_timeout;
                    inner.wait(&records, &progress, &note, limit).await
                }
            }
        }
    }
}

impl fmt::Debug for MemoryTransactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransactions").field("id", &self.inner.id).finish_non_exhaustive()
    }
}
