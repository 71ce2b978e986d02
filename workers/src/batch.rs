//! Groups fetched entries into batches. Pure: time is passed in, nothing is awaited.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use transport::{Partition, Progress};

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
}

impl Release {
    /// Every reason, so that each metric series exists from the start.
    pub const ALL: [Self; 3] = [Self::Full, Self::Delay, Self::Idle];

    /// The label value of the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Delay => "delay",
            Self::Idle => "idle",
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

    /// Takes the oldest entries, up to the limits; at least one if any waits.
    pub fn take(&mut self, release: Release) -> Batch {
        let mut entries = Vec::with_capacity(self.limits.max_size.min(self.waiting.len()));
        let mut progress = Progress::default();
        let mut bytes = 0;
        while let Some(next) = self.waiting.front() {
            let would_overflow = bytes + next.bytes() > self.limits.max_bytes;
            if entries.len() == self.limits.max_size || (would_overflow && !entries.is_empty()) {
                break;
            }
            let entry = self.waiting.pop_front().expect("front() just returned it");
            bytes += entry.bytes();
            progress.record(&entry.origin.received.position);
            entries.push(entry);
        }
        self.bytes -= bytes;
        Batch { entries, progress, bytes, release }
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
