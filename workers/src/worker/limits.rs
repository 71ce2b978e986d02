//! What a worker holds at once at most, and how much of that it holds.

use std::time::Duration;

use transport::Transport;

use super::Worker;
use crate::batch::BatchLimits;
use crate::exactly_once::TransactionLimits;

/// Bounds of what a worker holds at once, and its clocks.
#[derive(Debug, Clone)]
pub struct WorkerLimits {
    /// When a batch leaves.
    pub batch: BatchLimits,
    /// Batches that run at once at most.
    pub max_running_batches: usize,
    /// Records read and not yet settled at most; beyond it nothing is read.
    pub max_inflight_records: usize,
    /// Bytes of records read and not yet settled at most.
    pub max_inflight_bytes: usize,
    /// Time between commits under load.
    pub commit_interval: Duration,
    /// When a transaction leaves, where outcomes are delivered exactly once.
    pub transaction: TransactionLimits,
    /// Offsets that may be run ahead of the last commit, in each partition.
    pub max_uncommitted_records: usize,
    /// How many workers a record may kill before it is answered with a failure.
    pub max_crashes: u32,
    /// How long running work may take to finish on a rebalance or a stop.
    pub drain_timeout: Duration,
}

impl<T: Transport> Worker<T> {
    pub(super) fn has_room(&self) -> bool {
        let (records, bytes) = self.inflight();
        records < self.limits.max_inflight_records && bytes < self.limits.max_inflight_bytes
    }

    pub(super) fn can_run_more(&self) -> bool {
        self.running.len() < self.limits.max_running_batches
            && self.delivery.held().1 < self.limits.max_inflight_bytes
    }

    fn inflight(&self) -> (usize, usize) {
        let held = self.delivery.held();
        let waiting = (self.batcher.len() + held.0, self.batcher.bytes() + held.1);
        self.running.iter().fold(waiting, |(records, bytes), batch| {
            (records + batch.settles.entries, bytes + batch.settles.bytes)
        })
    }

    pub(super) fn count_inflight(&self) {
        let (records, bytes) = self.inflight();
        self.metrics.inflight.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.metrics.inflight_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.metrics.uncommitted.set(i64::try_from(self.ahead.total()).unwrap_or(i64::MAX));
        self.metrics
            .pool_available
            .set(i64::try_from(self.processor.pipeline.sessions_available()).unwrap_or(i64::MAX));
    }
}
