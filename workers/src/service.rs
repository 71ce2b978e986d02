//! A worker for as long as it is wanted: built, and after an incident built anew from what the group has committed.
//!
//! Only what cannot be told from outside leads here: a transaction of which nobody knows whether it was committed, a
//! transactional id that somebody else has taken, a topic that takes smaller records than before. Opening the
//! transactions anew settles what was left open before anything is read again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::Stage;
use stages::Pipeline;
use tokio_util::sync::CancellationToken;
use transport::{ConsumerOptions, Transport, TransportError};

use crate::at_least_once::AtLeastOnce;
use crate::cancellations::Cancellations;
use crate::commit::Committer;
use crate::delivery::Delivery;
use crate::exactly_once::ExactlyOnce;
use crate::fetch::Fetcher;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::process::Processor;
use crate::publish::Outbox;
use crate::slot::Slot;
use crate::worker::{Chain, Parts, Worker, WorkerError, WorkerLimits};

/// Before a worker is built anew.
const PAUSE: Duration = Duration::from_millis(500);

/// Two workers with one slot shut each other out in turn; the one that has met with it so often within
/// [`FENCED_WITHIN`] gives way.
const FENCED_LIMIT: usize = 3;
const FENCED_WITHIN: Duration = Duration::from_secs(60);

/// What a worker is built from, each time.
pub(crate) struct Blueprint {
    pub(crate) name: String,
    pub(crate) stages: Vec<Stage>,
    pub(crate) topic: String,
    pub(crate) group: String,
    /// Where delivery is exactly once.
    pub(crate) transactional_id: Option<String>,
    /// Nobody else takes the slot for as long as this is held.
    pub(crate) _slot: Option<Slot>,
    pub(crate) limits: WorkerLimits,
    pub(crate) fetcher: Fetcher,
    pub(crate) outbox: Outbox,
    pub(crate) cancellations: Cancellations,
    pub(crate) max_attempts: u32,
    pub(crate) pipeline: Pipeline,
}

/// A worker that is built anew after an incident.
pub struct Service<T: Transport> {
    transport: T,
    blueprint: Blueprint,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    first: Worker<T>,
}

impl<T: Transport> Service<T> {
    pub(crate) async fn new(
        transport: T,
        blueprint: Blueprint,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, TransportError> {
        let first = blueprint.build(&transport, &health, &metrics).await?;
        Ok(Self { transport, blueprint, health, metrics, first })
    }

    /// Works until `stop`, then finishes what runs, commits it and leaves the group.
    ///
    /// # Errors
    /// When the world is broken in a way that being built anew does not mend: see [`WorkerError`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        let Self { transport, mut blueprint, health, metrics, first: mut worker } = self;
        let mut fenced = VecDeque::new();
        loop {
            let Err(error) = worker.run(stop.clone()).await else { return Ok(()) };
            match &error {
                WorkerError::Interrupted { .. } => {}
                WorkerError::Fenced { .. } => {
                    fenced.push_back(Instant::now());
                    while fenced.front().is_some_and(|at: &Instant| at.elapsed() > FENCED_WITHIN) {
                        fenced.pop_front();
                    }
                    if fenced.len() >= FENCED_LIMIT {
                        return Err(error);
                    }
                }
                WorkerError::TooLarge(_) if blueprint.adopt_limits(&transport).await? => {}
                _ => return Err(error),
            }
            tracing::warn!(error = %Chain(&error), "the worker begins anew where its group is");
            metrics.restarts.inc();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
            worker = loop {
                match blueprint.build(&transport, &health, &metrics).await {
                    Ok(worker) => break worker,
                    Err(error) if error.is_fatal() => return Err(error.into()),
                    Err(error) => tracing::warn!(error = %Chain(&error), "the worker cannot begin anew yet"),
                }
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(PAUSE) => {}
                }
            };
            health.failed.store(false, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

impl Blueprint {
    async fn build<T: Transport>(
        &self,
        transport: &T,
        health: &Arc<Health>,
        metrics: &Arc<Metrics>,
    ) -> Result<Worker<T>, TransportError> {
        let limits = self.limits.clone();
        let options = ConsumerOptions {
            drain_timeout: limits.drain_timeout,
            // What waits between the poll thread and the loop comes on top of what the loop holds, so it is kept smaller.
            max_queued_records: (limits.max_inflight_records / 4).max(1),
            max_queued_bytes: (limits.max_inflight_bytes / 4).max(1),
            ..ConsumerOptions::default()
        };
        let consumer = transport.consumer(&self.group, std::slice::from_ref(&self.topic), options).await?;
        let delivery = match &self.transactional_id {
            None => Delivery::AtLeastOnce(AtLeastOnce::new(
                transport.publisher().await?,
                Committer::new(limits.commit_interval),
            )),
            Some(id) => Delivery::ExactlyOnce(ExactlyOnce::new(
                transport.transactions(id, &consumer).await?,
                limits.transaction,
            )),
        };
        let processor = Processor {
            pipeline: self.pipeline.clone(),
            outbox: self.outbox.clone(),
            metrics: metrics.pipeline(&self.name, &self.stages),
            cancellations: self.cancellations.clone(),
            max_attempts: self.max_attempts,
        };
        let fetcher = self.fetcher.clone();
        let (health, metrics) = (Arc::clone(health), Arc::clone(metrics));
        Ok(Worker::new(Parts { consumer, delivery, fetcher, processor, limits, health, metrics }))
    }

    /// Learns what the topics take by now; whether that is less than what was believed.
    async fn adopt_limits<T: Transport>(&mut self, transport: &T) -> Result<bool, TransportError> {
        // What Kafka puts around a record in its batch.
        const AROUND: usize = 256;
        let outbox = &mut self.outbox;
        let mut topics = vec![outbox.results.to_string(), outbox.dead_letters.to_string()];
        topics.extend(outbox.next.iter().map(ToString::to_string));
        let told = transport.max_record_bytes(&topics).await?;
        let Some(smallest) = told.values().min().map(|bytes| bytes.saturating_sub(AROUND)) else {
            return Ok(false);
        };
        let is_news = smallest < outbox.max_record_bytes;
        if is_news {
            tracing::warn!(
                bytes = smallest,
                "topics take smaller records than before; larger outcomes become failures"
            );
            outbox.max_record_bytes = smallest;
        }
        Ok(is_news)
    }
}
