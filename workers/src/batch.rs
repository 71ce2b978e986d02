//! Groups fetched entries into batches. Pure: time is passed in, nothing is awaited.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use transport::{Partition, Position, Progress};

use crate::fetch::Entry;

/// When a batch leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Entries in a batch at most.
    pub max_size: usize,
    /// Bytes of records in a batch at most; a single larger record still travels, alone.
    pub max_bytes: usize,
    /// The longest that an entry waits for company.
    pub max_delay: Duration,
}

/// Why a batch left, as the metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Release {
    /// It reached its size or byte limit.
    Full,
    /// Its oldest entry had waited for the longest delay.
    Delay,
    /// Nothing else was running, so waiting would have gained nothing.
    Idle,
    /// Its records are run by themselves, because a worker may have died of one of them.
    Suspects,
}

impl Release {
    /// Every reason, so that each metric series exists from the start.
    pub const ALL: [Self; 4] = [Self::Full, Self::Delay, Self::Idle, Self::Suspects];

    /// The label value of the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Delay => "delay",
            Self::Idle => "idle",
            Self::Suspects => "suspects",
        }
    }
}

/// Entries that are processed together, and the offsets that they settle.
#[derive(Debug)]
pub struct Batch {
    /// In fetch order.
    pub entries: Vec<Entry>,
    /// What may be committed once every outcome of `entries` is acknowledged.
    pub progress: Progress,
    /// Bytes of the records in `entries`.
    pub bytes: usize,
    /// Why it left.
    pub release: Release,
}

impl Batch {
    fn new(release: Release, capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), progress: Progress::default(), bytes: 0, release }
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.progress.record(&entry.origin.received.position);
        self.entries.push(entry);
    }
}

/// Collects entries in fetch order until a batch is full or due.
#[derive(Debug)]
pub struct Batcher {
    limits: BatchLimits,
    waiting: VecDeque<Entry>,
    bytes: usize,
}

impl Batcher {
    /// An empty batcher.
    pub fn new(limits: BatchLimits) -> Self {
        Self { limits, waiting: VecDeque::new(), bytes: 0 }
    }

    /// Adds an entry behind those that wait.
    pub fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.waiting.push_back(entry);
    }

    /// Entries that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes of the records that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the oldest entry will have waited long enough; `None` while nothing waits.
    pub fn due_at(&self) -> Option<Instant> {
        self.waiting.front().map(|oldest| oldest.origin.fetched_at + self.limits.max_delay)
    }

    /// Why a batch should leave at `now`, if one should. `idle`: no batch is running.
    pub fn ready(&self, now: Instant, idle: bool) -> Option<Release> {
        let due_at = self.due_at()?;
        if self.waiting.len() >= self.limits.max_size || self.bytes >= self.limits.max_bytes {
            Some(Release::Full)
        } else if due_at <= now {
            Some(Release::Delay)
        } else if idle {
            Some(Release::Idle)
        } else {
            None
        }
    }

    /// The records that wait, in fetch order.
    pub fn positions(&self) -> impl Iterator<Item = &Position> {
        self.waiting.iter().map(|entry| &entry.origin.received.position)
    }

    /// Takes the oldest entries that may be run, up to the limits; at least one if any may. Where one of a partition may
    /// not, none behind it may either.
    pub fn take(&mut self, release: Release, mut may_run: impl FnMut(&Position) -> bool) -> Batch {
        let mut batch = Batch::new(release, self.limits.max_size.min(self.waiting.len()));
        let mut held_up = Vec::new();
        while let Some(next) = self.waiting.pop_front() {
            let would_overflow = batch.bytes + next.bytes() > self.limits.max_bytes;
            if batch.entries.len() == self.limits.max_size || (would_overflow && !batch.entries.is_empty()) {
                self.waiting.push_front(next);
                break;
            }
            if may_run(&next.origin.received.position) {
                batch.push(next);
            } else {
                held_up.push(next);
            }
        }
        for entry in held_up.into_iter().rev() {
            self.waiting.push_front(entry);
        }
        self.bytes -= batch.bytes;
        batch
    }

    /// Takes the first entries of one partition: `count` of them, or as many as a batch may have.
    pub fn take_of(&mut self, partition: &Partition, count: usize) -> Batch {
        let mut batch = Batch::new(Release::Suspects, count);
        let count = count.min(self.limits.max_size);
        let mut others = VecDeque::with_capacity(self.waiting.len());
        let mut is_full = false;
        for entry in self.waiting.drain(..) {
            if is_full || entry.origin.received.position.partition != *partition {
                others.push_back(entry);
                continue;
            }
            let would_overflow = batch.bytes + entry.bytes() > self.limits.max_bytes;
            if would_overflow && !batch.entries.is_empty() {
                is_full = true;
                others.push_back(entry);
            } else {
                batch.push(entry);
                is_full = batch.entries.len() >= count;
            }
        }
        self.waiting = others;
        self.bytes -= batch.bytes;
        batch
    }

    /// Drops what waits of these partitions: their next owner fetches it again. Returns how many were dropped.
    pub fn forget(&mut self, partitions: &[Partition]) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|entry| !partitions.contains(&entry.origin.received.position.partition));
        self.bytes = self.waiting.iter().map(Entry::bytes).sum();
        before - self.waiting.len()
    }
}

#[cfg(test)]
mod tests;
