//! A worker for as long as it is wanted: built, and after an incident built anew from what the group has committed.
//!
//! Only what cannot be told from outside leads here: a transaction of which nobody knows whether it was committed, a
//! transactional id that somebody else has taken, a topic that takes smaller records than before. Opening the
//! transactions anew settles what was left open before anything is read again.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use schemas::Stage;
use stages::Pipeline;
use tokio_util::sync::CancellationToken;
use transport::{Consumer, ConsumerOptions, Transport, TransportError};

use crate::at_least_once::AtLeastOnce;
use crate::attempt_mark::Author;
use crate::cancellations::Cancellations;
use crate::commit::Committer;
use crate::delivery::Delivery;
use crate::exactly_once::ExactlyOnce;
use crate::fetch::Fetcher;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::on_failure::Policies;
use crate::process::Processor;
use crate::publish::Outbox;
use crate::redelivery::{Redelivery, Returns};
use crate::slot::Slot;
use crate::worker::{Broken, Chain, Parts, Worker, WorkerError, WorkerLimits, at};

/// Before a worker is built anew.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a broken worker may keep its partitions while its successor opens its transactions: brokers agree on new
/// coordinators within seconds, and after that another worker may be luckier.
const LONGEST_STAY: Duration = Duration::from_secs(15);

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
    /// The name of this worker in its groups, where membership is static.
    pub(crate) instance_id: Option<String>,
    /// Nobody else takes the slot for as long as this is held.
    pub(crate) _slot: Option<Slot>,
    pub(crate) retry_group: String,
    /// The topics of all stages.
    pub(crate) retry_targets: [String; Stage::ALL.len()],
    pub(crate) limits: WorkerLimits,
    pub(crate) author: Author,
    pub(crate) fetcher: Fetcher,
    pub(crate) outbox: Outbox,
    pub(crate) cancellations: Cancellations,
    pub(crate) max_attempts: u32,
    pub(crate) on_failure: Policies,
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
        let delivery = blueprint.open(&transport, &metrics).await?;
        let first = blueprint.join(&transport, delivery, &mut None, &health, &metrics).await?;
        Ok(Self { transport, blueprint, health, metrics, first })
    }

    /// Works until `stop`, then finishes what runs, commits it and leaves the group. Beside the worker, jobs that wait
    /// to be run again are sent back to their topics.
    ///
    /// # Errors
    /// When the world is broken in a way that being built anew does not mend: see [`WorkerError`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        let Self { transport, mut blueprint, health, metrics, first } = self;
        // Whichever ends with an error takes the other with it, in good order.
        let stop = stop.child_token();
        let redelivery = redeliver(transport.at_leisure(), blueprint.redelivery(&metrics), stop.clone());
        let redelivery = tokio::spawn(ending(stop.clone(), redelivery));
        let working = async {
            let mut left = None;
            let worked = work(&transport, &mut blueprint, &health, &metrics, first, &mut left, &stop).await;
            leave(&mut left).await;
            worked
        };
        let worked = ending(stop.clone(), working).await;
        let redelivered = redelivery.await?;
        health.failed.store(worked.is_err() || redelivered.is_err(), Ordering::Relaxed);
        if let (Err(_), Err(error)) = (&worked, &redelivered) {
            tracing::error!(error = %Chain(error), "jobs that wait to be run again cannot be sent back any more either");
        }
        worked.and(redelivered)
    }
}

/// Stops everything else when the work ends.
async fn ending<O>(stop: CancellationToken, work: impl Future<Output = O>) -> O {
    let _stop = stop.drop_guard();
    work.await
}

/// What a broken worker has left behind.
struct Left<C> {
    consumer: C,
    /// It may keep its partitions from others for so long.
    stays_until: Instant,
}

impl<C: Consumer> Left<C> {
    /// Whether another worker can go on with it, as the member that it is: it has lost all partitions, so whatever it is
    /// assigned it will read from what the group has committed by then.
    fn is_fresh(&self) -> bool {
        self.consumer.status().borrow().assigned == 0
    }
}

/// Leaves the group that a broken worker was in.
async fn leave<C: Consumer>(left: &mut Option<Left<C>>) {
    if let Some(Left { consumer, .. }) = left.take() {
        consumer.close().await;
    }
}

/// What is still in the group when this returns is in `left`.
async fn work<T: Transport>(
    transport: &T,
    blueprint: &mut Blueprint,
    health: &Arc<Health>,
    metrics: &Arc<Metrics>,
    first: Worker<T>,
    left: &mut Option<Left<T::Consumer>>,
    stop: &CancellationToken,
) -> Result<(), WorkerError> {
    let mut worker = first;
    let mut incidents = Incidents::default();
    loop {
        let Err(Broken { error, consumer }) = worker.run(stop.clone()).await else { return Ok(()) };
        *left = Some(Left { consumer, stays_until: Instant::now() + LONGEST_STAY });
        let is_mended = match &error {
            WorkerError::TooLarge(_) => blueprint.outbox.limits.learn(transport).await?,
            error => incidents.may_go_on(error),
        };
        if !is_mended {
            return Err(error);
        }
        tracing::warn!(error = %Chain(&error), "the worker begins anew where its group is");
        metrics.restarts.inc();
        // What the old one had, the new one begins without.
        metrics.partitions.set(0);
        metrics.breaker_open.set(0);
        health.assigned.store(false, Ordering::Relaxed);
        health.breaker_open.store(false, Ordering::Relaxed);
        worker = loop {
            if !paused(stop).await {
                return Ok(());
            }
            let Some(opened) = open_anew(transport, blueprint, metrics, left, stop).await else {
                return Ok(());
            };
            let Some(delivery) = judged(opened)? else { continue };
            if let Some(worker) = judged(blueprint.join(transport, delivery, left, health, metrics).await)? {
                break worker;
            }
        };
    }
}

/// Opens how outcomes leave; `None` after a stop. While that takes long, others take over what the one before still has.
async fn open_anew<T: Transport>(
    transport: &T,
    blueprint: &Blueprint,
    metrics: &Metrics,
    left: &mut Option<Left<T::Consumer>>,
    stop: &CancellationToken,
) -> Option<Result<Delivery<T>, TransportError>> {
    let mut opening = pin!(blueprint.open(transport, metrics));
    loop {
        let stays_until = left.as_ref().map(|left| left.stays_until);
        tokio::select! {
            () = stop.cancelled() => return None,
            opened = &mut opening => return Some(opened),
            () = at(stays_until) => leave(left).await,
        }
    }
}

async fn redeliver<T: Transport>(
    transport: T,
    mut plan: RedeliveryPlan,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let mut incidents = Incidents::default();
    loop {
        let redelivery = loop {
            let built = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                built = plan.build(&transport) => built,
            };
            if let Some(redelivery) = judged(built)? {
                break redelivery;
            }
            if !paused(&stop).await {
                return Ok(());
            }
        };
        let Err(error) = redelivery.run(stop.clone()).await else { return Ok(()) };
        let is_mended = match &error {
            WorkerError::TooLarge(_) => plan.processor.outbox.limits.learn(&transport).await?,
            error => incidents.may_go_on(error),
        };
        if !is_mended {
            return Err(error);
        }
        tracing::warn!(error = %Chain(&error), "the waiting jobs are read anew where their group is");
        if !paused(&stop).await {
            return Ok(());
        }
    }
}

/// Pauses before something is built anew; false after a stop.
async fn paused(stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(PAUSE) => true,
    }
}

/// What was built; `None` if it should be tried again.
fn judged<W>(built: Result<W, TransportError>) -> Result<Option<W>, WorkerError> {
    match built {
        Ok(built) => Ok(Some(built)),
        Err(error) if error.is_fatal() => Err(error.into()),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "the worker cannot begin yet; trying again");
            Ok(None)
        }
    }
}

/// What has happened to one worker.
#[derive(Default)]
struct Incidents {
    fenced: Vec<Instant>,
}

impl Incidents {
    /// Whether being built anew may mend it.
    fn may_go_on(&mut self, error: &WorkerError) -> bool {
        match error {
            WorkerError::Interrupted { .. } => true,
            WorkerError::Fenced { .. } => {
                self.fenced.push(Instant::now());
                self.fenced.retain(|at| at.elapsed() <= FENCED_WITHIN);
                self.fenced.len() < FENCED_LIMIT
            }
            _ => false,
        }
    }
}

/// What the redelivery is built from, each time.
struct RedeliveryPlan {
    group: String,
    topics: Vec<String>,
    targets: [String; Stage::ALL.len()],
    processor: Processor,
    metrics: Arc<Metrics>,
    transactional_id: Option<String>,
    instance_id: Option<String>,
    limits: WorkerLimits,
}

impl RedeliveryPlan {
    async fn build<T: Transport>(&self, transport: &T) -> Result<Redelivery<T>, TransportError> {
        let options = ConsumerOptions {
            drain_timeout: self.limits.drain_timeout,
            max_queued_records: 500,
            instance_id: self.instance_id.clone(),
            ..ConsumerOptions::default()
        };
        let exit = Exit {
            transactional_id: self.transactional_id.as_deref(),
            limits: &self.limits,
            metrics: &self.metrics,
        };
        let delivery = exit.open(&self.processor.outbox.limits.applied_to(transport)).await?;
        let consumer = transport.consumer(&self.group, &self.topics, options).await?;
        delivery.commit_for(&consumer);
        let returns = Returns { targets: self.targets.clone(), processor: self.processor.clone() };
        Ok(Redelivery::new(consumer, delivery, returns, self.limits.clone()))
    }
}

/// How outcomes leave and offsets are committed.
struct Exit<'a> {
    /// Where delivery is exactly once.
    transactional_id: Option<&'a str>,
    limits: &'a WorkerLimits,
    metrics: &'a Metrics,
}

impl Exit<'_> {
    async fn open<T: Transport>(self, transport: &T) -> Result<Delivery<T>, TransportError> {
        let Self { transactional_id, limits, metrics } = self;
        Ok(match transactional_id {
            None => Delivery::AtLeastOnce(AtLeastOnce::new(
                transport.publisher().await?,
                Committer::new(limits.commit_interval),
            )),
            Some(id) => {
                let transactions = transport.transactions(id).await?;
                let metrics = metrics.transactions.clone();
                Delivery::ExactlyOnce(ExactlyOnce::new(transactions, limits.transaction, metrics))
            }
        })
    }
}

impl Blueprint {
    /// How outcomes leave. To be opened before [`join`](Self::join): what a predecessor left is settled then, and the
    /// group need not wait for that.
    async fn open<T: Transport>(
        &self,
        transport: &T,
        metrics: &Metrics,
    ) -> Result<Delivery<T>, TransportError> {
        let transactional_id = self.transactional_id.as_deref();
        let exit = Exit { transactional_id, limits: &self.limits, metrics };
        exit.open(&self.outbox.limits.applied_to(transport)).await
    }

    /// A worker in its group. `left`: what the one before it still has there.
    async fn join<T: Transport>(
        &self,
        transport: &T,
        delivery: Delivery<T>,
        left: &mut Option<Left<T::Consumer>>,
        health: &Arc<Health>,
        metrics: &Arc<Metrics>,
    ) -> Result<Worker<T>, TransportError> {
        let limits = self.limits.clone();
        let options = ConsumerOptions {
            drain_timeout: limits.drain_timeout,
            // What waits between the poll thread and the loop comes on top of what the loop holds, so it is kept smaller.
            max_queued_records: (limits.max_inflight_records / 4).max(1),
            max_queued_bytes: (limits.max_inflight_bytes / 4).max(1),
            instance_id: self.instance_id.clone(),
            ..ConsumerOptions::default()
        };
        let consumer = match left.take_if(|left| left.is_fresh()) {
            Some(Left { consumer, .. }) => consumer,
            None => {
                // Only now: brokers that could end a transaction hear of this, too. A group that does not hear that a member
                // leaves waits for it until a session timeout.
                leave(left).await;
                transport.consumer(&self.group, std::slice::from_ref(&self.topic), options).await?
            }
        };
        delivery.commit_for(&consumer);
        let processor = self.processor(metrics);
        let (fetcher, author) = (self.fetcher.clone(), self.author.clone());
        let (health, metrics) = (Arc::clone(health), Arc::clone(metrics));
        Ok(Worker::new(Parts { consumer, delivery, fetcher, processor, limits, author, health, metrics }))
    }

    fn processor(&self, metrics: &Metrics) -> Processor {
        Processor {
            pipeline: self.pipeline.clone(),
            outbox: self.outbox.clone(),
            metrics: metrics.pipeline(&self.name, &self.stages),
            cancellations: self.cancellations.clone(),
            max_attempts: self.max_attempts,
            on_failure: self.on_failure.clone(),
        }
    }

    fn redelivery(&self, metrics: &Arc<Metrics>) -> RedeliveryPlan {
        RedeliveryPlan {
            group: self.retry_group.clone(),
            topics: self.outbox.retries.iter().map(ToString::to_string).collect(),
            targets: self.retry_targets.clone(),
            processor: self.processor(metrics),
            metrics: Arc::clone(metrics),
            transactional_id: self.transactional_id.as_ref().map(|id| format!("{id}.retry")),
            instance_id: self.instance_id.clone(),
            limits: self.limits.clone(),
        }
    }
}
