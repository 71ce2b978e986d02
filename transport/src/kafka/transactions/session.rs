//! One transaction after the other, on a thread of its own: every call of librdkafka's blocks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer, ConsumerGroupMetadata};
use tokio::sync::oneshot;

use super::producer::Producer;
use super::sort::{self, Fault, Verdict};
use crate::crash_point::CrashPoint;
use crate::error::{TransportError, list_partitions};
use crate::kafka::commit;
use crate::kafka::poll_thread::Native;
use crate::kafka::settings::TRANSACTION_LIMIT_MS;
use crate::progress::Progress;
use crate::record::Record;
use crate::transactions::TransactionError;

/// How long a transaction may take until its commit is answered.
pub(super) const LIMIT: Duration = Duration::from_millis(TRANSACTION_LIMIT_MS);

/// How long undoing may take beyond that.
pub(super) const UNDO_LIMIT: Duration = Duration::from_secs(5);

/// A transaction that waits for its turn.
pub(super) struct Request {
    pub(super) records: Arc<Vec<Record>>,
    pub(super) progress: Progress,
    pub(super) note: String,
    pub(super) answer: oneshot::Sender<Result<(), TransactionError>>,
}

/// The consumer, once it is known; held only for moments, so that its poll thread can drop it.
pub(super) type Member = Arc<OnceLock<Weak<Native>>>;

/// What the thread knows.
pub(super) struct Session {
    id: String,
    consumer: Member,
    // Until the producer is of no more use: from then on every request gets the reason for that.
    producer: Result<Producer, TransactionError>,
    // A record that a broker refused leaves a gap in the numbers of its partition. The next transaction there stumbles
    // over it, once: undoing that sets all numbers right.
    has_gaps: bool,
    // Whoever waited for an answer has given up.
    given_up: Arc<AtomicBool>,
}

/// What a group has to be told in a transaction.
struct Offsets {
    list: TopicPartitionList,
    group: ConsumerGroupMetadata,
}

impl Session {
    pub(super) fn new(id: &str, consumer: Member, producer: Producer, given_up: Arc<AtomicBool>) -> Self {
        Self { id: id.into(), consumer, producer: Ok(producer), has_gaps: false, given_up }
    }

    /// Serves until there will be no more requests.
    pub(super) fn run(mut self, requests: &mpsc::Receiver<Request>) {
        for Request { records, progress, note, answer } in requests {
            let outcome = self.transact(&records, &progress, &note);
            // Nobody waits for the answer when the future was dropped.
            drop(answer.send(outcome));
        }
    }

    fn transact(
        &mut self,
        records: &[Record],
        progress: &Progress,
        note: &str,
    ) -> Result<(), TransactionError> {
        let mut outcome = self.try_once(records, progress, note);
        if self.has_gaps && matches!(outcome, Err(Verdict::Undo(TransactionError::Aborted { .. }))) {
            self.has_gaps = false;
            outcome = self.try_once(records, progress, note);
        }
        match outcome {
            Ok(()) => Ok(()),
            Err(Verdict::Undo(error)) => {
                tracing::debug!(id = self.id, %error, "a transaction was undone");
                self.has_gaps |= matches!(error, TransactionError::TooLarge(_) | TransactionError::Fatal(_));
                Err(error)
            }
            Err(Verdict::GiveUp(error)) => {
                if self.producer.is_ok() {
                    tracing::warn!(id = self.id, %error, "a transactional producer is given up");
                }
                self.producer = Err(error.clone());
                Err(error)
            }
        }
    }

    // When it is to be undone, it has been.
    fn try_once(&self, records: &[Record], progress: &Progress, note: &str) -> Result<(), Verdict> {
        let producer = self.producer.as_ref().map_err(|error| Verdict::GiveUp(error.clone()))?;
        if self.given_up.load(Ordering::SeqCst) {
            let reason = "an earlier transaction hangs".into();
            return Err(Verdict::GiveUp(TransactionError::Unknown { reason }));
        }
        let offsets = self.offsets(progress, note).map_err(Verdict::Undo)?;
        let outcome = self.attempt(producer, records, progress, offsets.as_ref());
        if let Err(Verdict::Undo(_)) = &outcome {
            // What is not undone for certain is uncertain, whatever stopped it.
            producer
                .abort(Instant::now() + UNDO_LIMIT)
                .map_err(|fault| Verdict::GiveUp(sort::of_commit(&fault, &self.id)))?;
        }
        producer.rest();
        outcome
    }

    // The group as it is now, then whether the partitions are ours: the brokers check who commits, but not what. In
    // this order, because a partition that goes away after the look leaves an old generation behind.
    fn offsets(&self, progress: &Progress, note: &str) -> Result<Option<Offsets>, TransactionError> {
        if progress.is_empty() {
            return Ok(None);
        }
        let lost = |reason: String| TransactionError::LostMembership { reason };
        let native = self.consumer().ok_or_else(|| lost("the consumer is closed".into()))?;
        let group = native
            .group_metadata()
            .ok_or_else(|| lost("the consumer is not a member of its group".into()))?;
        let foreign = native.context().not_held(progress.iter().map(|(partition, _)| partition));
        if !foreign.is_empty() {
            return Err(lost(format!("{} belong to another member", list_partitions(&foreign))));
        }
        let list = commit::offsets(progress, note).map_err(TransactionError::Fatal)?;
        Ok(Some(Offsets { list, group }))
    }

    fn attempt(
        &self,
        producer: &Producer,
        records: &[Record],
        progress: &Progress,
        offsets: Option<&Offsets>,
    ) -> Result<(), Verdict> {
        let began = Instant::now();
        let deadline = began + LIMIT;
        let stopped = |fault: &Fault| sort::before_commit(fault, &self.id, self.still_holds(progress));
        producer.begin().map_err(|fault| match stopped(&fault) {
            // There is nothing to undo.
            Verdict::Undo(error) | Verdict::GiveUp(error) => Verdict::GiveUp(error),
        })?;
        producer.send(records, deadline);
        // While the records travel: the one need not wait for the other, since neither counts without the commit.
        let added = match offsets {
            Some(Offsets { list, group }) if !is_doomed(producer, records) => {
                CrashPoint::BeforeOffsets.pass();
                let added = producer.add_offsets(list, group, deadline).map_err(|fault| stopped(&fault));
                CrashPoint::AfterOffsets.pass();
                added
            }
            _ => Ok(()),
        };
        let told = began.elapsed();
        // First what became of the records: it says more than that the transaction takes no offsets any more.
        self.wait_for_records(producer, records, progress, deadline)?;
        added?;
        CrashPoint::AfterProduce.pass();
        let produced = began.elapsed();
        CrashPoint::BeforeCommit.pass();
        producer.commit(deadline).map_err(|fault| Verdict::GiveUp(sort::of_commit(&fault, &self.id)))?;
        CrashPoint::AfterCommit.pass();
        let committed = began.elapsed();
        tracing::debug!(
            id = self.id, records = records.len(), offsets = ?told, produced = ?produced - told, commit = ?committed - produced,
            "a transaction was committed"
        );
        Ok(())
    }

    fn wait_for_records(
        &self,
        producer: &Producer,
        records: &[Record],
        progress: &Progress,
        deadline: Instant,
    ) -> Result<(), Verdict> {
        if !is_doomed(producer, records) && !producer.wait_for_reports(deadline) {
            let reason = "the brokers did not take the records in time".into();
            return Err(Verdict::GiveUp(TransactionError::Unknown { reason }));
        }
        let failures = producer.failures();
        if failures.is_empty() {
            return Ok(());
        }
        let fault = producer.fault();
        if let Some(fault) = fault.as_ref().filter(|fault| fault.fatal) {
            return Err(sort::before_commit(fault, &self.id, self.still_holds(progress)));
        }
        Err(sort::of_records(&failures, records).unwrap_or_else(|| match fault {
            Some(fault) => sort::before_commit(&fault, &self.id, self.still_holds(progress)),
            None => Verdict::Undo(TransactionError::Aborted { reason: "records were not published".into() }),
        }))
    }

    fn consumer(&self) -> Option<Arc<Native>> {
        self.consumer.get()?.upgrade()
    }

    fn still_holds(&self, progress: &Progress) -> bool {
        self.consumer().is_some_and(|native| {
            native.context().not_held(progress.iter().map(|(partition, _)| partition)).is_empty()
        })
    }
}

/// A record that was refused dooms the rest: nothing needs to be waited for.
fn is_doomed(producer: &Producer, records: &[Record]) -> bool {
    sort::of_records(&producer.failures(), records).is_some()
}

/// Takes over the transactional id: whoever had it is shut out, and what it left is undone or finished.
pub(super) fn take_over(
    producer: &Producer,
    id: &str,
    limit: Duration,
    is_wanted: impl Fn() -> bool,
) -> Result<(), TransportError> {
    const STEP: Duration = Duration::from_secs(2);
    let deadline = Instant::now() + limit;
    let mut known = false;
    let mut reason = "no broker answers; check `kafka.brokers` and that a broker runs there".to_owned();
    while is_wanted() && Instant::now() < deadline {
        if !known {
            match producer.cluster_id(STEP) {
                Some(cluster) if crate::kafka::dev_broker::is_embedded(&cluster) => {
                    return Err(super::embedded().into());
                }
                Some(_) => known = true,
                None => continue,
            }
        }
        match producer.init(STEP) {
            Ok(()) => return Ok(()),
            Err(fault) => {
                if let Some(error) = sort::of_init(&fault, id) {
                    return Err(error);
                }
                reason = fault.reason;
            }
        }
    }
    Err(TransportError::Unavailable { what: format!("cannot take over transactional id `{id}`"), reason })
}
