//! Jobs that wait to be run again go back to their topic when they are due.
//!
//! Every record of one retry topic waits equally long, but for a tenth, so the first of a partition is due about first: as
//! long as it is not, the partition is paused.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use schemas::{DecodeError, FailureCode, RETRY_HEADER_PREFIX, Retry, Stage, Timestamp};
use tokio_util::sync::CancellationToken;
use transport::{Consumer, Event, Header, Partition, Progress, Received, Record, Revocation, Transport};

use crate::answers::Answers;
use crate::delivery::{Delivery, Haste, Settles, Step};
use crate::fetch::Origin;
use crate::process::Processor;
use crate::worker::{Chain, WorkerError, WorkerLimits, at, next_event};

/// How long what is on its way may take when partitions are given up or the worker stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Reads the retry topics of a pipeline.
pub(crate) struct Redelivery<T: Transport> {
    consumer: T::Consumer,
    delivery: Delivery<T>,
    returns: Returns,
    waiting: BTreeMap<Partition, Waiting>,
    limits: WorkerLimits,
}

/// What becomes of a record that is due.
pub(crate) struct Returns {
    /// The topics of all stages: a header must not send a job anywhere else.
    pub(crate) targets: [String; Stage::ALL.len()],
    /// Answers what cannot go back.
    pub(crate) processor: Processor,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<(Instant, Received)>,
    is_paused: bool,
}

impl<T: Transport> Redelivery<T> {
    pub(crate) fn new(
        consumer: T::Consumer,
        delivery: Delivery<T>,
        returns: Returns,
        limits: WorkerLimits,
    ) -> Self {
        Self { consumer, delivery, returns, waiting: BTreeMap::new(), limits }
    }

    /// Sends back what is due until `stop`.
    ///
    /// # Errors
    /// When the world is broken: see [`WorkerError`].
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), WorkerError> {
        let mut outcome = self.work(&stop).await;
        if outcome.is_ok() {
            outcome = self.drain(Instant::now() + DRAIN).await;
        }
        self.consumer.close().await;
        outcome
    }

    async fn work(&mut self, stop: &CancellationToken) -> Result<(), WorkerError> {
        loop {
            self.send_due(Instant::now())?;
            let commit_due = self.delivery.due_at(Haste::Needed);
            let has_room = self.has_room();
            let due = self.waiting.values().filter_map(|it| it.records.front()).map(|(due, _)| *due).min();
            tokio::select! {
                biased;
                step = self.delivery.next() => self.observe(&step?),
                () = stop.cancelled() => return Ok(()),
                () = at(commit_due) => self.delivery.start_commit(&self.consumer, ""),
                event = next_event::<T>(&mut self.consumer, has_room) => match event.ok_or(WorkerError::ConsumerEnded)? {
                    Event::Records(records) => self.take(records),
                    Event::Assigned(_) => {}
                    Event::Revoked(revocation) => self.revoke(revocation).await?,
                    Event::Error(error) if error.is_fatal() => return Err(error.into()),
                    Event::Error(error) => {
                        tracing::warn!(error = %Chain(&error), "jobs that wait to be run again cannot be read for now");
                    }
                },
                () = at(due) => {}
            }
        }
    }

    /// What waits is bounded by itself: a partition is paused as soon as a record of it is not due.
    fn has_room(&self) -> bool {
        let (records, bytes) = self.delivery.held();
        records < self.limits.transaction.max_records && bytes < self.limits.transaction.max_bytes
    }

    fn take(&mut self, records: Vec<Received>) {
        let (now, clock) = (Instant::now(), Timestamp::now());
        for received in records {
            // One that cannot be read is due at once: it is answered with a failure.
            let wait =
                read(&received.record).map_or(0, |retry| retry.due.unix_micros() - clock.unix_micros());
            let due = now + Duration::from_micros(u64::try_from(wait).unwrap_or(0));
            let partition = received.position.partition.clone();
            let waiting = self.waiting.entry(partition.clone()).or_default();
            waiting.records.push_back((due, received));
            if !waiting.is_paused && due > now {
                waiting.is_paused = true;
                self.consumer.pause(&partition);
            }
        }
    }

    fn send_due(&mut self, now: Instant) -> Result<(), WorkerError> {
        let mut answers = Answers::default();
        let mut settles = Settles { progress: Progress::default(), entries: 0, bytes: 0 };
        for (partition, waiting) in &mut self.waiting {
            let due = waiting.records.iter().take_while(|(due, _)| *due <= now).count();
            for (_, received) in waiting.records.drain(..due) {
                settles.progress.record(&received.position);
                settles.entries += 1;
                answers.answer(partition, |records| self.returns.answer(received, records))?;
            }
            if waiting.is_paused && waiting.records.is_empty() {
                waiting.is_paused = false;
                self.consumer.resume(partition);
            }
        }
        if settles.entries > 0 {
            self.delivery.add(answers, settles, &[]);
        }
        Ok(())
    }

    async fn revoke(&mut self, revocation: Revocation) -> Result<(), WorkerError> {
        for partition in &revocation.partitions {
            self.waiting.remove(partition);
        }
        if !revocation.lost {
            // The poll thread lets go after the drain timeout, done or not.
            self.drain(Instant::now() + DRAIN.min(self.limits.drain_timeout * 4 / 5)).await?;
        }
        self.delivery.forget(&revocation.partitions);
        revocation.release();
        Ok(())
    }

    /// Commits what has been sent back.
    async fn drain(&mut self, deadline: Instant) -> Result<(), WorkerError> {
        while !self.delivery.is_idle() {
            let commit_due = self.delivery.due_at(Haste::Needed).filter(|_| !self.delivery.is_publishing());
            tokio::select! {
                biased;
                step = self.delivery.next() => self.observe(&step?),
                () = at(commit_due) => self.delivery.start_commit(&self.consumer, ""),
                () = at(Some(deadline)) => {
                    tracing::warn!("not everything that was sent back could be committed; it may be sent back again");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn observe(&self, step: &Step) {
        if matches!(step, Step::Failed) {
            tracing::debug!("sending jobs back is tried again");
        }
    }
}

fn read(record: &Record) -> Result<Retry, DecodeError> {
    Retry::read(record.headers.iter().map(|header| (&*header.name, header.value.as_deref())))
}

impl Returns {
    /// The record as it goes back to its topic. One that cannot go anywhere is answered like one of a job topic that cannot
    /// be read.
    ///
    /// # Errors
    /// [`WorkerError::Stopped`] where that is declared for the stage.
    fn answer(&self, received: Received, records: &mut Vec<Record>) -> Result<(), WorkerError> {
        let outbox = &self.processor.outbox;
        let (stage, code, message) = match read(&received.record) {
            Ok(retry) => {
                match Stage::ALL.into_iter().find(|stage| self.targets[*stage as usize] == retry.topic) {
                    Some(stage) => {
                        let back = sent_back(&received.record, &retry.topic);
                        if outbox.takes(&back) {
                            records.push(back);
                            return Ok(());
                        }
                        let message = format!(
                            "record: {} bytes are more than {} takes by now; raise its max.message.bytes, then replay the dead letter",
                            back.size(),
                            back.topic
                        );
                        (stage, FailureCode::TooLarge, message)
                    }
                    None => {
                        let message = "headers.ms_retry_topic: names no topic of a stage of this pipeline; submit jobs to a stage's topic";
                        (outbox.stage, FailureCode::InvalidInput, message.to_owned())
                    }
                }
            }
            Err(fault) => {
                let message =
                    format!("{fault}; only workers write to retry topics, submit jobs to a stage's topic");
                (outbox.stage, fault.code, message)
            }
        };
        let (origin, _) = Origin::read(received, Instant::now(), &Timestamp::now());
        let failure = origin.failure(stage, code, message, false);
        self.processor.refuse(origin, failure, records)
    }
}

/// A job without what was added while it waited.
fn sent_back(record: &Record, topic: &str) -> Record {
    let kept = |header: &&Header| !header.name.starts_with(RETRY_HEADER_PREFIX);
    let headers = record.headers.iter().filter(kept).cloned().collect();
    Record { topic: topic.into(), key: record.key.clone(), value: record.value.clone(), headers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_goes_back_without_what_was_added() {
        let retry = Retry { topic: "p.inference".into(), due: Timestamp::now(), code: FailureCode::Timeout };
        let mut record = Record::new("p.retry.5s", "body").with_key("k").with_header("ce_attempt", "2");
        record.headers.extend(retry.write().into_iter().map(|(name, value)| Header { name, value }));
        let back = sent_back(&record, "p.inference");
        assert_eq!((&*back.topic, &back.key, &back.value), ("p.inference", &record.key, &record.value));
        assert_eq!(back.headers, [Header::new("ce_attempt", "2")]);
    }
}
