//! How far a group has come: for each partition the next offset to read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::record::{Offset, Partition, Position};

/// For each partition the offset after the last settled record: what a commit writes down.
///
/// Progress only grows: recording or merging something older changes nothing. That is right because work is settled
/// in fetch order within a partition (whoever settles out of order must not use this type).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    next: BTreeMap<Partition, Offset>,
}

impl Progress {
    /// No progress at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// The record at `position` is settled.
    pub fn record(&mut self, position: &Position) {
        self.advance(&position.partition, position.offset.next());
    }

    /// Everything that `other` has settled is settled here too.
    pub fn merge(&mut self, other: Self) {
        for (partition, next) in other.next {
            self.advance(&partition, next);
        }
    }

    /// The next offset to read of `partition`, if anything of it is settled.
    pub fn get(&self, partition: &Partition) -> Option<Offset> {
        self.next.get(partition).copied()
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// Number of partitions.
    pub fn len(&self) -> usize {
        self.next.len()
    }

    /// Each partition with its next offset, ordered.
    pub fn iter(&self) -> impl Iterator<Item = (&Partition, Offset)> {
        self.next.iter().map(|(partition, next)| (partition, *next))
    }

    /// Drops the progress of partitions that now belong to another member.
    pub fn forget(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.next.remove(partition);
        }
    }

    fn advance(&mut self, partition: &Partition, next: Offset) {
        match self.next.entry(partition.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(next);
            }
            Entry::Occupied(mut entry) => {
                if *entry.get() < next {
                    entry.insert(next);
                }
            }
        }
    }
}

/// From pairs of partition and *next* offset, as a commit has them.
impl FromIterator<(Partition, Offset)> for Progress {
    fn from_iter<I: IntoIterator<Item = (Partition, Offset)>>(pairs: I) -> Self {
        let mut progress = Self::new();
        for (partition, next) in pairs {
            progress.advance(&partition, next);
        }
        progress
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(index: i32, offset: i64) -> Position {
        Position { partition: Partition::new("t", index), offset: Offset::new(offset) }
    }

    #[test]
    fn records_the_offset_after_the_settled_one() {
        let mut progress = Progress::new();
        progress.record(&position(0, 41));
        assert_eq!(progress.get(&Partition::new("t", 0)), Some(Offset::new(42)));
        assert_eq!(progress.get(&Partition::new("t", 1)), None);
    }

    #[test]
    fn forgets_only_what_it_is_told() {
        let mut progress = Progress::new();
        progress.record(&position(0, 1));
        progress.record(&position(1, 1));
        progress.forget(&[Partition::new("t", 1), Partition::new("u", 0)]);
        assert_eq!(progress.iter().map(|(p, o)| (p.index, o.get())).collect::<Vec<_>>(), vec![(0, 2)]);
    }

    proptest! {
        #[test]
        fn merging_in_any_grouping_is_the_maximum(
            settled in proptest::collection::vec((0..4i32, 0..100i64), 0..60),
            split in 0..60usize,
        ) {
            let split = split.min(settled.len());
            let mut whole = Progress::new();
            let mut first = Progress::new();
            let mut second = Progress::new();
            for (at, (index, offset)) in settled.iter().enumerate() {
                whole.record(&position(*index, *offset));
                if at < split { &mut first } else { &mut second }.record(&position(*index, *offset));
            }
            second.merge(first);
            prop_assert_eq!(&second, &whole);
            for (partition, next) in whole.iter() {
                let last = settled.iter().filter(|(i, _)| *i == partition.index).map(|(_, o)| *o).max();
                prop_assert_eq!(Some(next.get() - 1), last);
            }
        }
    }
}
