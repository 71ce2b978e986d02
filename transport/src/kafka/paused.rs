//! The partitions that a consumer does not want to read for now, and what of it the poll thread has not carried out.
//!
//! librdkafka remembers where a paused partition goes on only if nobody polls meanwhile, so pausing and resuming is
//! left to the thread that polls.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::record::Partition;

/// Between the consumer's handle and its poll thread.
#[derive(Debug, Default)]
pub(crate) struct Paused {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    partitions: BTreeSet<Partition>,
    // Those whose wish librdkafka has not been told of.
    changed: BTreeSet<Partition>,
}

/// What librdkafka has to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) pause: Vec<Partition>,
    pub(crate) resume: Vec<Partition>,
}

impl Paused {
    /// The partition is to be read no further.
    pub(crate) fn pause(&self, partition: &Partition) {
        let mut state = self.lock();
        if state.partitions.insert(partition.clone()) {
            state.changed.insert(partition.clone());
            self.asked.notify_all();
        }
    }

    /// These partitions are to be read again.
    pub(crate) fn resume(&self, partitions: &[Partition]) {
        let mut state = self.lock();
        for partition in partitions {
            if state.partitions.remove(partition) {
                state.changed.insert(partition.clone());
                self.asked.notify_all();
            }
        }
    }

    /// Forgets partitions that come or go: whoever has them next reads them.
    pub(crate) fn forget(&self, partitions: &[Partition]) {
        let mut state = self.lock();
        for partition in partitions {
            state.partitions.remove(partition);
            state.changed.remove(partition);
        }
    }

    /// What has been asked for since the last time.
    pub(crate) fn take_changes(&self) -> Changes {
        let mut state = self.lock();
        let changed = std::mem::take(&mut state.changed);
        let (pause, resume) = changed.into_iter().partition(|partition| state.partitions.contains(partition));
        Changes { pause, resume }
    }

    /// Waits until something is asked for, at most `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while state.changed.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.asked.wait_timeout(state, left).expect("no holder of the pauses panics").0;
        }
    }

    pub(crate) fn contains(&self, partition: &Partition) -> bool {
        self.lock().partitions.contains(partition)
    }

    /// Whether there are partitions, and all of them are paused.
    pub(crate) fn all(&self, assigned: &BTreeSet<Partition>) -> bool {
        let state = self.lock();
        !state.partitions.is_empty() && !assigned.is_empty() && assigned.is_subset(&state.partitions)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the pauses panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> Partition {
        Partition::new("t", index)
    }

    #[test]
    fn only_the_last_wish_counts() {
        let paused = Paused::default();
        let check = |pause: &[i32], resume: &[i32]| {
            let of = |indexes: &[i32]| indexes.iter().copied().map(partition).collect::<Vec<_>>();
            assert_eq!(paused.take_changes(), Changes { pause: of(pause), resume: of(resume) });
        };
        check(&[], &[]);
        paused.pause(&partition(0));
        paused.pause(&partition(1));
        check(&[0, 1], &[]);
        paused.pause(&partition(0));
        check(&[], &[]);
        paused.resume(&[partition(0), partition(2)]);
        paused.resume(&[partition(1)]);
        paused.pause(&partition(1));
        check(&[1], &[0]);
        paused.resume(&[partition(1)]);
        paused.forget(&[partition(1)]);
        check(&[], &[]);
    }

    #[test]
    fn knows_when_everything_is_paused() {
        let paused = Paused::default();
        let assigned = BTreeSet::from([partition(0), partition(1)]);
        assert!(!paused.all(&BTreeSet::new()));
        paused.pause(&partition(0));
        assert!(!paused.all(&assigned));
        paused.pause(&partition(1));
        assert!(paused.all(&assigned));
        assert!(!paused.all(&BTreeSet::new()));
    }

    #[test]
    fn a_wish_ends_the_wait() {
        let paused = Paused::default();
        paused.pause(&partition(0));
        paused.take_changes();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| paused.wait(Duration::from_secs(60)));
            paused.resume(&[partition(0)]);
            waiter.join().unwrap();
        });
        paused.take_changes();
        paused.wait(Duration::ZERO);
    }
}
