//! What this worker has noted beside the offsets of its partitions: a note that says that something runs is committed
//! before it runs, and taken back before the partition is given up in good order.

use std::collections::{BTreeMap, BTreeSet};

use transport::{Committed, Offset, Partition, Position, Progress};

use crate::attempt_mark::AttemptMark;
use crate::suspects::Suspects;

/// Where the group stands in each partition, and which of them are noted as being worked on.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    stands: BTreeMap<Partition, Offset>,
    active: BTreeSet<Partition>,
}

impl Notes {
    /// What the group had as the partition was taken over.
    pub(crate) fn taken_over(&mut self, committed: &Committed) {
        self.active.remove(&committed.partition);
        match committed.next {
            Some(next) => self.stands.insert(committed.partition.clone(), next),
            None => self.stands.remove(&committed.partition),
        };
    }

    /// The group has written this down.
    pub(crate) fn committed(&mut self, progress: &Progress) {
        for (partition, next) in progress.iter() {
            self.stands.insert(partition.clone(), next);
        }
    }

    /// These partitions are noted as being worked on.
    pub(crate) fn activate(&mut self, progress: &Progress) {
        self.committed(progress);
        self.active.extend(progress.iter().map(|(partition, _)| partition.clone()));
    }

    /// Of the records that are to be run, the partitions without a note that says so: each with the offset to note it
    /// beside, which is where the group stands, or the first of the records.
    pub(crate) fn missing<'a>(&self, positions: impl Iterator<Item = &'a Position>) -> Progress {
        let mut missing = BTreeMap::new();
        for position in positions.filter(|position| !self.active.contains(&position.partition)) {
            missing.entry(position.partition.clone()).or_insert_with(|| self.stand(position));
        }
        missing.into_iter().collect()
    }

    /// Where the group stands in a partition of which this is the first record that waits.
    pub(crate) fn stand(&self, first: &Position) -> Offset {
        self.stands.get(&first.partition).copied().unwrap_or(first.offset)
    }

    /// What to commit when nothing of these partitions runs any more, by note.
    pub(crate) fn at_rest(&self, suspects: &Suspects, partitions: &[Partition]) -> Vec<(String, Progress)> {
        let mut by_note: BTreeMap<String, Vec<(Partition, Offset)>> = BTreeMap::new();
        for partition in partitions.iter().filter(|partition| self.active.contains(*partition)) {
            if let Some(next) = self.stands.get(partition) {
                let note = suspects.mark_at_rest(partition).write();
                by_note.entry(note).or_default().push((partition.clone(), *next));
            }
        }
        by_note.into_iter().map(|(note, offsets)| (note, offsets.into_iter().collect())).collect()
    }

    /// Every partition that is noted as being worked on.
    pub(crate) fn active(&self) -> Vec<Partition> {
        self.active.iter().cloned().collect()
    }

    /// Their notes say that nothing runs.
    pub(crate) fn rested(&mut self, progress: &Progress) {
        for (partition, _) in progress.iter() {
            self.active.remove(partition);
        }
    }

    /// These partitions belong to another worker now.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.stands.remove(partition);
            self.active.remove(partition);
        }
    }
}

/// The note of ordinary work, beside these offsets.
pub(crate) fn running(suspects: &Suspects, progress: &Progress, ahead: usize) -> String {
    let in_doubt = suspects.is_in_doubt_after(progress);
    let mark = if in_doubt { AttemptMark::Again { ahead } } else { AttemptMark::Running { ahead } };
    mark.write()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: i32, offset: i64) -> Position {
        Position { partition: Partition::new("t", index), offset: Offset::new(offset) }
    }

    fn progress(pairs: &[(i32, i64)]) -> Progress {
        pairs.iter().map(|(index, next)| (Partition::new("t", *index), Offset::new(*next))).collect()
    }

    #[test]
    fn asks_for_a_note_once_per_partition_where_the_group_stands() {
        let mut notes = Notes::default();
        notes.committed(&progress(&[(0, 3)]));
        let waiting = [at(0, 5), at(0, 6), at(1, 9), at(1, 10)];
        assert_eq!(notes.missing(waiting.iter()), progress(&[(0, 3), (1, 9)]));
        notes.activate(&progress(&[(0, 3), (1, 9)]));
        assert!(notes.missing(waiting.iter()).is_empty());
    }

    #[test]
    fn takes_back_what_it_noted_where_the_group_stands_by_then() {
        let mut notes = Notes::default();
        notes.activate(&progress(&[(0, 3), (1, 9)]));
        notes.committed(&progress(&[(0, 8)]));
        let both = [Partition::new("t", 0), Partition::new("t", 1), Partition::new("t", 2)];
        let rest = notes.at_rest(&Suspects::new(3), &both);
        assert_eq!(rest, [(String::new(), progress(&[(0, 8), (1, 9)]))]);
        notes.rested(&rest[0].1);
        assert!(notes.active().is_empty());
    }
}
