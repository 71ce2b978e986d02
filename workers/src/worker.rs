//! The whole journey on one page: fetch, batch, process, publish, commit.
//!
//! Work is concurrent inside and ordered at the exit. Batches run at once; the oldest is always taken first, so records
//! are published in fetch order and the offset to commit is a plain maximum per partition.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use schemas::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use transport::{
    Consumer, Event, Partition, Progress, PublishError, Publisher, Received, Record, Revocation, Status,
    Transport, TransportError,
};

use crate::batch::{Batch, BatchLimits, Batcher};
use crate::commit::Committer;
use crate::fetch::Fetcher;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::process::Processor;

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
    Publish(#[from] PublishError),
    /// A batch panicked outside the places where that is contained.
    #[error("a batch panicked: this is a bug in millstream; nothing of the batch was committed")]
    Panicked(#[from] JoinError),
    /// The transport ended by itself.
    #[error("the consumer ended without being asked to; start the worker again")]
    ConsumerEnded,
}

impl WorkerError {
    /// Whether Kafka could not be reached or refused, rather than a defect of this program.
    pub fn is_of_kafka(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Publish(_))
    }
}

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
    /// How long running work may take to finish on a rebalance or a stop.
    pub drain_timeout: Duration,
}

/// One worker: a consumer in its group, a publisher, and what happens in between.
pub struct Worker<T: Transport> {
    consumer: T::Consumer,
    publisher: T::Publisher,
    status: watch::Receiver<Status>,
    fetcher: Fetcher,
    batcher: Batcher,
    processor: Arc<Processor>,
    running: VecDeque<Running>,
    publishing: VecDeque<Publishing>,
    committer: Committer,
    committing: Option<Committing>,
    limits: WorkerLimits,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// A batch whose jobs run; it keeps the progress that it will settle.
struct Running {
    records: JoinHandle<Vec<Record>>,
    settles: Settles,
}

/// A batch whose outcomes are on their way to the broker.
struct Publishing {
    acknowledged: Pin<Box<dyn Future<Output = Result<(), PublishError>> + Send>>,
    settles: Settles,
}

/// What is settled when a batch's outcomes are acknowledged.
struct Settles {
    progress: Progress,
    entries: usize,
    bytes: usize,
}

struct Committing {
    progress: Progress,
    done: Pin<Box<dyn Future<Output = Result<(), TransportError>> + Send>>,
}

/// The parts that a worker is built from.
pub(crate) struct Parts<T: Transport> {
    pub(crate) consumer: T::Consumer,
    pub(crate) publisher: T::Publisher,
    pub(crate) fetcher: Fetcher,
    pub(crate) processor: Processor,
    pub(crate) limits: WorkerLimits,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
}

impl<T: Transport> Worker<T> {
    pub(crate) fn new(parts: Parts<T>) -> Self {
        let Parts { consumer, publisher, fetcher, processor, limits, health, metrics } = parts;
        Self {
            status: consumer.status(),
            consumer,
            publisher,
            fetcher,
            batcher: Batcher::new(limits.batch),
            processor: Arc::new(processor),
            running: VecDeque::new(),
            publishing: VecDeque::new(),
            committer: Committer::new(limits.commit_interval),
            committing: None,
            limits,
            health,
            metrics,
        }
    }

    /// Works until `stop`, then finishes what runs, commits it and leaves the group.
    ///
    /// # Errors
    /// When the world is broken: see [`WorkerError`]. The group is left in that case too, without a further commit.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), WorkerError> {
        let mut outcome = self.work(&stop).await;
        if outcome.is_ok() {
            self.health.draining.store(true, Ordering::Relaxed);
            outcome = self.finish().await;
        }
        self.health.failed.store(outcome.is_err(), Ordering::Relaxed);
        self.consumer.close().await;
        outcome
    }

    async fn work(&mut self, stop: &CancellationToken) -> Result<(), WorkerError> {
        loop {
            self.dispatch(Instant::now());
            self.count_inflight();
            let has_room = self.has_room();
            let batch_due = self.batcher.due_at().filter(|_| self.can_run_more());
            let commit_due = self.committer.due_at().filter(|_| self.committing.is_none());
            tokio::select! {
                biased;
                acknowledged = oldest_acknowledged(&mut self.publishing) => self.settle(acknowledged?),
                records = oldest_processed(&mut self.running) => self.publish(records?),
                committed = commit_done(&mut self.committing) => self.committed(committed)?,
                () = stop.cancelled() => return Ok(()),
                () = at(commit_due) => self.start_commit(),
                Ok(()) = self.status.changed() => self.observe_status(),
                event = next_event::<T>(&mut self.consumer, has_room) => {
                    self.handle(event.ok_or(WorkerError::ConsumerEnded)?).await?;
                }
                () = at(batch_due) => {}
            }
        }
    }

    async fn handle(&mut self, event: Event) -> Result<(), WorkerError> {
        match event {
            Event::Records(records) => self.fetch(records),
            Event::Assigned(partitions) => {
                self.metrics.rebalanced("assigned");
                self.metrics.partitions.add(partitions.len() as i64);
                self.health.assigned.store(true, Ordering::Relaxed);
            }
            Event::Revoked(revocation) => self.revoke(revocation).await?,
            Event::Error(error) if error.is_fatal() => return Err(error.into()),
            Event::Error(error) => {
                tracing::warn!(error = %Chain(&error), "the consumer reported an error and goes on")
            }
        }
        Ok(())
    }

    fn fetch(&mut self, records: Vec<Received>) {
        let now = Instant::now();
        let clock = Timestamp::now();
        for received in records {
            self.batcher.push(self.fetcher.entry(received, now, &clock));
        }
    }

    /// Starts every batch that is full or due, as long as another may run.
    fn dispatch(&mut self, now: Instant) {
        while self.can_run_more() {
            let Some(release) = self.batcher.ready(now, self.running.is_empty()) else { return };
            let Batch { entries, progress, bytes, release } = self.batcher.take(release);
            self.processor.metrics.released(release, entries.len());
            let settles = Settles { progress, entries: entries.len(), bytes };
            let records = tokio::spawn(Arc::clone(&self.processor).process(entries));
            self.running.push_back(Running { records, settles });
        }
    }

    /// The oldest batch is done: its records go out, behind those of the batches before it.
    fn publish(&mut self, records: Vec<Record>) {
        let Running { mut settles, .. } =
            self.running.pop_front().expect("the oldest batch was just awaited");
        // From here on the outcomes are what is held; they can be far larger than what was read.
        settles.bytes = records.iter().map(Record::size).sum();
        let acknowledged = Box::pin(self.publisher.publish(records));
        self.publishing.push_back(Publishing { acknowledged, settles });
    }

    /// The broker has every outcome of the oldest published batch: its offsets may be committed.
    fn settle(&mut self, (): ()) {
        let Publishing { settles, .. } =
            self.publishing.pop_front().expect("the oldest publication was just awaited");
        self.committer.advance(settles.progress, Instant::now());
    }

    fn start_commit(&mut self) {
        let progress = self.committer.take();
        let done = Box::pin(self.consumer.commit(progress.clone(), ""));
        self.committing = Some(Committing { progress, done });
    }

    fn committed(&mut self, outcome: Result<(), TransportError>) -> Result<(), WorkerError> {
        let Committing { progress, .. } = self.committing.take().expect("the commit was just awaited");
        match outcome {
            Ok(()) => self.metrics.commits.inc(),
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) if error.is_lost_membership() => {
                // What moved is forgotten with the revocation; what stayed must still be committed.
                tracing::warn!(error = %Chain(&error), "a commit was refused: partitions are moving to another worker");
                self.metrics.commit_failures.inc();
                self.committer.failed(progress, Instant::now());
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "a commit failed and will be tried again");
                self.metrics.commit_failures.inc();
                self.committer.failed(progress, Instant::now());
            }
        }
        Ok(())
    }

    /// Gives partitions back: forget what is not batched, wait for what runs, publish, commit, then let go.
    async fn revoke(&mut self, revocation: Revocation) -> Result<(), WorkerError> {
        let partitions = revocation.partitions.clone();
        let forgotten = self.batcher.forget(&partitions);
        self.metrics.rebalanced(if revocation.lost { "lost" } else { "revoked" });
        self.metrics.partitions.sub(partitions.len() as i64);
        if revocation.lost {
            self.health.assigned.store(false, Ordering::Relaxed);
            tracing::warn!(partitions = %names(&partitions), "partitions lost; another worker repeats what was unfinished");
        } else {
            // The poll thread lets go after the drain timeout, done or not; part of it is kept for the commit.
            let let_go = Instant::now() + self.limits.drain_timeout;
            let drained = self.drain_until(let_go - self.limits.drain_timeout / 5).await?;
            let committed = self.commit_until(let_go).await?;
            if drained && committed {
                tracing::info!(partitions = %names(&partitions), forgotten, "partitions revoked; their work is committed");
            } else {
                tracing::warn!(
                    partitions = %names(&partitions), limit = ?self.limits.drain_timeout,
                    "partitions revoked before their work was done; their next owner repeats it \
                     (raise worker.drain_timeout_ms if batches take that long)"
                );
            }
        }
        self.forget(&partitions);
        drop(revocation);
        Ok(())
    }

    /// Whatever still runs for these partitions settles nothing any more: a commit would set their next owner back.
    fn forget(&mut self, partitions: &[Partition]) {
        let running = self.running.iter_mut().map(|batch| &mut batch.settles.progress);
        let publishing = self.publishing.iter_mut().map(|batch| &mut batch.settles.progress);
        let committing = self.committing.iter_mut().map(|commit| &mut commit.progress);
        running.chain(publishing).chain(committing).for_each(|progress| progress.forget(partitions));
        self.committer.forget(partitions);
    }

    /// Asked to stop: nothing new is begun, what runs is finished within the drain limit, and committed.
    async fn finish(&mut self) -> Result<(), WorkerError> {
        let unread = self.batcher.len();
        let deadline = Instant::now() + self.limits.drain_timeout;
        if !self.drain_until(deadline).await? {
            tracing::warn!(limit = ?self.limits.drain_timeout, "the drain limit passed; unfinished jobs are run again by the next worker");
            for batch in &self.running {
                batch.records.abort();
            }
        }
        if self.commit_until(deadline.max(Instant::now() + Duration::from_secs(1))).await? {
            tracing::info!(left_for_others = unread, "what was finished is committed");
        }
        Ok(())
    }

    /// Waits until nothing runs and everything is acknowledged; false when the deadline came first.
    async fn drain_until(&mut self, deadline: Instant) -> Result<bool, WorkerError> {
        while !(self.running.is_empty() && self.publishing.is_empty()) {
            tokio::select! {
                biased;
                acknowledged = oldest_acknowledged(&mut self.publishing) => self.settle(acknowledged?),
                records = oldest_processed(&mut self.running) => self.publish(records?),
                () = at(Some(deadline)) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Commits everything that is settled, retrying passing failures; false when the deadline came first.
    async fn commit_until(&mut self, deadline: Instant) -> Result<bool, WorkerError> {
        const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(50);
        loop {
            if self.committing.is_none() {
                if self.committer.due_at().is_none() {
                    return Ok(true);
                }
                self.start_commit();
            }
            let failures = self.metrics.commit_failures.get();
            tokio::select! {
                committed = commit_done(&mut self.committing) => self.committed(committed)?,
                () = at(Some(deadline)) => {
                    tracing::warn!("the last commit was not acknowledged in time; finished jobs may be run again");
                    return Ok(false);
                }
            }
            if self.metrics.commit_failures.get() > failures {
                tokio::time::sleep(PAUSE_BETWEEN_TRIES).await;
            }
        }
    }

    fn can_run_more(&self) -> bool {
        let publishing: usize = self.publishing.iter().map(|batch| batch.settles.bytes).sum();
        self.running.len() < self.limits.max_running_batches && publishing < self.limits.max_inflight_bytes
    }

    fn has_room(&self) -> bool {
        let (records, bytes) = self.inflight();
        records < self.limits.max_inflight_records && bytes < self.limits.max_inflight_bytes
    }

    fn inflight(&self) -> (usize, usize) {
        let batches = self
            .running
            .iter()
            .map(|batch| &batch.settles)
            .chain(self.publishing.iter().map(|batch| &batch.settles));
        batches.fold((self.batcher.len(), self.batcher.bytes()), |(records, bytes), settles| {
            (records + settles.entries, bytes + settles.bytes)
        })
    }

    fn count_inflight(&self) {
        let (records, bytes) = self.inflight();
        self.metrics.inflight.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.metrics.inflight_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.metrics
            .pool_available
            .set(i64::try_from(self.processor.pipeline.sessions_available()).unwrap_or(i64::MAX));
    }

    fn observe_status(&mut self) {
        let status = self.status.borrow_and_update();
        if self.health.brokers_up.swap(status.brokers_up, Ordering::Relaxed) != status.brokers_up {
            if status.brokers_up {
                tracing::info!("a broker answers");
            } else {
                tracing::warn!("no broker answers; the worker keeps what it has and waits for one");
            }
        }
        self.metrics.observe(&status);
    }
}

/// Without room, records stay where they are (their partitions pause), but a revocation is still heard.
async fn next_event<T: Transport>(consumer: &mut T::Consumer, has_room: bool) -> Option<Event> {
    if has_room { consumer.next().await } else { consumer.next_signal().await }
}

async fn oldest_processed(running: &mut VecDeque<Running>) -> Result<Vec<Record>, JoinError> {
    match running.front_mut() {
        Some(oldest) => (&mut oldest.records).await,
        None => pending().await,
    }
}

async fn oldest_acknowledged(publishing: &mut VecDeque<Publishing>) -> Result<(), PublishError> {
    match publishing.front_mut() {
        Some(oldest) => oldest.acknowledged.as_mut().await,
        None => pending().await,
    }
}

async fn commit_done(committing: &mut Option<Committing>) -> Result<(), TransportError> {
    match committing {
        Some(committing) => committing.done.as_mut().await,
        None => pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}

fn names(partitions: &[Partition]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// An error with its causes, for a log line: `Display` of an error never prints its sources.
struct Chain<'a>(&'a dyn std::error::Error);

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

#[cfg(test)]
mod tests;
