//! Throttles commits: one at a time, at most one per interval, nothing forgotten when one fails.

use std::time::{Duration, Instant};

use transport::{Partition, Progress};

/// What is settled and not yet committed. Time is passed in.
#[derive(Debug)]
pub(crate) struct Committer {
    interval: Duration,
    settled: Progress,
    next_at: Option<Instant>,
}

impl Committer {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, settled: Progress::default(), next_at: None }
    }

    /// Notes that everything before these offsets is published and acknowledged.
    pub(crate) fn advance(&mut self, progress: Progress, now: Instant) {
        if progress.is_empty() {
            return;
        }
        self.settled.merge(progress);
        self.next_at.get_or_insert(now + self.interval);
    }

    /// When the next commit should be made; `None` while there is nothing to commit.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// What waits to be committed.
    pub(crate) fn pending(&self) -> &Progress {
        &self.settled
    }

    /// Hands over what is to be committed now. Give it back with [`Committer::failed`] if the commit fails.
    pub(crate) fn take(&mut self) -> Progress {
        self.next_at = None;
        std::mem::take(&mut self.settled)
    }

    /// A commit failed for a passing reason: keep its offsets, unless newer ones are here already, and try again later.
    pub(crate) fn failed(&mut self, progress: Progress, now: Instant) {
        self.advance(progress, now);
    }

    /// These partitions belong to another worker now; committing them would set it back.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        self.settled.forget(partitions);
        if self.settled.is_empty() {
            self.next_at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use transport::{Offset, Position};

    use super::*;

    fn progress(pairs: &[(i32, i64)]) -> Progress {
        let mut progress = Progress::default();
        for &(index, offset) in pairs {
            let partition = Partition { topic: "t".into(), index };
            progress.record(&Position { partition, offset: Offset::new(offset) });
        }
        progress
    }

    #[test]
    fn is_due_one_interval_after_the_first_progress() {
        let start = Instant::now();
        let mut committer = Committer::new(Duration::from_secs(1));
        assert_eq!(committer.due_at(), None);
        committer.advance(Progress::default(), start);
        assert_eq!(committer.due_at(), None, "no progress, nothing to commit");
        committer.advance(progress(&[(0, 4)]), start);
        committer.advance(progress(&[(0, 9)]), start + Duration::from_millis(900));
        assert_eq!(committer.due_at(), Some(start + Duration::from_secs(1)));
        assert_eq!(committer.take(), progress(&[(0, 9)]));
        assert_eq!(committer.due_at(), None);
    }

    #[test]
    fn a_failed_commit_is_kept_and_does_not_set_back_newer_progress() {
        let start = Instant::now();
        let mut committer = Committer::new(Duration::from_secs(1));
        committer.advance(progress(&[(0, 4), (1, 7)]), start);
        let in_flight = committer.take();
        committer.advance(progress(&[(0, 12)]), start);
        committer.failed(in_flight, start);
        assert_eq!(committer.take(), progress(&[(0, 12), (1, 7)]));
    }

    #[test]
    fn forgets_partitions_that_moved_away() {
        let start = Instant::now();
        let mut committer = Committer::new(Duration::from_secs(1));
        committer.advance(progress(&[(0, 4)]), start);
        committer.forget(&[Partition { topic: "t".into(), index: 0 }]);
        assert_eq!(committer.due_at(), None);
        assert!(committer.take().is_empty());
    }
}
