//! Delivery at least once: outcomes are published as they come, and offsets are committed after them, at intervals.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::time::{Duration, Instant};

use transport::crash_point::CrashPoint;
use transport::{Consumer, Partition, Progress, PublishError, Publisher, TransportError};

use crate::answers::Answers;
use crate::commit::Committer;
use crate::delivery::{Haste, Settles, Step};
use crate::worker::{Chain, WorkerError};

/// After a commit that failed: whatever was in its way takes a moment, and a worker that is in a hurry must not spin.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Outcomes on their way, and offsets to commit once they have arrived.
pub(crate) struct AtLeastOnce<P> {
    publisher: P,
    publishing: VecDeque<Publishing>,
    committer: Committer,
    committing: Option<Committing>,
    // After a failure, when it may be tried again.
    not_before: Option<Instant>,
}

/// A batch whose outcomes are on their way to the broker.
struct Publishing {
    acknowledged: Pin<Box<dyn Future<Output = Result<(), PublishError>> + Send>>,
    settles: Settles,
}

struct Committing {
    progress: Progress,
    done: Pin<Box<dyn Future<Output = Result<(), TransportError>> + Send>>,
}

impl<P: Publisher> AtLeastOnce<P> {
    pub(crate) fn new(publisher: P, committer: Committer) -> Self {
        Self { publisher, publishing: VecDeque::new(), committer, committing: None, not_before: None }
    }

    pub(crate) fn add(&mut self, answers: Answers, settles: Settles) {
        let acknowledged = Box::pin(self.publisher.publish(answers.into_records()));
        self.publishing.push_back(Publishing { acknowledged, settles });
    }

    /// Nobody waits for a commit while nothing else is going on: outcomes are there without it.
    pub(crate) fn due_at(&self, haste: Haste) -> Option<Instant> {
        let due_at = self.committer.due_at().filter(|_| self.committing.is_none())?;
        let due_at = if haste == Haste::Needed { Instant::now() } else { due_at };
        Some(self.not_before.map_or(due_at, |earliest| due_at.max(earliest)))
    }

    pub(crate) fn to_commit(&self) -> &Progress {
        self.committer.pending()
    }

    pub(crate) fn start_commit(&mut self, consumer: &impl Consumer, note: &str) {
        CrashPoint::BeforeOffsets.pass();
        let progress = self.committer.take();
        let done = Box::pin(consumer.commit(progress.clone(), note));
        self.committing = Some(Committing { progress, done });
    }

    /// Waits for the next thing that is done. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Step, WorkerError> {
        tokio::select! {
            biased;
            acknowledged = oldest(&mut self.publishing) => {
                let Publishing { settles, .. } =
                    self.publishing.pop_front().expect("the oldest publication was just awaited");
                acknowledged.map_err(WorkerError::of_publishing)?;
                CrashPoint::AfterProduce.pass();
                self.committer.advance(settles.progress, Instant::now());
                Ok(Step::Moved)
            }
            done = commit_done(&mut self.committing) => {
                let Committing { progress, .. } = self.committing.take().expect("the commit was just awaited");
                self.committed(progress, done)
            }
        }
    }

    fn committed(
        &mut self,
        progress: Progress,
        done: Result<(), TransportError>,
    ) -> Result<Step, WorkerError> {
        match done {
            Ok(()) => {
                CrashPoint::AfterOffsets.pass();
                self.not_before = None;
                Ok(Step::Committed(progress))
            }
            Err(error) if error.is_fatal() => Err(error.into()),
            Err(error) => {
                // What moved is forgotten with its revocation; what stayed must still be committed.
                tracing::warn!(error = %Chain(&error), "a commit was refused or not answered, and will be tried again");
                let now = Instant::now();
                self.committer.failed(progress, now);
                self.not_before = Some(now + PAUSE_AFTER_FAILURE);
                Ok(Step::Failed)
            }
        }
    }

    /// Whatever still runs for these partitions settles nothing any more: a commit would set their next owner back.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        let publishing = self.publishing.iter_mut().map(|batch| &mut batch.settles.progress);
        let committing = self.committing.iter_mut().map(|commit| &mut commit.progress);
        publishing.chain(committing).for_each(|progress| progress.forget(partitions));
        self.committer.forget(partitions);
    }

    pub(crate) fn is_publishing(&self) -> bool {
        !self.publishing.is_empty()
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.publishing.is_empty() && self.committing.is_none() && self.committer.due_at().is_none()
    }

    pub(crate) fn held(&self) -> (usize, usize) {
        let held = self.publishing.iter().map(|batch| (batch.settles.entries, batch.settles.bytes));
        held.fold((0, 0), |(entries, bytes), (more, larger)| (entries + more, bytes + larger))
    }
}

async fn oldest(publishing: &mut VecDeque<Publishing>) -> Result<(), PublishError> {
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
