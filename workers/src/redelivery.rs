//! Jobs that wait to be run again go back to their topic when they are due.
//!
//! Every record of one retry topic waits equally long, so the first of a partition is due first: as long as it is not,
//! the partition is paused.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use schemas::{DecodeError, RETRY_HEADER_PREFIX, Retry, Timestamp};
use tokio_util::sync::CancellationToken;
use transport::{Consumer, Event, Header, Partition, Progress, Received, Record, Revocation, Transport};

use crate::answers::Answers;
use crate::delivery::{Delivery, Settles, Step};
use crate::worker::{Chain, WorkerError, at};

/// How long what is on its way may take when partitions are given up or the worker stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Reads the retry topics of a pipeline.
pub(crate) struct Redelivery<T: Transport> {
    consumer: T::Consumer,
    delivery: Delivery<T>,
    /// Where jobs may go back to: a header must not send them anywhere else.
    targets: Vec<String>,
    /// Where a record goes that nobody can send back.
    dead_letters: String,
    waiting: BTreeMap<Partition, Waiting>,
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
        targets: Vec<String>,
        dead_letters: String,
    ) -> Self {
        Self { consumer, delivery, targets, dead_letters, waiting: BTreeMap::new() }
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
            self.send_due(Instant::now());
            let commit_due = self.delivery.due_at(true);
            let due = self.waiting.values().filter_map(|it| it.records.front()).map(|(due, _)| *due).min();
            tokio::select! {
                biased;
                step = self.delivery.next() => self.observe(&step?),
                () = stop.cancelled() => return Ok(()),
                () = at(commit_due) => self.delivery.start_commit(&self.consumer, ""),
                event = self.consumer.next() => match event.ok_or(WorkerError::ConsumerEnded)? {
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

    fn take(&mut self, records: Vec<Received>) {
        let (now, clock) = (Instant::now(), Timestamp::now());
        for received in records {
            // One that cannot be read is due at once: it goes to the dead letters.
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

    fn send_due(&mut self, now: Instant) {
        let mut answers = Answers::default();
        let mut settles = Settles { progress: Progress::default(), entries: 0, bytes: 0 };
        for (partition, waiting) in &mut self.waiting {
            let due = waiting.records.iter().take_while(|(due, _)| *due <= now).count();
            for (_, received) in waiting.records.drain(..due) {
                settles.progress.record(&received.position);
                settles.entries += 1;
                let record = sent_back(received.record, &self.targets, &self.dead_letters);
                answers.answer(partition, |records| records.push(record));
            }
            if waiting.is_paused && waiting.records.is_empty() {
                waiting.is_paused = false;
                self.consumer.resume(partition);
            }
        }
        if settles.entries > 0 {
            self.delivery.add(answers, settles, &[]);
        }
    }

    async fn revoke(&mut self, revocation: Revocation) -> Result<(), WorkerError> {
        for partition in &revocation.partitions {
            self.waiting.remove(partition);
        }
        if !revocation.lost {
            self.drain(Instant::now() + DRAIN).await?;
        }
        self.delivery.forget(&revocation.partitions);
        revocation.release();
        Ok(())
    }

    /// Commits what has been sent back.
    async fn drain(&mut self, deadline: Instant) -> Result<(), WorkerError> {
        while !self.delivery.is_idle() {
            let commit_due = self.delivery.due_at(true).filter(|_| !self.delivery.is_publishing());
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

/// The record as it goes back to its topic. One that does not say where that is, or names a topic that is not this
/// pipeline's, is nobody's job: it is kept with the dead letters.
fn sent_back(record: Record, targets: &[String], dead_letters: &str) -> Record {
    let target = match read(&record) {
        Ok(retry) if targets.contains(&retry.topic) => retry.topic,
        Ok(retry) => {
            tracing::error!(
                topic = retry.topic,
                "a record in a retry topic names a topic that is not of the pipeline"
            );
            return Record { topic: dead_letters.into(), ..record };
        }
        Err(fault) => {
            tracing::error!(%fault, "a record in a retry topic does not say where it belongs");
            return Record { topic: dead_letters.into(), ..record };
        }
    };
    let kept = |header: &Header| !header.name.starts_with(RETRY_HEADER_PREFIX);
    let headers = record.headers.into_iter().filter(kept).collect();
    Record { topic: target.into(), headers, ..record }
}

#[cfg(test)]
mod tests {
    use schemas::FailureCode;

    use super::*;

    #[test]
    fn goes_back_only_to_a_topic_of_the_pipeline() {
        let check = |topic: &str, expect: &str| {
            let retry = Retry { topic: topic.into(), due: Timestamp::now(), code: FailureCode::Timeout };
            let mut record = Record::new("p.retry.5s", "body").with_key("k").with_header("ce_attempt", "2");
            record.headers.extend(retry.write().into_iter().map(|(name, value)| Header { name, value }));
            let back = sent_back(record, &["p.inference".into()], "p.dead-letters");
            assert_eq!(&*back.topic, expect);
            assert_eq!(back.key.as_deref(), Some(&b"k"[..]));
            if topic == expect {
                let names: Vec<&str> = back.headers.iter().map(|header| &*header.name).collect();
                assert_eq!(names, ["ce_attempt"]);
            }
        };
        check("p.inference", "p.inference");
        check("other.secrets", "p.dead-letters");
    }
}
