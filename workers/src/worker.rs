//! The whole journey on one page: fetch, batch, process, publish, commit.
//!
//! Work is concurrent inside and ordered at the exit. Batches run at once; the oldest is always taken first, so records
//! are published in fetch order and the offset to commit is a plain maximum per partition.
//!
//! Below it: what may run (`dispatch`), what the group knows (`noting`), and how work ends (`handover`).

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use schemas::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use transport::crash_point::CrashPoint;
use transport::{Consumer, Event, Partition, Received, Status, Transport};

use self::dispatch::SectionAtWork;
use self::noting::{Learning, Noting, learned, note_done};
use crate::ahead::Ahead;
use crate::attempt_mark::Author;
use crate::batch::Batcher;
use crate::breaker::{Breaker, Turn};
use crate::delivery::{Delivery, Haste, Settles, Step};
use crate::fetch::Fetcher;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::notes::Notes;
use crate::process::{Finished, Processor};
use crate::suspects::Suspects;

mod dispatch;
mod error;
mod handover;
mod limits;
mod noting;

pub(crate) use error::Chain;
pub use error::WorkerError;
pub use limits::WorkerLimits;

/// One worker: a consumer in its group, an exit, and what happens in between.
pub struct Worker<T: Transport> {
    consumer: T::Consumer,
    delivery: Delivery<T>,
    status: watch::Receiver<Status>,
    fetcher: Fetcher,
    batcher: Batcher,
    processor: Arc<Processor>,
    running: VecDeque<Running>,
    // Partitions of which it is being asked what the group has committed; nothing of any partition runs until it is known.
    to_learn: Vec<Partition>,
    learning: Option<Learning>,
    notes: Notes,
    noting: Option<Noting>,
    ahead: Ahead,
    suspects: Suspects,
    author: Author,
    // Suspected records that have been noted and may be run, or are being run: nothing else runs then.
    section: Option<SectionAtWork>,
    breaker: Breaker,
    // Everything that waits may run only after a commit.
    is_blocked: bool,
    limits: WorkerLimits,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// A worker that ended with an error.
pub(crate) struct Broken<C> {
    pub(crate) error: WorkerError,
    /// Still a member of its group, or about to join it again by itself.
    pub(crate) consumer: C,
}

/// A batch whose jobs run; it keeps the progress that it will settle.
struct Running {
    finished: JoinHandle<Result<Finished, WorkerError>>,
    settles: Settles,
    /// Partitions that went away while it ran.
    forgotten: Vec<Partition>,
}

/// The parts that a worker is built from.
pub(crate) struct Parts<T: Transport> {
    pub(crate) consumer: T::Consumer,
    pub(crate) delivery: Delivery<T>,
    pub(crate) fetcher: Fetcher,
    pub(crate) processor: Processor,
    pub(crate) limits: WorkerLimits,
    /// The same for every worker of this process that takes the place of another.
    pub(crate) author: Author,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
}

impl<T: Transport> Worker<T> {
    pub(crate) fn new(parts: Parts<T>) -> Self {
        let Parts { consumer, delivery, fetcher, processor, limits, author, health, metrics } = parts;
        let mut status = consumer.status();
        // What came before now has not been looked at either.
        status.mark_changed();
        Self {
            status,
            consumer,
            delivery,
            fetcher,
            batcher: Batcher::new(limits.batch),
            processor: Arc::new(processor),
            running: VecDeque::new(),
            to_learn: Vec::new(),
            learning: None,
            notes: Notes::default(),
            noting: None,
            ahead: Ahead::new(limits.max_uncommitted_records),
            suspects: Suspects::new(limits.max_crashes),
            author,
            section: None,
            breaker: Breaker::new(),
            is_blocked: false,
            limits,
            health,
            metrics,
        }
    }

    /// Works until `stop`, then finishes what runs, commits it and leaves the group.
    ///
    /// # Errors
    /// When the world is broken. Nothing is committed then that was not answered, and the group has not been left.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Broken<T::Consumer>> {
        let mut outcome = self.work(&stop).await;
        if outcome.is_ok() {
            self.health.draining.store(true, Ordering::Relaxed);
            outcome = self.finish().await;
        }
        if let Err(error) = outcome {
            self.abandon(&error).await;
            return Err(Broken { error, consumer: self.consumer });
        }
        self.consumer.close().await;
        Ok(())
    }

    async fn work(&mut self, stop: &CancellationToken) -> Result<(), WorkerError> {
        loop {
            self.learn();
            let now = Instant::now();
            self.dispatch(now);
            self.count_inflight();
            let has_room = self.has_room();
            let batch_due = self.batcher.due_at().filter(|_| self.may_start_batches(now));
            let probe_due = self.breaker.wakes_at().filter(|wakes_at| *wakes_at > now);
            let commit_due = self.delivery.due_at(self.haste());
            tokio::select! {
                biased;
                step = self.delivery.next() => self.advance(step?),
                finished = oldest_finished(&mut self.running) => self.deliver(finished?)?,
                noted = note_done(&mut self.noting) => self.noted(noted)?,
                learned = learned(&mut self.learning) => self.learned(learned)?,
                () = stop.cancelled() => return Ok(()),
                () = at(commit_due) => self.start_commit(),
                Ok(()) = self.status.changed() => self.observe_status(),
                event = next_event::<T>(&mut self.consumer, has_room) => {
                    self.handle(event.ok_or(WorkerError::ConsumerEnded)?).await?;
                }
                () = at(batch_due) => {}
                () = at(probe_due) => {}
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
                self.to_learn.extend(partitions);
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
        CrashPoint::AfterFetch.pass();
    }

    /// The oldest batch is done: its records go out, behind those of the batches before it.
    fn deliver(&mut self, finished: Result<Finished, WorkerError>) -> Result<(), WorkerError> {
        let Running { settles, forgotten, .. } =
            self.running.pop_front().expect("the oldest batch was just awaited");
        let Finished { answers, evidence } = finished?;
        CrashPoint::AfterRun.pass();
        match self.breaker.observe(Instant::now(), evidence) {
            Some(Turn::Opened { reason, pause }) => tracing::error!(
                code = %reason, ?pause, "most jobs fail for one reason that is not theirs; nothing is run for a while, then one batch"
            ),
            Some(Turn::Closed) => tracing::info!("jobs succeed again; going on"),
            None => {}
        }
        self.health.breaker_open.store(self.breaker.is_open(), Ordering::Relaxed);
        self.metrics.breaker_open.set(i64::from(self.breaker.is_open()));
        if let Some(SectionAtWork { section, .. }) = self.section.as_ref().filter(|_| self.is_section_over())
        {
            self.suspects.settled(&section.partition, section.to);
        }
        self.delivery.add(answers, settles, &forgotten);
        Ok(())
    }

    fn advance(&mut self, step: Step) {
        match step {
            Step::Moved => {}
            Step::Committed(progress) => {
                self.metrics.commits.inc();
                self.ahead.committed(&progress);
                self.notes.committed(&progress);
                self.suspects.committed(&progress);
                self.is_blocked = false;
                if self.is_section_over() && self.delivery.is_idle() {
                    self.section = None;
                    // The note that was committed with it says that nothing of the partition runs.
                    self.notes.rested(&progress);
                }
            }
            Step::Failed => self.metrics.commit_failures.inc(),
        }
    }

    fn start_commit(&mut self) {
        let note = match &self.section {
            Some(SectionAtWork { section, .. }) if self.is_section_over() => {
                self.suspects.mark_at_rest(&section.partition).write()
            }
            Some(SectionAtWork { section, .. }) => self.author.sign(&section.mark().write()),
            None => self.note_of_work(self.delivery.to_commit()),
        };
        self.delivery.start_commit(&self.consumer, &note);
    }

    /// Whether what can be committed should be, without waiting for its interval.
    fn haste(&self) -> Haste {
        let nothing_runs = self.running.is_empty();
        // Suspects are run when everything else is committed, and everything else when they are.
        let blocks = nothing_runs && (self.section.is_some() || self.suspects.is_careful());
        if blocks || self.ahead.commit_wanted() {
            Haste::Needed
        } else if nothing_runs && self.batcher.is_empty() {
            Haste::Idle
        } else {
            Haste::None
        }
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
pub(crate) async fn next_event<T: Transport>(consumer: &mut T::Consumer, has_room: bool) -> Option<Event> {
    if has_room { consumer.next().await } else { consumer.next_signal().await }
}

async fn oldest_finished(
    running: &mut VecDeque<Running>,
) -> Result<Result<Finished, WorkerError>, JoinError> {
    match running.front_mut() {
        Some(oldest) => (&mut oldest.finished).await,
        None => pending().await,
    }
}

pub(crate) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}

fn names(partitions: &[Partition]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
