//! One record, as much of it as the verdict needs.

use schemas::{Stage, TopicNames};
use transport::{Partition, Progress};

use super::names::IdKey;
use super::options::Role;

/// What a record is to its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A job that did not come from a stage: submitted, replayed, or back from a retry topic.
    Outside,
    /// A job that a stage wrote.
    Forwarded,
    /// A job that waits to be run again.
    Retry,
    /// A result.
    Result,
    /// A result in place of a failure.
    Defaulted,
    /// A failure that has a dead letter.
    Failure,
    /// A failure that has none.
    FailureAlone,
    /// The original of a failed job.
    DeadLetter,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Outside,
        Self::Forwarded,
        Self::Retry,
        Self::Result,
        Self::Defaulted,
        Self::Failure,
        Self::FailureAlone,
        Self::DeadLetter,
    ];

    pub(super) fn is_terminal(self) -> bool {
        matches!(self, Self::Result | Self::Defaulted | Self::Failure | Self::FailureAlone)
    }
}

/// One record in 48 bytes: there are several of them for each of a million jobs. Sorted by id, then by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sighting {
    id: IdKey,
    // Role, kind and stage in 3, 3 and 2 bits.
    what: u8,
    pub(super) attempt: u8,
    // The key's hash in 48 bits: of a million keys no two should look the same.
    key_high: u16,
    key_low: u32,
    // Offset and partition in 48 and 16 bits.
    place: u64,
    /// The headers that stay the same.
    pub(super) identity: u32,
    /// The job's own parameters.
    pub(super) carried: u32,
    /// The bytes of a job; of a terminal record, what it says apart from times.
    pub(super) content: u32,
    /// When the job was submitted, in seconds after 1970; 0 if that is not known.
    pub(super) submitted: u32,
}

/// Everything about a [`Sighting`] but what it is and whose.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Details {
    pub(super) attempt: u32,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The key, or that there is none; 48 bits of it are kept.
    pub(super) key: u64,
    pub(super) identity: u32,
    pub(super) carried: u32,
    pub(super) content: u32,
    pub(super) submitted_micros: i64,
}

impl Sighting {
    /// `stage` is the one whose topic a job lies on, goes back to, or was read from.
    pub(super) fn new(id: &str, role: Role, kind: Kind, stage: Option<Stage>, details: Details) -> Self {
        let stage = stage.map_or(3, |stage| stage as u8);
        let Details { attempt, partition, offset, key, identity, carried, content, submitted_micros } =
            details;
        Self {
            id: IdKey::new(id),
            what: role.number() << 5 | (kind as u8) << 2 | stage,
            attempt: u8::try_from(attempt).unwrap_or(u8::MAX),
            key_high: u16::try_from(key >> 32 & 0xffff).expect("16 bits are left"),
            key_low: u32::try_from(key & 0xffff_ffff).expect("32 bits are left"),
            // No topic has more partitions, and none ever reaches such an offset.
            place: offset.cast_unsigned() << 16 | u64::from(u16::try_from(partition).unwrap_or(u16::MAX)),
            identity,
            carried,
            content,
            submitted: u32::try_from(submitted_micros / 1_000_000).unwrap_or(0),
        }
    }

    pub(super) fn id(&self) -> IdKey {
        self.id
    }

    pub(super) fn role(&self) -> Role {
        Role::of_number(self.what >> 5)
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::ALL[usize::from(self.what >> 2 & 7)]
    }

    /// The number of the stage whose topic a job lies on, goes back to, or was read from.
    pub(super) fn stage(&self) -> Option<usize> {
        Some(usize::from(self.what & 3)).filter(|stage| *stage < Stage::ALL.len())
    }

    pub(super) fn offset(&self) -> i64 {
        (self.place >> 16).cast_signed()
    }

    pub(super) fn partition(&self) -> u16 {
        u16::try_from(self.place & 0xffff).expect("16 bits are left")
    }

    pub(super) fn key(&self) -> u64 {
        u64::from(self.key_high) << 32 | u64::from(self.key_low)
    }

    /// Where it lies, for people.
    pub(super) fn place(&self, topics: &TopicNames) -> String {
        format!("{}/{}/{}", self.role().topic(topics), self.partition(), self.offset())
    }
}

/// What each group has committed of the topic that it reads, by the number of the topic's role and partition.
#[derive(Debug)]
pub(super) struct Committed([Vec<i64>; 6]);

impl Committed {
    pub(super) fn new(topics: &TopicNames, progress: &Progress) -> Self {
        let mut next: [Vec<i64>; 6] = Default::default();
        for (Partition { topic, index }, offset) in progress.iter() {
            for (number, of_topic) in (0..).zip(&mut next) {
                if let (true, Ok(index)) =
                    (Role::of_number(number).topic(topics) == &**topic, usize::try_from(*index))
                {
                    of_topic.resize(of_topic.len().max(index + 1), 0);
                    of_topic[index] = offset.get();
                }
            }
        }
        Self(next)
    }

    /// Whether the job's group has not said yet that it is settled.
    pub(super) fn is_waiting(&self, sighting: &Sighting) -> bool {
        let of_topic = self.0.get(usize::from(sighting.role().number()));
        let next = of_topic.and_then(|of_topic| of_topic.get(usize::from(sighting.partition())));
        sighting.offset() >= next.copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use schemas::RetryDelay;

    use super::*;

    #[test]
    fn a_sighting_is_small_and_reads_back() {
        assert_eq!(size_of::<Sighting>(), 48);
        for role in Role::DOWNSTREAM_FIRST {
            for kind in Kind::ALL {
                for stage in [None, Some(Stage::Inference), Some(Stage::Postprocess)] {
                    let sighting = Sighting::new("a", role, kind, stage, Details::default());
                    assert_eq!((sighting.role(), sighting.kind()), (role, kind));
                    assert_eq!(sighting.stage(), stage.map(|stage| stage as usize));
                }
            }
        }
    }

    #[test]
    fn what_is_beyond_the_committed_offset_waits() {
        let topics = TopicNames::new("p", "x");
        let partition = Partition::new(topics.of_retry(RetryDelay::OneMinute), 2);
        let progress = [(partition, transport::Offset::new(5))].into_iter().collect();
        let committed = Committed::new(&topics, &progress);
        let check = |delay, partition, offset, expect| {
            let details = Details { partition, offset, ..Details::default() };
            let sighting = Sighting::new("a", Role::Retry(delay), Kind::Retry, None, details);
            assert_eq!(committed.is_waiting(&sighting), expect, "{delay:?}/{partition}/{offset}");
        };
        check(RetryDelay::OneMinute, 2, 4, false);
        check(RetryDelay::OneMinute, 2, 5, true);
        check(RetryDelay::OneMinute, 1, 0, true);
        check(RetryDelay::FiveSeconds, 2, 0, true);
    }
}
