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

use schemas::{FailureCode, Stage, Timestamp};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use transport::crash_point::CrashPoint;
use transport::{
    Committed, Consumer, Event, Partition, Position, Progress, PublishError, Received, Revocation, Status,
    Transport, TransportError,
};

use crate::ahead::Ahead;
use crate::batch::{Batch, BatchLimits, Batcher};
use crate::breaker::{Breaker, Dispatch, Turn};
use crate::delivery::{Delivery, Settles, Step};
use crate::exactly_once::TransactionLimits;
use crate::fetch::{Entry, Fetcher, Work};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::notes::{self, Notes};
use crate::on_failure::StoppedAt;
use crate::process::{Finished, Processor};
use crate::suspects::{Section, Suspects, Verdict};

/// Between two tries of a last commit.
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(50);

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
    Publish(#[source] PublishError),
    /// A topic takes less than it did as the worker started.
    #[error("outcomes are larger than their topic takes by now")]
    TooLarge(#[source] PublishError),
    /// Another worker has taken over the transactional id, or a transaction took too long.
    #[error(
        "the transactional id was taken over ({reason}); give each worker its own slot (worker.slot or --slot)"
    )]
    Fenced {
        /// What the broker said.
        reason: String,
    },
    /// Whether a transaction was committed is not known.
    #[error("a transaction was not answered ({reason})")]
    Interrupted {
        /// What happened to it.
        reason: String,
    },
    /// The model cannot be run any more.
    #[error(
        "the model cannot be run any more, and the jobs that wait are not to blame: {reason}; nothing of the batch was answered"
    )]
    Model {
        /// What it says.
        reason: String,
    },
    /// A job failed in a stage that is declared to stop then.
    #[error("{0}")]
    Stopped(Box<StoppedAt>),
    /// A batch panicked outside the places where that is contained.
    #[error("a batch panicked: this is a bug in millstream; nothing of the batch was committed")]
    Panicked(#[from] JoinError),
    /// The transport ended by itself.
    #[error("the consumer ended without being asked to; start the worker again")]
    ConsumerEnded,
}

impl WorkerError {
    pub(crate) fn of_publishing(error: PublishError) -> Self {
        if error.too_large() { Self::TooLarge(error) } else { Self::Publish(error) }
    }

    /// Whether it is certain that no job killed the worker, so that none must be suspected of it.
    fn is_orderly(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::Model { .. })
    }

    /// Whether Kafka could not be reached or refused, rather than a defect of this program.
    pub fn is_of_kafka(&self) -> bool {
        matches!(
            self,
            Self::Transport(_)
                | Self::Publish(_)
                | Self::TooLarge(_)
                | Self::Fenced { .. }
                | Self::Interrupted { .. }
        )
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
    /// When a transaction leaves, where outcomes are delivered exactly once.
    pub transaction: TransactionLimits,
    /// Offsets that may be run ahead of the last commit, in each partition.
    pub max_uncommitted_records: usize,
    /// How many workers a record may kill before it is answered with a failure.
    pub max_crashes: u32,
    /// How long running work may take to finish on a rebalance or a stop.
    pub drain_timeout: Duration,
}

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
    // Suspected records that have been noted and may be run, or are being run: nothing else runs then.
    section: Option<SectionAtWork>,
    breaker: Breaker,
    // Everything that waits may run only after a commit.
    is_blocked: bool,
    limits: WorkerLimits,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// A batch whose jobs run; it keeps the progress that it will settle.
struct Running {
    finished: JoinHandle<Result<Finished, WorkerError>>,
    settles: Settles,
}

type Asked<A> = Pin<Box<dyn Future<Output = Result<A, TransportError>> + Send>>;

struct Learning {
    partitions: Vec<Partition>,
    answer: Asked<Vec<Committed>>,
}

/// A note that is being committed.
struct Noting {
    progress: Progress,
    purpose: Purpose,
    done: Asked<()>,
}

/// Why a note is committed.
enum Purpose {
    /// Records of these partitions are about to be run.
    Run,
    /// Nothing of these partitions runs any more.
    Rest,
    /// These suspects are about to be run.
    Suspects(Section),
}

struct SectionAtWork {
    section: Section,
    is_running: bool,
}

/// The parts that a worker is built from.
pub(crate) struct Parts<T: Transport> {
    pub(crate) consumer: T::Consumer,
    pub(crate) delivery: Delivery<T>,
    pub(crate) fetcher: Fetcher,
    pub(crate) processor: Processor,
    pub(crate) limits: WorkerLimits,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
}

impl<T: Transport> Worker<T> {
    pub(crate) fn new(parts: Parts<T>) -> Self {
        let Parts { consumer, delivery, fetcher, processor, limits, health, metrics } = parts;
        Self {
            status: consumer.status(),
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
    /// When the world is broken: see [`WorkerError`]. The group is left in that case too, without a further commit.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), WorkerError> {
        let mut outcome = self.work(&stop).await;
        if outcome.is_ok() {
            self.health.draining.store(true, Ordering::Relaxed);
            outcome = self.finish().await;
        }
        if outcome.as_ref().is_err_and(WorkerError::is_orderly) {
            self.abandon().await;
        }
        self.health.failed.store(outcome.is_err(), Ordering::Relaxed);
        self.consumer.close().await;
        outcome
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
            let commit_due = self.delivery.due_at(self.is_eager());
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

    /// Asks what the group has committed for partitions that were just assigned.
    fn learn(&mut self) {
        if self.learning.is_none() && !self.to_learn.is_empty() {
            let partitions = std::mem::take(&mut self.to_learn);
            let answer = Box::pin(self.consumer.committed(&partitions));
            self.learning = Some(Learning { partitions, answer });
        }
    }

    fn learned(&mut self, answer: Result<Vec<Committed>, TransportError>) -> Result<(), WorkerError> {
        let Learning { partitions, .. } = self.learning.take().expect("the answer was just awaited");
        match answer {
            Ok(all) => {
                for committed in all.iter().filter(|it| partitions.contains(&it.partition)) {
                    self.notes.taken_over(committed);
                    self.suspects.taken_over(committed);
                }
                if self.suspects.is_careful() {
                    tracing::warn!(
                        partitions = %names(&self.suspects.partitions().cloned().collect::<Vec<_>>()),
                        "a worker died on these partitions; what it ran is run in small parts, each noted before it runs"
                    );
                }
            }
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "the group does not tell what it has committed; asking again");
                self.to_learn.extend(partitions);
            }
        }
        Ok(())
    }

    /// Starts what may run.
    fn dispatch(&mut self, now: Instant) {
        if !self.may_start_batches(now) || self.dispatch_suspects() {
            return;
        }
        while self.may_start_batches(now) {
            let Some(release) = self.batcher.ready(now, self.running.is_empty()) else { return };
            let missing = self.notes.missing(self.batcher.positions());
            if !missing.is_empty() {
                let note = notes::running(self.limits.max_uncommitted_records);
                return self.note(missing, &note, Purpose::Run);
            }
            let (suspects, ahead) = (&self.suspects, &mut self.ahead);
            let may_run = |position: &Position| {
                let may_run = !suspects.is_suspect(position) && ahead.may_dispatch(position);
                if may_run {
                    ahead.dispatched(position);
                }
                may_run
            };
            let batch = self.batcher.take(release, may_run);
            if batch.entries.is_empty() {
                self.is_blocked = true;
                return;
            }
            self.start(batch);
            if self.breaker.is_open() {
                self.breaker.probe_begins();
            }
        }
    }

    /// Runs what a dead worker may have died of, by itself. Whether nothing else may be started now.
    fn dispatch_suspects(&mut self) -> bool {
        if let Some(at_work) = &mut self.section {
            if !at_work.is_running {
                at_work.is_running = true;
                let Section { partition, entries, deaths, verdict, .. } = at_work.section.clone();
                let mut batch = self.batcher.take_of(&partition, entries);
                let positions = batch.entries.iter().map(|entry| &entry.origin.received.position);
                positions.for_each(|position| self.ahead.dispatched(position));
                if verdict == Verdict::Convicted {
                    batch.entries.iter_mut().for_each(|entry| convict(entry, deaths));
                }
                self.start(batch);
            }
            return true;
        }
        if !self.suspects.is_careful() {
            return false;
        }
        if !(self.running.is_empty() && self.delivery.is_idle()) {
            // Asked without consequences: is there one to make room for?
            return self.batcher.positions().any(|position| self.suspects.is_suspect(position));
        }
        let Some(section) = self.suspects.next_section(self.batcher.positions()) else { return false };
        if let Some((note, progress)) =
            self.notes.at_rest(&self.suspects, &self.notes.active()).into_iter().next()
        {
            self.note(progress, &note, Purpose::Rest);
            return true;
        }
        let first = Position { partition: section.partition.clone(), offset: section.from };
        let progress = [(section.partition.clone(), self.notes.stand(&first))].into_iter().collect();
        self.note(progress, &section.mark().write(), Purpose::Suspects(section));
        true
    }

    fn start(&mut self, batch: Batch) {
        let Batch { entries, progress, bytes, release } = batch;
        self.processor.metrics.released(release, entries.len());
        let settles = Settles { progress, entries: entries.len(), bytes };
        let finished = tokio::spawn(Arc::clone(&self.processor).process(entries));
        self.running.push_back(Running { finished, settles });
    }

    fn note(&mut self, progress: Progress, note: &str, purpose: Purpose) {
        let done = Box::pin(self.consumer.commit(progress.clone(), note));
        self.noting = Some(Noting { progress, purpose, done });
    }

    fn noted(&mut self, done: Result<(), TransportError>) -> Result<(), WorkerError> {
        let Noting { progress, purpose, .. } = self.noting.take().expect("the note was just awaited");
        match done {
            Ok(()) => match purpose {
                Purpose::Run => self.notes.activate(&progress),
                Purpose::Rest => self.notes.rested(&progress),
                // Its partition may have gone meanwhile, and the note with it.
                Purpose::Suspects(_) if progress.is_empty() => {}
                Purpose::Suspects(section) => {
                    self.notes.activate(&progress);
                    tracing::info!(
                        partition = %section.partition, from = %section.from, to = %section.to, deaths = section.deaths,
                        verdict = ?section.verdict, "records that may have killed a worker are run by themselves"
                    );
                    self.section = Some(SectionAtWork { section, is_running: false });
                }
            },
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "a note was not committed, and will be tried again");
                self.metrics.commit_failures.inc();
            }
        }
        Ok(())
    }

    /// The oldest batch is done: its records go out, behind those of the batches before it.
    fn deliver(&mut self, finished: Result<Finished, WorkerError>) -> Result<(), WorkerError> {
        let Running { settles, .. } = self.running.pop_front().expect("the oldest batch was just awaited");
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
        if let Some(SectionAtWork { section, .. }) = &self.section {
            self.suspects.settled(&section.partition, section.to);
        }
        self.delivery.add(answers, settles);
        Ok(())
    }

    fn advance(&mut self, step: Step) {
        match step {
            Step::Moved => {}
            Step::Committed(progress) => {
                self.metrics.commits.inc();
                self.ahead.committed(&progress);
                self.notes.committed(&progress);
                self.is_blocked = false;
                if self.section.take_if(|at_work| at_work.is_running && self.running.is_empty()).is_some() {
                    // The note that was committed with it says that nothing of the partition runs.
                    self.notes.rested(&progress);
                }
            }
            Step::Failed => self.metrics.commit_failures.inc(),
        }
    }

    fn start_commit(&mut self) {
        let note = match &self.section {
            Some(SectionAtWork { section, .. }) => self.suspects.mark_at_rest(&section.partition).write(),
            None => notes::running(self.limits.max_uncommitted_records),
        };
        self.delivery.start_commit(&self.consumer, &note);
    }

    /// Whether what can be committed should be, without waiting for its interval.
    fn is_eager(&self) -> bool {
        let nothing_comes = self.running.is_empty() && self.batcher.is_empty();
        self.section.is_some()
            || self.suspects.is_careful()
            || self.ahead.commit_wanted()
            || (nothing_comes && self.delivery.hurries_when_idle())
    }

    /// Gives partitions back: forget what is not batched, wait for what runs, publish, commit, then let go.
    async fn revoke(&mut self, revocation: Revocation) -> Result<(), WorkerError> {
        let partitions = revocation.partitions.clone();
        let forgotten = self.batcher.forget(&partitions);
        self.to_learn.retain(|partition| !partitions.contains(partition));
        self.metrics.rebalanced(if revocation.lost { "lost" } else { "revoked" });
        self.metrics.partitions.sub(partitions.len() as i64);
        CrashPoint::InRevoke.pass();
        let handed_over = if revocation.lost {
            self.health.assigned.store(false, Ordering::Relaxed);
            tracing::warn!(partitions = %names(&partitions), "partitions lost; another worker repeats what was unfinished");
            Ok(())
        } else {
            self.hand_over(&partitions, forgotten).await
        };
        // After an error too: whatever this worker still committed would set their next owner back.
        self.forget(&partitions);
        drop(revocation);
        handed_over
    }

    async fn hand_over(&mut self, partitions: &[Partition], forgotten: usize) -> Result<(), WorkerError> {
        // The poll thread lets go after the drain timeout, done or not; part of it is kept for the last note.
        let let_go = Instant::now() + self.limits.drain_timeout;
        let drained = self.drain_until(let_go - self.limits.drain_timeout / 5).await?;
        let rested = self.rest(partitions, let_go).await?;
        if drained && rested {
            tracing::info!(partitions = %names(partitions), forgotten, "partitions revoked; their work is committed");
        } else {
            tracing::warn!(
                partitions = %names(partitions), limit = ?self.limits.drain_timeout,
                "partitions revoked before their work was done; their next owner repeats it \
                 (raise worker.drain_timeout_ms if batches take that long)"
            );
        }
        Ok(())
    }

    /// Whatever still runs for these partitions settles nothing any more: a commit would set their next owner back.
    fn forget(&mut self, partitions: &[Partition]) {
        self.running.iter_mut().for_each(|batch| batch.settles.progress.forget(partitions));
        self.delivery.forget(partitions);
        self.ahead.forget(partitions);
        self.suspects.forget(partitions);
        self.notes.forget(partitions);
        if let Some(learning) = &mut self.learning {
            learning.partitions.retain(|partition| !partitions.contains(partition));
        }
        if let Some(noting) = &mut self.noting {
            noting.progress.forget(partitions);
        }
        self.section.take_if(|at_work| partitions.contains(&at_work.section.partition));
        self.is_blocked = false;
    }

    /// Asked to stop: nothing new is begun, what runs is finished within the drain limit, and committed.
    async fn finish(&mut self) -> Result<(), WorkerError> {
        let unread = self.batcher.len();
        let deadline = Instant::now() + self.limits.drain_timeout;
        let drained = self.drain_until(deadline).await?;
        if !drained {
            tracing::warn!(limit = ?self.limits.drain_timeout, "the drain limit passed; unfinished jobs are run again by the next worker");
            for batch in &self.running {
                batch.finished.abort();
            }
        }
        let active = self.notes.active();
        if self.rest(&active, deadline.max(Instant::now() + Duration::from_secs(1))).await? {
            tracing::info!(left_for_others = unread, "what was finished is committed");
        }
        Ok(())
    }

    /// Ends at a batch that is not answered: what was answered before it is committed, and that nobody died over the rest
    /// is noted, or its jobs would be suspected of it after the next start.
    async fn abandon(&mut self) {
        for batch in self.running.drain(..) {
            batch.finished.abort();
        }
        if let Err(error) = self.finish().await {
            tracing::warn!(error = %Chain(&error), "what was answered before was not all committed, and is answered again");
        }
    }

    /// Waits until nothing runs and everything is committed; false when the deadline came first.
    async fn drain_until(&mut self, deadline: Instant) -> Result<bool, WorkerError> {
        while !(self.running.is_empty() && self.delivery.is_idle() && self.noting.is_none()) {
            // One commit for all of it.
            let waits = !self.running.is_empty() || self.delivery.is_publishing();
            let commit_due = self.delivery.due_at(true).filter(|_| !waits);
            tokio::select! {
                biased;
                step = self.delivery.next() => {
                    let step = step?;
                    let failed = matches!(step, Step::Failed);
                    self.advance(step);
                    if failed {
                        tokio::time::sleep(PAUSE_BETWEEN_TRIES).await;
                    }
                }
                finished = oldest_finished(&mut self.running) => self.deliver(finished?)?,
                noted = note_done(&mut self.noting) => self.noted(noted)?,
                () = at(commit_due) => self.start_commit(),
                () = at(Some(deadline)) => return Ok(self.commit_what_is_acknowledged().await),
            }
        }
        Ok(true)
    }

    /// The time is up: what is acknowledged is committed all the same. Always false: not everything was done.
    async fn commit_what_is_acknowledged(&mut self) -> bool {
        const LAST_MOMENT: Duration = Duration::from_millis(500);
        if self.delivery.due_at(true).is_none() {
            return false;
        }
        self.start_commit();
        let until = Instant::now() + LAST_MOMENT;
        loop {
            tokio::select! {
                step = self.delivery.next() => match step {
                    Ok(step @ Step::Committed(_)) => {
                        self.advance(step);
                        break;
                    }
                    Ok(_) => {}
                    Err(_) => break,
                },
                () = at(Some(until)) => break,
            }
        }
        false
    }

    /// Notes that nothing of these partitions runs any more; false when the deadline came first.
    async fn rest(&mut self, partitions: &[Partition], deadline: Instant) -> Result<bool, WorkerError> {
        if self.delivery.is_committing() {
            // It may come through yet, and this would set it back.
            return Ok(false);
        }
        loop {
            let Some((note, progress)) = self.notes.at_rest(&self.suspects, partitions).into_iter().next()
            else {
                return Ok(true);
            };
            let done =
                tokio::time::timeout_at(deadline.into(), self.consumer.commit(progress.clone(), &note));
            match done.await {
                Ok(Ok(())) => self.notes.rested(&progress),
                Ok(Err(error)) if error.is_fatal() => return Err(error.into()),
                Ok(Err(error)) if error.is_lost_membership() => {
                    tracing::warn!(error = %Chain(&error), "partitions moved before they were handed over in good order");
                    return Ok(false);
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "the last note was not committed; trying again");
                    tokio::time::sleep(PAUSE_BETWEEN_TRIES).await;
                }
                Err(_) => {
                    tracing::warn!(
                        "the last commit was not acknowledged in time; finished jobs may be run again"
                    );
                    return Ok(false);
                }
            }
        }
    }

    /// Whether nothing has to be known or noted before a batch may start.
    fn may_start_batches(&self, now: Instant) -> bool {
        let holds_back = match self.breaker.may_dispatch(now) {
            Dispatch::Yes => false,
            Dispatch::OneBatch => !self.running.is_empty(),
            Dispatch::No => true,
        };
        !holds_back
            && self.learning.is_none()
            && self.to_learn.is_empty()
            && self.noting.is_none()
            && !self.is_blocked
            && self.can_run_more()
    }

    fn can_run_more(&self) -> bool {
        self.running.len() < self.limits.max_running_batches
            && self.delivery.held().1 < self.limits.max_inflight_bytes
    }

    fn has_room(&self) -> bool {
        let (records, bytes) = self.inflight();
        records < self.limits.max_inflight_records && bytes < self.limits.max_inflight_bytes
    }

    fn inflight(&self) -> (usize, usize) {
        let held = self.delivery.held();
        let waiting = (self.batcher.len() + held.0, self.batcher.bytes() + held.1);
        self.running.iter().fold(waiting, |(records, bytes), batch| {
            (records + batch.settles.entries, bytes + batch.settles.bytes)
        })
    }

    fn count_inflight(&self) {
        let (records, bytes) = self.inflight();
        self.metrics.inflight.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.metrics.inflight_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.metrics.uncommitted.set(i64::try_from(self.ahead.total()).unwrap_or(i64::MAX));
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

async fn oldest_finished(
    running: &mut VecDeque<Running>,
) -> Result<Result<Finished, WorkerError>, JoinError> {
    match running.front_mut() {
        Some(oldest) => (&mut oldest.finished).await,
        None => pending().await,
    }
}

async fn note_done(noting: &mut Option<Noting>) -> Result<(), TransportError> {
    match noting {
        Some(noting) => noting.done.as_mut().await,
        None => pending().await,
    }
}

async fn learned(learning: &mut Option<Learning>) -> Result<Vec<Committed>, TransportError> {
    match learning {
        Some(learning) => learning.answer.as_mut().await,
        None => pending().await,
    }
}

/// This record has killed too many workers: it is not run any more.
fn convict(entry: &mut Entry, deaths: u32) {
    let message = format!(
        "the worker's process died {deaths} times while it ran this job alone; it is not run again \
         (worker.max_crashes = {deaths})"
    );
    let stage = Stage::Inference;
    entry.work = Work::Fail(entry.origin.failure(stage, FailureCode::ModelError, message, false));
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

/// An error with its causes, for a log line: `Display` of an error never prints its sources.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

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
