//! Delivery exactly once: outcomes and the offsets that they settle go in one transaction, many batches in each.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use transport::{Partition, Progress, Record, TransactionError, Transactions};

use crate::answers::Answers;
use crate::delivery::{Haste, Settles, Step};
use crate::metrics::TransactionMetrics;
use crate::worker::WorkerError;

/// Before an undone transaction is tried again: whatever undid it (a rebalance, mostly) takes a moment.
const PAUSE_AFTER_ABORT: Duration = Duration::from_millis(50);

/// Between a transaction and the next: brokers answer a commit before they have marked it everywhere, and one that begins
/// sooner is told to come again, which librdkafka does after 20 ms.
const PAUSE_AFTER_COMMIT: Duration = Duration::from_millis(2);

/// A transaction of more records than these shows that there is work to do: as much time as it took passes before the
/// next one is made without need. Otherwise brokers that are busy would be given ever more and ever smaller ones.
const FEW: usize = 16;

/// When a transaction is made of what has gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionLimits {
    /// The longest that an outcome waits for others; it does not wait when nothing runs.
    pub interval: Duration,
    /// Records in a transaction before it leaves at once.
    pub max_records: usize,
    /// Bytes of records before it leaves at once.
    pub max_bytes: usize,
}

/// Outcomes that gather, and the transaction that is under way.
pub(crate) struct ExactlyOnce<X> {
    transactions: X,
    limits: TransactionLimits,
    metrics: TransactionMetrics,
    gathered: Gathered,
    under_way: Option<UnderWay>,
}

/// What goes into the next transaction.
#[derive(Debug, Default)]
struct Gathered {
    answers: Answers,
    progress: Progress,
    entries: usize,
    bytes: usize,
    // When the oldest of it came.
    since: Option<Instant>,
    // When the next transaction may begin.
    not_before: Option<Instant>,
    // When it may begin although there is no hurry.
    at_leisure_from: Option<Instant>,
}

impl Gathered {
    fn due_at(&self, limits: TransactionLimits, haste: Haste) -> Option<Instant> {
        let since = self.since?;
        let full = self.answers.len() >= limits.max_records || self.bytes >= limits.max_bytes;
        let latest = since + limits.interval;
        let due_at = match haste {
            _ if full => since,
            Haste::Needed => since,
            Haste::Idle => self.at_leisure_from.map_or(since, |from| since.max(from).min(latest)),
            Haste::None => latest,
        };
        Some(self.not_before.map_or(due_at, |earliest| due_at.max(earliest)))
    }
}

struct UnderWay {
    records: Arc<Vec<Record>>,
    runs: Vec<(Partition, usize)>,
    progress: Progress,
    entries: usize,
    bytes: usize,
    forgotten: Vec<Partition>,
    begun: Instant,
    done: Pin<Box<dyn Future<Output = Result<(), TransactionError>> + Send>>,
}

impl<X: Transactions> ExactlyOnce<X> {
    pub(crate) fn new(transactions: X, limits: TransactionLimits, metrics: TransactionMetrics) -> Self {
        Self { transactions, limits, metrics, gathered: Gathered::default(), under_way: None }
    }

    pub(crate) fn add(&mut self, answers: Answers, settles: Settles) {
        if settles.progress.is_empty() {
            // All of its partitions went away while it ran.
            return;
        }
        let gathered = &mut self.gathered;
        gathered.answers.append(answers);
        gathered.progress.merge(settles.progress);
        gathered.entries += settles.entries;
        gathered.bytes += settles.bytes;
        gathered.since.get_or_insert_with(Instant::now);
    }

    pub(crate) fn commit_for(&self, consumer: &X::Consumer) {
        self.transactions.commit_for(consumer);
    }

    pub(crate) fn due_at(&self, haste: Haste) -> Option<Instant> {
        if self.under_way.is_some() {
            return None;
        }
        self.gathered.due_at(self.limits, haste)
    }

    pub(crate) fn to_commit(&self) -> &Progress {
        &self.gathered.progress
    }

    pub(crate) fn start_commit(&mut self, note: &str) {
        let Gathered { answers, progress, entries, bytes, .. } = std::mem::take(&mut self.gathered);
        let (records, runs) = answers.split();
        let records = Arc::new(records);
        let done = Box::pin(self.transactions.commit(Arc::clone(&records), progress.clone(), note));
        let (forgotten, begun) = (Vec::new(), Instant::now());
        self.under_way = Some(UnderWay { records, runs, progress, entries, bytes, forgotten, begun, done });
    }

    /// Waits for the transaction that is under way. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Step, WorkerError> {
        let done = match &mut self.under_way {
            Some(under_way) => under_way.done.as_mut().await,
            None => pending().await,
        };
        let under_way = self.under_way.take().expect("the transaction was just awaited");
        self.count(&under_way, &done);
        match done {
            Ok(()) => {
                let now = Instant::now();
                self.gathered.not_before = Some(now + PAUSE_AFTER_COMMIT);
                let is_little = under_way.records.len() <= FEW;
                self.gathered.at_leisure_from = (!is_little).then(|| now + under_way.begun.elapsed());
                Ok(Step::Committed(under_way.progress))
            }
            Err(error @ (TransactionError::Aborted { .. } | TransactionError::LostMembership { .. })) => {
                tracing::warn!(%error, "a transaction was undone, and will be tried again");
                self.take_back(under_way);
                Ok(Step::Failed)
            }
            Err(TransactionError::TooLarge(error)) => Err(WorkerError::of_publishing(error)),
            Err(TransactionError::Fenced { reason }) => Err(WorkerError::Fenced { reason }),
            Err(TransactionError::Unknown { reason }) => Err(WorkerError::Interrupted { reason }),
            Err(TransactionError::Fatal(error)) => Err(error.into()),
        }
    }

    fn count(&self, under_way: &UnderWay, done: &Result<(), TransactionError>) {
        let metrics = &self.metrics;
        metrics.duration.observe(under_way.begun.elapsed().as_secs_f64());
        match done {
            Ok(()) => {
                metrics.committed.inc();
                metrics.records.observe(under_way.records.len() as f64);
            }
            Err(
                TransactionError::Aborted { .. }
                | TransactionError::LostMembership { .. }
                | TransactionError::TooLarge(_),
            ) => metrics.aborted.inc(),
            Err(
                TransactionError::Fenced { .. }
                | TransactionError::Unknown { .. }
                | TransactionError::Fatal(_),
            ) => metrics.unanswered.inc(),
        }
    }

    /// What was undone goes in front of what has gathered since.
    fn take_back(&mut self, under_way: UnderWay) {
        let UnderWay { records, runs, progress, entries, bytes, forgotten, begun: _, done } = under_way;
        // It holds the records too.
        drop(done);
        let records = Arc::try_unwrap(records).unwrap_or_else(|shared| (*shared).clone());
        let mut answers = Answers::join(records, runs);
        answers.forget(&forgotten);
        let newer = std::mem::take(&mut self.gathered);
        answers.append(newer.answers);
        let mut all = progress;
        all.merge(newer.progress);
        let not_before = Some(Instant::now() + PAUSE_AFTER_ABORT);
        self.gathered = if all.is_empty() {
            // All of it is the work of others by now.
            Gathered { not_before, ..Gathered::default() }
        } else {
            Gathered {
                answers,
                since: Some(Instant::now()),
                progress: all,
                entries: entries + newer.entries,
                bytes: bytes + newer.bytes,
                not_before,
                at_leisure_from: None,
            }
        };
    }

    /// The work on these partitions is their next owner's: nothing of it may be committed here any more.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        if let Some(under_way) = &mut self.under_way {
            under_way.progress.forget(partitions);
            under_way.forgotten.extend_from_slice(partitions);
        }
        self.gathered.answers.forget(partitions);
        self.gathered.progress.forget(partitions);
        if self.gathered.progress.is_empty() {
            self.gathered = Gathered::default();
        }
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.under_way.is_some()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.gathered.since.is_none()
    }

    pub(crate) fn held(&self) -> (usize, usize) {
        let under_way = self.under_way.as_ref().map_or((0, 0), |it| (it.entries, it.bytes));
        (self.gathered.entries + under_way.0, self.gathered.bytes + under_way.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_due_at_once_in_haste_and_paced_where_there_is_much_to_do() {
        let now = Instant::now();
        let after = |milliseconds| now + Duration::from_millis(milliseconds);
        let limits =
            TransactionLimits { interval: Duration::from_millis(100), max_records: 10, max_bytes: 1_000 };
        let check =
            |bytes: usize, not_before: Option<u64>, leisure: Option<u64>, haste: Haste, expect: u64| {
                let (not_before, at_leisure_from) = (not_before.map(after), leisure.map(after));
                let gathered =
                    Gathered { bytes, since: Some(now), not_before, at_leisure_from, ..Gathered::default() };
                assert_eq!(gathered.due_at(limits, haste), Some(after(expect)), "{gathered:?} {haste:?}");
            };
        check(10, None, None, Haste::None, 100);
        check(10, None, None, Haste::Idle, 0);
        check(10, None, None, Haste::Needed, 0);
        check(1_000, None, Some(50), Haste::None, 0);
        check(10, None, Some(50), Haste::Idle, 50);
        check(10, None, Some(500), Haste::Idle, 100);
        check(10, None, Some(50), Haste::Needed, 0);
        check(10, Some(2), Some(50), Haste::Needed, 2);
        check(10, Some(2), None, Haste::Idle, 2);
        assert_eq!(Gathered::default().due_at(limits, Haste::Needed), None);
    }
}
