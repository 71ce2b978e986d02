//! The set behind: ids of jobs and of batches, the newest so many.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use schemas::{Cancellation, JobId};

/// What is withdrawn; read by every batch, written now and then.
#[derive(Debug)]
pub(super) struct Withdrawn {
    entries: RwLock<Entries>,
    // As many as there are entries, so that asking an empty set takes no lock.
    len: AtomicUsize,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Entries {
    // With the number of the last withdrawal of each.
    jobs: HashMap<JobId, u64>,
    batches: HashMap<String, u64>,
    // Every withdrawal, oldest first; one that was repeated stands for nothing any more.
    order: VecDeque<(u64, Cancellation)>,
    count: u64,
}

impl Withdrawn {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: RwLock::default(), len: AtomicUsize::new(0), capacity: capacity.max(1) }
    }

    /// Whether an older withdrawal was forgotten for it.
    pub(super) fn add(&self, cancellation: Cancellation) -> bool {
        let mut entries = self.entries.write().expect("no holder of the set panics");
        entries.count += 1;
        let number = entries.count;
        match &cancellation {
            Cancellation::Job(id) => entries.jobs.insert(id.clone(), number),
            Cancellation::Batch(batch) => entries.batches.insert(batch.clone(), number),
        };
        entries.order.push_back((number, cancellation));
        let mut forgets = false;
        while entries.order.len() > self.capacity {
            forgets |= entries.forget_oldest();
        }
        self.len.store(entries.jobs.len() + entries.batches.len(), Ordering::Release);
        forgets
    }

    pub(super) fn holds(&self, id: &JobId, batch: Option<&str>) -> bool {
        if self.len() == 0 {
            return false;
        }
        let entries = self.entries.read().expect("no holder of the set panics");
        entries.jobs.contains_key(id) || batch.is_some_and(|batch| entries.batches.contains_key(batch))
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }
}

impl Entries {
    /// Whether that was its last withdrawal, so that it is not withdrawn any more.
    fn forget_oldest(&mut self) -> bool {
        match self.order.pop_front() {
            Some((number, Cancellation::Job(id))) => remove_if(&mut self.jobs, &id, number),
            Some((number, Cancellation::Batch(batch))) => remove_if(&mut self.batches, &*batch, number),
            None => false,
        }
    }
}

fn remove_if<K: Borrow<Q> + Eq + Hash, Q: Eq + Hash + ?Sized>(
    numbers: &mut HashMap<K, u64>,
    key: &Q,
    number: u64,
) -> bool {
    let is_last = numbers.get(key) == Some(&number);
    if is_last {
        numbers.remove(key);
    }
    is_last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str) -> Cancellation {
        Cancellation::Job(JobId::new(id).unwrap())
    }

    fn holds(withdrawn: &Withdrawn, id: &str, batch: Option<&str>) -> bool {
        withdrawn.holds(&JobId::new(id).unwrap(), batch)
    }

    #[test]
    fn holds_jobs_and_batches_apart() {
        let withdrawn = Withdrawn::new(10);
        assert!(!holds(&withdrawn, "a", Some("a")));
        withdrawn.add(job("a"));
        withdrawn.add(Cancellation::Batch("b".into()));
        let check = |id: &str, batch: Option<&str>, expect: bool| {
            assert_eq!(holds(&withdrawn, id, batch), expect, "{id} {batch:?}");
        };
        check("a", None, true);
        check("a", Some("x"), true);
        check("b", None, false);
        check("x", Some("a"), false);
        check("x", Some("b"), true);
    }

    #[test]
    fn forgets_the_oldest_and_says_so() {
        let withdrawn = Withdrawn::new(3);
        for id in ["a", "b", "c"] {
            assert!(!withdrawn.add(job(id)));
        }
        assert_eq!(withdrawn.len(), 3);
        // Withdrawn again, it is new again: the place of its first time is given up for nothing.
        assert!(!withdrawn.add(job("a")));
        assert_eq!(withdrawn.len(), 3);
        assert!(withdrawn.add(Cancellation::Batch("d".into())));
        assert_eq!(withdrawn.len(), 3);
        assert!(!holds(&withdrawn, "b", None));
        assert!(holds(&withdrawn, "a", None));
        assert!(holds(&withdrawn, "x", Some("d")));
    }
}
