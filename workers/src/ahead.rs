//! How far work may run ahead of the commits: the bound on what is repeated after a crash. Pure.
//!
//! Per partition, everything that is dispatched and not yet committed lies within `limit` offsets, counted from the oldest
//! record of it. That is the window in which the next owner of the partition looks for whatever killed this one
//! ([`AttemptMark::Running`](crate::attempt_mark::AttemptMark::Running)), and no more than that is ever run twice.

use std::collections::{BTreeMap, VecDeque};

use transport::{Offset, Partition, Position, Progress};

/// What is dispatched and not committed.
#[derive(Debug)]
pub(crate) struct Ahead {
    limit: i64,
    // For each partition the offsets in the order in which they were dispatched, which is theirs; never empty.
    outstanding: BTreeMap<Partition, VecDeque<Offset>>,
    refused: bool,
}

impl Ahead {
    /// Nothing is dispatched. At most `limit` offsets of each partition may be, at least one.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
        Self { limit, outstanding: BTreeMap::new(), refused: false }
    }

    /// Whether this record may be run now. If not, then it may after a commit. A partition of which everything is
    /// committed takes any record, so gaps between offsets never hold one up for good.
    pub(crate) fn may_dispatch(&mut self, position: &Position) -> bool {
        let oldest = self.outstanding.get(&position.partition).and_then(VecDeque::front);
        let may = oldest.is_none_or(|oldest| position.offset.get() - oldest.get() < self.limit);
        self.refused |= !may;
        may
    }

    /// This record is being run.
    pub(crate) fn dispatched(&mut self, position: &Position) {
        self.outstanding.entry(position.partition.clone()).or_default().push_back(position.offset);
    }

    /// The group has written down this progress.
    pub(crate) fn committed(&mut self, progress: &Progress) {
        for (partition, next) in progress.iter() {
            if let Some(offsets) = self.outstanding.get_mut(partition) {
                while offsets.front().is_some_and(|offset| *offset < next) {
                    offsets.pop_front();
                }
                if offsets.is_empty() {
                    self.outstanding.remove(partition);
                }
            }
        }
        self.refused = false;
    }

    /// These partitions belong to another worker now.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.outstanding.remove(partition);
        }
    }

    /// Records that would be run again if the process ended now.
    pub(crate) fn total(&self) -> usize {
        self.outstanding.values().map(VecDeque::len).sum()
    }

    /// Whether what is settled should be committed without waiting for the interval: a record has been refused since
    /// the last commit, or half of some partition's limit is used.
    pub(crate) fn commit_wanted(&self) -> bool {
        let half_used = |offsets: &VecDeque<Offset>| match (offsets.front(), offsets.back()) {
            (Some(oldest), Some(newest)) => {
                (newest.get() - oldest.get() + 1) >= self.limit.div_euclid(2).max(1)
            }
            _ => false,
        };
        self.refused || self.outstanding.values().any(half_used)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(index: i32, offset: i64) -> Position {
        Position { partition: Partition::new("t", index), offset: Offset::new(offset) }
    }

    fn progress(index: i32, next: i64) -> Progress {
        [(Partition::new("t", index), Offset::new(next))].into_iter().collect()
    }

    fn dispatched(limit: usize, offsets: &[i64]) -> Ahead {
        let mut ahead = Ahead::new(limit);
        for offset in offsets {
            assert!(ahead.may_dispatch(&at(0, *offset)), "{offset}");
            ahead.dispatched(&at(0, *offset));
        }
        ahead
    }

    #[test]
    fn may_be_dispatched_within_the_limit_of_the_oldest() {
        let check = |offsets: &[i64], committed: Option<i64>, next: i64, expect: bool| {
            let mut ahead = dispatched(10, offsets);
            if let Some(committed) = committed {
                ahead.committed(&progress(0, committed));
            }
            assert_eq!(ahead.may_dispatch(&at(0, next)), expect, "{offsets:?} {committed:?} {next}");
            assert!(ahead.may_dispatch(&at(1, next)), "another partition has a limit of its own");
        };
        check(&[], None, 1_000_000, true);
        check(&[100], None, 109, true);
        check(&[100], None, 110, false);
        check(&[100, 101], Some(101), 110, true);
        check(&[100, 101], Some(101), 111, false);
        // Everything is committed: the window begins anew wherever the next record lies.
        check(&[100, 101], Some(102), 9_000, true);
        // A commit counts from the oldest record that is left, not from its own offset.
        check(&[100, 109], Some(101), 118, true);
        check(&[100, 109], Some(101), 119, false);
        // Older news than what is known already changes nothing.
        check(&[100], Some(50), 110, false);
    }

    #[test]
    fn a_limit_of_none_is_one() {
        let mut ahead = dispatched(0, &[5]);
        assert!(!ahead.may_dispatch(&at(0, 6)));
        ahead.committed(&progress(0, 6));
        assert!(ahead.may_dispatch(&at(0, 6)));
    }

    #[test]
    fn counts_what_would_be_repeated_and_forgets_what_moved() {
        let mut ahead = dispatched(10, &[1, 4, 7]);
        ahead.dispatched(&at(1, 0));
        assert_eq!(ahead.total(), 4);
        ahead.committed(&progress(0, 5));
        assert_eq!(ahead.total(), 2);
        ahead.forget(&[Partition::new("t", 0), Partition::new("u", 0)]);
        assert_eq!(ahead.total(), 1);
    }

    #[test]
    fn wants_a_commit_when_half_is_used_or_something_was_refused() {
        let check = |limit: usize, offsets: &[i64], expect: bool| {
            assert_eq!(dispatched(limit, offsets).commit_wanted(), expect, "{limit} {offsets:?}");
        };
        check(10, &[], false);
        check(10, &[0, 1, 2, 3], false);
        check(10, &[0, 1, 2, 3, 4], true);
        check(10, &[0, 4], true);
        check(1, &[0], true);

        let mut ahead = dispatched(10, &[0, 1]);
        assert!(!ahead.may_dispatch(&at(0, 10)));
        assert!(ahead.commit_wanted());
        ahead.committed(&progress(0, 1));
        assert!(!ahead.commit_wanted());
    }

    proptest! {
        /// Whatever the gaps, batches and commits: the window holds, and nothing waits for ever.
        #[test]
        fn holds_its_bound_and_never_blocks(
            gaps in proptest::collection::vec(prop_oneof![4 => Just(1_i64), 1 => 1..50_i64], 1..200),
            limit in 1..20_usize,
            commits in proptest::collection::vec(1..4_usize, 1..200),
        ) {
            let offsets: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut ahead = Ahead::new(limit);
            let (mut next, mut done) = (0, 0);
            let mut commits = commits.iter().cycle();
            while next < offsets.len() {
                while next < offsets.len() && ahead.may_dispatch(&at(0, offsets[next])) {
                    ahead.dispatched(&at(0, offsets[next]));
                    next += 1;
                    prop_assert!(offsets[next - 1] - offsets[done] < limit as i64);
                    prop_assert_eq!(ahead.total(), next - done);
                }
                prop_assert!(next == offsets.len() || ahead.commit_wanted());
                done = (done + commits.next().unwrap()).min(next);
                if done > 0 {
                    ahead.committed(&progress(0, offsets[done - 1] + 1));
                }
            }
        }
    }
}
