//! Knows an outcome that came before: in bounded memory, and without ever taking a first for a repeat.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use crate::outcome::JobOutcome;

/// The outcomes that were given last.
///
/// They are kept as two sets: when the newer one is full it becomes the older one, and what was the older one is
/// forgotten. So between `size` and twice as many are remembered, with two tables and no list of their order.
///
/// What is kept of an outcome is a hash of 128 bits, under keys that are drawn anew each time: whoever chooses ids cannot
/// make two of them meet, and by chance a million do with a probability of 1 to 10^27.
pub(crate) struct Repeats {
    keys: [RandomState; 2],
    newer: HashSet<u128>,
    older: HashSet<u128>,
    size: usize,
    dropped: u64,
}

impl Repeats {
    /// Remembers at least the last `size` outcomes; with 0 it remembers nothing, and so drops nothing.
    pub(crate) fn new(size: usize) -> Self {
        let keys = [RandomState::new(), RandomState::new()];
        Self { keys, newer: HashSet::new(), older: HashSet::new(), size, dropped: 0 }
    }

    /// How many outcomes were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the outcome is a repeat to be dropped, which is then counted; it is remembered either way.
    pub(crate) fn drops(&mut self, outcome: &JobOutcome) -> bool {
        let is_repeat = self.remember(outcome);
        self.dropped += u64::from(is_repeat);
        is_repeat
    }

    /// Remembers the outcome, and says whether it did before.
    pub(crate) fn remember(&mut self, outcome: &JobOutcome) -> bool {
        if self.size == 0 {
            return false;
        }
        self.insert(self.fingerprint(outcome))
    }

    fn insert(&mut self, fingerprint: u128) -> bool {
        if self.newer.contains(&fingerprint) {
            return true;
        }
        let is_repeat = self.older.contains(&fingerprint);
        if self.newer.len() >= self.size {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
        }
        self.newer.insert(fingerprint);
        is_repeat
    }

    /// A repeat has the id and the kind of the first, and was replayed as often: a failure whose job was replayed is
    /// another ending, whether it is a result or a failure again.
    fn fingerprint(&self, outcome: &JobOutcome) -> u128 {
        let what = (&outcome.id, outcome.outcome.kind(), outcome.headers.replay_count());
        let [high, low] = self.keys.each_ref().map(|key| u128::from(key.hash_one(what)));
        high << 64 | low
    }
}

impl fmt::Debug for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeats")
            .field("size", &self.size)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
