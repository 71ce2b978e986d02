//! What a worker notes beside each offset that it commits, so that its successor knows what it was doing if it died.
//!
//! The note is a line of words, `ms1` first. A reader takes no notice of words that it does not expect at the end, and
//! takes a note that it cannot read (somebody else's, a later version's) for none: at worst a record that kills its
//! process kills one more, and is noted then.
//!
//! A note about what runs is signed: a worker that lost its partitions, or that was built anew, and finds its own note has
//! not died.

use schemas::JobId;
use transport::Offset;

const VERSION: &str = "ms1";
const RUNNING: &str = "running";
const AGAIN: &str = "again";
const SECTION: &str = "section";
const BY: &str = "by";

/// What is known about the records from the committed offset on, should this be the last note of their owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AttemptMark {
    /// They were handed over in good order: nobody died over them.
    #[default]
    Clean,
    /// An owner was running records from the committed offset on, up to `ahead` offsets from the first of them.
    Running {
        /// The owner's bound of how far it works ahead of its commits.
        ahead: usize,
    },
    /// The same, by a worker that ran again what an owner before it had not handed over.
    Again {
        /// As for [`Running`](Self::Running).
        ahead: usize,
    },
    /// The records in `from..to` are suspected of having killed an owner, and no others are. A section of one record has
    /// `to` right after `from`.
    Section {
        /// The first of them.
        from: Offset,
        /// The offset after the last of them.
        to: Offset,
        /// How many owners will have died running exactly this one record and nothing else, should the note be found; 0
        /// for a section of several.
        deaths: u32,
    },
}

impl AttemptMark {
    /// The note.
    pub(crate) fn write(&self) -> String {
        match self {
            Self::Clean => String::new(),
            Self::Running { ahead } => format!("{VERSION} {RUNNING} {ahead}"),
            Self::Again { ahead } => format!("{VERSION} {AGAIN} {ahead}"),
            Self::Section { from, to, deaths } => format!("{VERSION} {SECTION} {from} {to} {deaths}"),
        }
    }

    /// What a note says; [`Clean`](Self::Clean) if it says nothing that is understood.
    pub(crate) fn read(note: &str) -> Self {
        let mut words = note.split_ascii_whitespace();
        if words.next() != Some(VERSION) {
            return Self::Clean;
        }
        match words.next() {
            Some(RUNNING) => words.next().and_then(number).map(|ahead| Self::Running { ahead }),
            Some(AGAIN) => words.next().and_then(number).map(|ahead| Self::Again { ahead }),
            Some(SECTION) => section(words),
            _ => None,
        }
        .unwrap_or_default()
    }
}

/// Who writes notes: one process, for as long as it lives.
#[derive(Debug, Clone)]
pub(crate) struct Author(String);

impl Author {
    /// One that never was before.
    pub(crate) fn new() -> Self {
        // The end of a UUIDv7 is random.
        let id = JobId::random();
        Self(id.as_str()[id.as_str().len() - 12..].to_owned())
    }

    /// The note, signed.
    pub(crate) fn sign(&self, note: &str) -> String {
        format!("{note} {BY} {}", self.0)
    }

    /// Whether the note is signed by this one.
    pub(crate) fn wrote(&self, note: &str) -> bool {
        note.rsplit_once(' ').is_some_and(|(rest, name)| name == self.0 && rest.ends_with(BY))
    }
}

fn section<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<AttemptMark> {
    let from: i64 = words.next().and_then(number)?;
    let to: i64 = words.next().and_then(number)?;
    let deaths = words.next().and_then(number)?;
    let holds_records = 0 <= from && from < to;
    holds_records.then(|| AttemptMark::Section { from: Offset::new(from), to: Offset::new(to), deaths })
}

fn number<N: std::str::FromStr>(word: &str) -> Option<N> {
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_note_reads_like_one_that_is_not_and_names_its_author() {
        let (author, other) = (Author::new(), Author::new());
        for mark in [AttemptMark::Running { ahead: 7 }, section(3, 4, 2)] {
            let note = author.sign(&mark.write());
            assert_eq!(AttemptMark::read(&note), mark, "{note}");
            assert_eq!((author.wrote(&note), other.wrote(&note)), (true, false), "{note}");
            assert!(!author.wrote(&mark.write()));
        }
        assert!(!author.wrote(""));
    }

    fn section(from: i64, to: i64, deaths: u32) -> AttemptMark {
        AttemptMark::Section { from: Offset::new(from), to: Offset::new(to), deaths }
    }

    #[test]
    fn reads_back_what_it_writes() {
        let check = |mark: AttemptMark, note: &str| {
            assert_eq!(mark.write(), note);
            assert_eq!(AttemptMark::read(note), mark);
        };
        check(AttemptMark::Clean, "");
        check(AttemptMark::Running { ahead: 4_096 }, "ms1 running 4096");
        check(AttemptMark::Again { ahead: 4_096 }, "ms1 again 4096");
        check(section(0, 1, 0), "ms1 section 0 1 0");
        check(section(5_000_000_000, 5_000_000_256, 2), "ms1 section 5000000000 5000000256 2");
    }

    #[test]
    fn later_words_are_left_to_later_versions() {
        assert_eq!(AttemptMark::read("ms1 running 10 slot=a-0"), AttemptMark::Running { ahead: 10 });
        assert_eq!(AttemptMark::read("ms1 section 4 6 0 ?"), section(4, 6, 0));
    }

    #[test]
    fn what_is_not_understood_says_nothing() {
        for note in [
            " ",
            "ms1",
            "ms2 running 10",
            "ms1 running",
            "ms1 running -1",
            "ms1 running many",
            "ms1 walking 3",
            "ms1 section 4 4 0",
            "ms1 section 4 3 0",
            "ms1 section -1 3 0",
            "ms1 section 4 5",
            "ms1 section 4 5 -1",
            "ms1 section 4 99999999999999999999 0",
            "checkpoint of another program",
            "\u{0}\u{ffff}",
        ] {
            assert_eq!(AttemptMark::read(note), AttemptMark::Clean, "{note:?}");
        }
    }
}
