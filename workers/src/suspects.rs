//! Which records may have killed a worker, and how they are run so that the guilty one is found. Pure: no clock, no I/O.
//!
//! A worker that dies leaves its last note beside the committed offset of each of its partitions (see
//! [`AttemptMark`]). Most workers do not die of a record, and many are not even dead but cut off; so whoever takes such a
//! partition over runs what the note names in the ordinary way, *in doubt*: its own notes say so. If it dies too, the next
//! owner suspects those records, and runs suspects in *sections*: a few records of one partition, with nothing else running
//! in the process, and noted durably before they run. So a further death incriminates that section alone; the next owner
//! divides it again, down to one record. A record that has killed [`max_crashes`](Suspects::new) owners all by itself is
//! convicted: it is not run any more, and answered with a failure.
//!
//! What the loop does, whenever no section is under way:
//!
//! 1. [`next_section`](Suspects::next_section) over the records that wait. `None`: no suspect waits, and everything
//!    that does may be run in the ordinary way (suspects that have not been fetched yet hold nobody up).
//! 2. A section: let what runs end and commit it, with [`Clean`](AttemptMark::Clean) for partitions that nothing runs of
//!    any more; otherwise their notes would make the next owner suspect them too. Then commit the section's
//!    [`mark`](Section::mark) at the offset where its partition stands, and wait for that commit.
//! 3. Run it, or fail it if it is convicted; publish; tell [`settled`](Suspects::settled). The commit of its offsets
//!    carries the mark of the next section of the same partition, or the [`mark_at_rest`](Suspects::mark_at_rest) of the
//!    partition. Nothing else runs before it is acknowledged.
//!
//! A partition that is given up is committed with its [`mark_at_rest`](Suspects::mark_at_rest) as well, so that its next
//! owner goes on suspecting what has not been cleared, and no death is counted where nobody died.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use transport::{Committed, Offset, Partition, Position, Progress};

use crate::attempt_mark::AttemptMark;

/// Suspects are run in this many sections. Sixteenths rather than halves because a death costs a session timeout and a
/// section some milliseconds: the ordinary window of 4096 records is narrowed down to one by two more deaths.
const SECTIONS: i64 = 16;

/// The suspected records of the partitions that this worker owns.
#[derive(Debug)]
pub(crate) struct Suspects {
    max_crashes: u32,
    by_partition: BTreeMap<Partition, Suspicion>,
    doubts: BTreeMap<Partition, Doubt>,
    // The partition of the last section: staying with it saves a commit of its mark at rest.
    last: Option<Partition>,
}

/// One owner did not hand over what it ran before `to`, working this far ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Doubt {
    to: Offset,
    ahead: usize,
}

/// Every record before `to` is suspected, beginning with the first that is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Suspicion {
    from: Offset,
    to: Offset,
    width: Width,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// The dead owner worked this far ahead, counted from the first record that it fetched. Which one that was shows
    /// when it is fetched again: offsets have gaps.
    Ahead(usize),
    /// Sections of at most this many offsets.
    Step(i64),
    /// The one record at `from`, which has killed so many owners by itself.
    Single { deaths: u32 },
}

/// Records of one partition that are run together and alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// Their partition.
    pub(crate) partition: Partition,
    /// The first of them.
    pub(crate) from: Offset,
    /// The offset after the last of them.
    pub(crate) to: Offset,
    /// How many there are: the first so many of the partition's records that wait.
    pub(crate) entries: usize,
    /// How many owners this record has killed by itself; 0 for several records.
    pub(crate) deaths: u32,
    /// What is to be done.
    pub(crate) verdict: Verdict,
}

/// What is to be done with a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Run it, after its mark is committed.
    Run,
    /// It is a single record that has killed too many owners: do not run it, answer it with a failure.
    Convicted,
}

impl Section {
    /// What is committed before it is run: what is known if this run is the death of the process.
    pub(crate) fn mark(&self) -> AttemptMark {
        let is_single = self.from.next() == self.to;
        let deaths = match self.verdict {
            Verdict::Run if is_single => self.deaths.saturating_add(1),
            Verdict::Run | Verdict::Convicted => self.deaths,
        };
        AttemptMark::Section { from: self.from, to: self.to, deaths }
    }
}

impl Suspects {
    /// Suspects nothing. A record is convicted after `max_crashes` deaths, at least one.
    pub(crate) fn new(max_crashes: u32) -> Self {
        Self {
            max_crashes: max_crashes.max(1),
            by_partition: BTreeMap::new(),
            doubts: BTreeMap::new(),
            last: None,
        }
    }

    /// A partition was assigned, and this is what the group has committed for it. `author_lives`: the note is of this very
    /// process, which did not die over what it says.
    pub(crate) fn taken_over(&mut self, committed: &Committed, author_lives: bool) {
        self.by_partition.remove(&committed.partition);
        self.doubts.remove(&committed.partition);
        if let Some(doubt) = Doubt::inherited(committed, author_lives) {
            self.doubts.insert(committed.partition.clone(), doubt);
        }
        if let Some(suspicion) = Suspicion::inherited(committed, author_lives) {
            self.by_partition.insert(committed.partition.clone(), suspicion);
        }
    }

    /// Whether any suspicion is left. It may be about records that are not there (a partition can end in offsets without
    /// records), so nothing may wait for it to go away.
    pub(crate) fn is_careful(&self) -> bool {
        !self.by_partition.is_empty()
    }

    /// Whether, when the group has written this down, more of these partitions is to be run again that an owner before this
    /// one had not handed over: the note beside it must say so.
    pub(crate) fn is_in_doubt_after(&self, progress: &Progress) -> bool {
        let in_doubt = |partition, next| self.doubts.get(partition).is_some_and(|doubt| next < doubt.to);
        !self.doubts.is_empty() && progress.iter().any(|(partition, next)| in_doubt(partition, next))
    }

    /// The partitions of which something is run again.
    pub(crate) fn doubted(&self) -> impl Iterator<Item = &Partition> {
        self.doubts.keys()
    }

    /// The group has written this down.
    pub(crate) fn committed(&mut self, progress: &Progress) {
        for (partition, next) in progress.iter() {
            if self.doubts.get(partition).is_some_and(|doubt| next >= doubt.to) {
                self.doubts.remove(partition);
            }
        }
    }

    /// The partitions with a suspicion left.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.by_partition.keys()
    }

    /// Whether a record that has been fetched is suspected.
    pub(crate) fn is_suspect(&self, position: &Position) -> bool {
        self.by_partition.get(&position.partition).is_some_and(|suspicion| position.offset < suspicion.to)
    }

    /// The next records to run by themselves, of those that were fetched and wait, given in fetch order; `None` if none of
    /// them is suspected. Ask when no section is under way. An iterator that ends early makes for smaller sections.
    pub(crate) fn next_section<'a>(
        &mut self,
        waiting: impl IntoIterator<Item = &'a Position>,
    ) -> Option<Section> {
        if self.by_partition.is_empty() {
            return None;
        }
        let mut open: BTreeMap<&Partition, Section> = BTreeMap::new();
        let mut first = None;
        for Position { partition, offset } in waiting {
            match open.entry(partition) {
                Entry::Occupied(mut section) => section.get_mut().extend(*offset, &self.by_partition),
                Entry::Vacant(vacant) => {
                    if let Some(section) = self.begin(partition, *offset) {
                        first.get_or_insert(partition);
                        vacant.insert(section);
                    }
                }
            }
        }
        let last = self.last.as_ref().filter(|last| open.contains_key(last));
        let section = open.remove(last.or(first)?)?;
        self.last = Some(section.partition.clone());
        Some(section)
    }

    /// The outcomes of everything of this partition before `next` are there.
    pub(crate) fn settled(&mut self, partition: &Partition, next: Offset) {
        let Some(suspicion) = self.by_partition.get_mut(partition) else { return };
        if next >= suspicion.to {
            self.by_partition.remove(partition);
        } else {
            suspicion.from = suspicion.from.max(next);
        }
    }

    /// What to note beside the partition's offset while nothing of it runs: what is still suspected of it, if anything.
    pub(crate) fn mark_at_rest(&self, partition: &Partition) -> AttemptMark {
        match self.by_partition.get(partition) {
            None => match self.doubts.get(partition) {
                Some(Doubt { ahead, .. }) => AttemptMark::Running { ahead: *ahead },
                None => AttemptMark::Clean,
            },
            Some(Suspicion { width: Width::Ahead(ahead), .. }) => AttemptMark::Again { ahead: *ahead },
            Some(Suspicion { from, to, width: Width::Step(_) }) => {
                AttemptMark::Section { from: *from, to: *to, deaths: 0 }
            }
            Some(Suspicion { from, to, width: Width::Single { deaths } }) => {
                AttemptMark::Section { from: *from, to: *to, deaths: *deaths }
            }
        }
    }

    /// These partitions belong to another worker now.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.by_partition.remove(partition);
            self.doubts.remove(partition);
        }
    }

    /// A section that begins with the first waiting record of a partition, if that is suspected. If it lies behind the
    /// suspected range, then there is nothing more in the range, because records come in order.
    fn begin(&mut self, partition: &Partition, offset: Offset) -> Option<Section> {
        let suspicion = self.by_partition.get_mut(partition)?;
        suspicion.starts_at(offset);
        if offset >= suspicion.to {
            self.by_partition.remove(partition);
            return None;
        }
        let deaths = match suspicion.width {
            Width::Single { deaths } if suspicion.from == offset => deaths,
            _ => 0,
        };
        let verdict = if deaths >= self.max_crashes { Verdict::Convicted } else { Verdict::Run };
        let (partition, from) = (partition.clone(), offset);
        Some(Section { partition, from, to: from.next(), entries: 1, deaths, verdict })
    }
}

impl Section {
    /// Takes in a further waiting record of its partition if it belongs to the section.
    fn extend(&mut self, offset: Offset, suspicions: &BTreeMap<Partition, Suspicion>) {
        let belongs = suspicions.get(&self.partition).is_some_and(|suspicion| {
            // Counted in offsets, gaps included: so each section is narrower than the range that it was cut from.
            let wide = matches!(suspicion.width, Width::Step(step) if offset.get() - self.from.get() < step);
            wide && offset < suspicion.to
        });
        if belongs {
            self.entries += 1;
            self.to = offset.next();
        }
    }
}

impl Doubt {
    /// A note that this process wrote itself says nothing: it lives. But what it was in doubt about it still is.
    fn inherited(committed: &Committed, author_lives: bool) -> Option<Self> {
        let ahead = match AttemptMark::read(&committed.note) {
            AttemptMark::Running { ahead } if !author_lives => ahead,
            AttemptMark::Again { ahead } if author_lives => ahead,
            _ => return None,
        };
        let next = committed.next?;
        let to = committed.end.min(Offset::new(next.get().saturating_add(offsets(ahead))));
        (next < to).then_some(Self { to, ahead })
    }
}

impl Suspicion {
    fn inherited(committed: &Committed, author_lives: bool) -> Option<Self> {
        let (next, end) = (committed.next?, committed.end);
        let suspicion = match AttemptMark::read(&committed.note) {
            AttemptMark::Clean | AttemptMark::Running { .. } => return None,
            AttemptMark::Again { .. } if author_lives => return None,
            AttemptMark::Again { ahead } => Self { from: next, to: end, width: Width::Ahead(ahead) },
            AttemptMark::Section { from, to, deaths } => {
                let is_single = from.next() == to;
                let (from, to) = (from.max(next), to.min(end));
                // The mark counts the death that it was written before.
                let deaths = if author_lives { deaths.saturating_sub(1) } else { deaths };
                let width = if is_single { Width::Single { deaths } } else { Width::step(from, to) };
                Self { from, to, width }
            }
        };
        (suspicion.from < suspicion.to).then_some(suspicion)
    }

    /// The first record that is there to be run again was fetched.
    fn starts_at(&mut self, offset: Offset) {
        match self.width {
            Width::Ahead(ahead) => {
                self.from = offset;
                self.to = self.to.min(Offset::new(offset.get().saturating_add(offsets(ahead))));
                self.width = Width::step(self.from, self.to);
            }
            Width::Step(_) => self.from = offset,
            Width::Single { .. } => {}
        }
    }
}

impl Width {
    fn step(from: Offset, to: Offset) -> Self {
        let range = to.get().saturating_sub(from.get()).max(1);
        // Rounded up: up to sixteen records are run one by one.
        Self::Step((range - 1) / SECTIONS + 1)
    }
}

fn offsets(ahead: usize) -> i64 {
    i64::try_from(ahead).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
