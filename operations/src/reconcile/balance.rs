//! The balance of one job: what was read from each topic against what it led to. Pure counting.
//!
//! A record on a stage's topic leads to one record on a later stage's topic or on that of the results; which worker did it,
//! fused or not, cannot be told from its output. So nothing is matched one to one: for every cut through the pipeline, what
//! was read behind it must have come out behind it, and what came out before it must have been read before it. Since what
//! a stage writes lies after what it read, these cuts are all that there is to check.

/// The stages of a pipeline.
pub(super) const STAGES: usize = 3;

/// What was read from the topic of one stage, apart from what was sent to be retried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// Below the committed offset: must have led on.
    pub(super) settled: u32,
    /// At or beyond it: may have.
    pub(super) waiting: u32,
}

/// One job's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Books {
    /// By stage.
    pub(super) read: [Hop; STAGES],
    /// Jobs that stages wrote, by the stage whose topic they lie on; nothing is written onto the first.
    pub(super) written: [u32; STAGES],
    /// Terminal records.
    pub(super) terminal: u32,
    /// Results among them, which come from the last stage.
    pub(super) results: u32,
}

/// Something that does not add up: how many, and at which stage; a surplus at `STAGES` lies on the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) count: u32,
    pub(super) stage: usize,
}

impl Books {
    /// Records that led to nothing: the last stage of which that can be said.
    pub(super) fn missing(&self) -> Option<Gap> {
        let mut read = 0_u32;
        let mut out = self.terminal;
        let mut worst: Option<Gap> = None;
        for stage in (0..STAGES).rev() {
            read += self.read[stage].settled;
            let count = read.saturating_sub(out);
            if count > 0 {
                let stage = worst.map_or(stage, |gap| gap.stage);
                worst = Some(Gap { count: count.max(worst.map_or(0, |gap| gap.count)), stage });
            }
            out += self.written[stage];
        }
        worst
    }

    /// Records that nothing led to: the first place of which that can be said.
    pub(super) fn surplus(&self) -> Option<Gap> {
        let mut read = 0_u32;
        let mut out = 0_u32;
        let mut worst: Option<Gap> = None;
        for stage in 0..=STAGES {
            out += if stage < STAGES { self.written[stage] } else { self.terminal };
            let count = out.saturating_sub(read);
            if count > 0 {
                let stage = worst.map_or(stage, |gap| gap.stage);
                worst = Some(Gap { count: count.max(worst.map_or(0, |gap| gap.count)), stage });
            }
            if stage < STAGES {
                read += self.read[stage].settled + self.read[stage].waiting;
            }
        }
        worst
    }
}

impl Books {
    /// Records that passed over the topic of a stage, which none does where no worker runs more than one stage.
    pub(super) fn skipped(&self) -> Option<Gap> {
        let read = |stage: usize| self.read[stage].settled + self.read[stage].waiting;
        let out = |stage: usize| self.written.get(stage + 1).copied().unwrap_or(self.results);
        let gap = |stage| Gap { count: out(stage).saturating_sub(read(stage)), stage };
        (0..STAGES).map(gap).find(|gap| gap.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn books(settled: [u32; 3], waiting: [u32; 3], written: [u32; 3], terminal: u32) -> Books {
        let read = std::array::from_fn(|stage| Hop { settled: settled[stage], waiting: waiting[stage] });
        Books { read, written, terminal, results: terminal }
    }

    fn check(books: Books, missing: Option<(u32, usize)>, surplus: Option<(u32, usize)>) {
        let pair = |gap: Gap| (gap.count, gap.stage);
        assert_eq!((books.missing().map(pair), books.surplus().map(pair)), (missing, surplus), "{books:?}");
    }

    #[test]
    fn what_adds_up() {
        check(books([0; 3], [0; 3], [0; 3], 0), None, None);
        // Three stages apart, fused, fused in part, and started in the middle.
        check(books([1, 1, 1], [0; 3], [0, 1, 1], 1), None, None);
        check(books([1, 0, 0], [0; 3], [0; 3], 1), None, None);
        check(books([1, 0, 1], [0; 3], [0, 0, 1], 1), None, None);
        check(books([0, 1, 0], [0; 3], [0; 3], 1), None, None);
        // Waiting, with and without an output that is not committed yet.
        check(books([1, 0, 0], [0, 1, 0], [0, 1, 0], 0), None, None);
        check(books([0; 3], [1, 0, 0], [0; 3], 1), None, None);
    }

    #[test]
    fn what_does_not() {
        check(books([1, 0, 0], [0; 3], [0; 3], 0), Some((1, 0)), None);
        check(books([1, 1, 0], [0; 3], [0, 1, 0], 0), Some((1, 1)), None);
        check(books([1, 1, 1], [0; 3], [0, 1, 1], 0), Some((1, 2)), None);
        check(books([1, 1, 1], [0; 3], [0, 1, 1], 2), None, Some((1, 3)));
        check(books([1, 2, 2], [0; 3], [0, 2, 2], 2), None, Some((1, 1)));
        check(books([0; 3], [0; 3], [0; 3], 1), None, Some((1, 3)));
        // Repeated at one hop and lost at the next: neither hides the other.
        check(books([1, 2, 1], [0; 3], [0, 2, 1], 1), Some((1, 1)), Some((1, 1)));
    }

    proptest! {
        #[test]
        fn every_history_adds_up_and_no_loss_is_missed(
            paths in proptest::collection::vec((0..3_usize, any::<[bool; 3]>()), 1..6),
            lost in any::<proptest::sample::Index>(),
            after in 0..3_usize,
        ) {
            let (whole, _) = history(&paths, None);
            prop_assert_eq!((whole.missing(), whole.surplus()), (None, None));
            let (less, last) = history(&paths, Some((lost.index(paths.len()), after)));
            // Of several submissions of one id only the number is known for certain.
            let missing = less.missing();
            prop_assert_eq!(missing.map(|gap| gap.count), Some(1));
            prop_assert!(paths.len() > 1 || missing.map(|gap| gap.stage) == Some(last));
            prop_assert_eq!(less.surplus(), None);
        }
    }

    /// Each job starts at a stage, skips some of the topics after it, and ends; one of them does not, after the topic of some
    /// stage or the last before it.
    fn history(paths: &[(usize, [bool; 3])], lost: Option<(usize, usize)>) -> (Books, usize) {
        let (mut books, mut last) = (Books::default(), 0);
        for (number, (start, skips)) in paths.iter().enumerate() {
            let stop = lost.filter(|(lost, _)| *lost == number).map(|(_, after)| after.max(*start));
            for (stage, skips) in skips.iter().enumerate().skip(*start) {
                if stage > *start && (*skips || stop.is_some_and(|stop| stage > stop)) {
                    continue;
                }
                books.read[stage].settled += 1;
                books.written[stage] += u32::from(stage > *start);
                if stop.is_some() {
                    last = stage;
                }
            }
            books.terminal += u32::from(stop.is_none());
        }
        (books, last)
    }

    #[test]
    fn stages_that_run_apart_skip_nothing() {
        assert_eq!(books([1, 1, 1], [0; 3], [0, 1, 1], 1).skipped(), None);
        assert_eq!(books([1, 0, 1], [0; 3], [0, 0, 1], 1).skipped(), Some(Gap { count: 1, stage: 1 }));
        assert_eq!(books([1, 0, 0], [0; 3], [0; 3], 1).skipped(), Some(Gap { count: 1, stage: 2 }));
    }
}
