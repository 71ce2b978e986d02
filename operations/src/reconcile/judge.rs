//! The verdict on one job, from everything that was seen of it.

use schemas::{Stage, Timestamp};

use super::balance::{Books, Gap, STAGES};
use super::identity::{agree, keys_agree};
use super::names::Names;
use super::options::{Delivery, Options};
use super::order::Order;
use super::report::{Fault, FaultKind, Report};
use super::sighting::{Committed, Kind, Sighting};

/// Judges jobs one after the other.
pub(super) struct Judge<'a> {
    options: &'a Options,
    committed: &'a Committed,
    names: &'a Names,
    report: &'a mut Report,
    order: Order,
    // Seconds after 1970 up to which nothing is proven: about origins, about losses, about dead letters.
    origins_from: u32,
    losses_from: u32,
    letters_from: u32,
}

/// How many records of each kind one job has.
#[derive(Debug, Default)]
struct Count {
    books: Books,
    /// As `books`, but with every job that may have come from a stage rather than back from a retry topic counted so.
    generous: Option<Books>,
    outside: u32,
    retries: u32,
    waiting: u32,
    failures: u32,
    other_failures: u32,
    letters: u32,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        options: &'a Options,
        committed: &'a Committed,
        names: &'a Names,
        report: &'a mut Report,
    ) -> Self {
        let losses_from = seconds(options.gone.jobs_until.as_ref());
        Self {
            options,
            committed,
            names,
            report,
            order: Order::default(),
            origins_from: losses_from.max(seconds(options.since.as_ref())),
            losses_from,
            letters_from: seconds(options.gone.dead_letters_until.as_ref()),
        }
    }

    /// Judges the job that these records belong to, which begin at `begin` of all of them.
    pub(super) fn job(&mut self, group: &[Sighting], begin: usize) {
        let mut count = self.count(group);
        if count.retries > 0 {
            self.take_retries_apart(group, &mut count);
        }
        self.report.jobs += u64::from(count.outside);
        self.report.ids += u64::from(count.outside > 0);
        self.missing(group, &count);
        self.surplus(group, &count);
        self.contradictions(group, &count);
        self.dead_letters(group, &count);
        self.identity(group, count.retries > 0);
        if count.outside == 1 && group.iter().all(|sighting| sighting.attempt == 1) {
            self.order.add(group, begin);
        }
    }

    pub(super) fn into_order(self) -> Order {
        self.order
    }

    fn count(&mut self, group: &[Sighting]) -> Count {
        let mut count = Count::default();
        for sighting in group {
            let kind = sighting.kind();
            match kind {
                Kind::Outside | Kind::Forwarded => {
                    let Some(stage) = sighting.stage() else { continue };
                    let hop = &mut count.books.read[stage];
                    if self.committed.is_waiting(sighting) {
                        hop.waiting += 1;
                        count.waiting += 1;
                    } else {
                        hop.settled += 1;
                    }
                    if kind == Kind::Forwarded {
                        count.books.written[stage] += 1;
                    } else {
                        count.outside += 1;
                    }
                }
                Kind::Retry => {
                    count.retries += 1;
                    count.waiting += u32::from(self.committed.is_waiting(sighting));
                    self.report.retries += 1;
                }
                Kind::Result | Kind::Defaulted => {
                    count.books.terminal += 1;
                    // One in place of a failure comes from any stage.
                    count.books.results += u32::from(kind == Kind::Result);
                    count.other_failures += u32::from(kind == Kind::Defaulted);
                    self.report.results += 1;
                    self.report.defaulted += u64::from(kind == Kind::Defaulted);
                }
                Kind::Failure | Kind::FailureAlone => {
                    count.books.terminal += 1;
                    let alone = kind == Kind::FailureAlone;
                    *(if alone { &mut count.other_failures } else { &mut count.failures }) += 1;
                    self.report.failures += 1;
                }
                Kind::DeadLetter => {
                    count.letters += 1;
                    self.report.dead_letters += 1;
                }
            }
        }
        count
    }

    /// A retry is what a stage's record led to, and leads to one more record on that stage's topic, which nobody submitted.
    fn take_retries_apart(&mut self, group: &[Sighting], count: &mut Count) {
        let retries = || group.iter().filter(|sighting| sighting.kind() == Kind::Retry);
        for stage in 0..STAGES {
            let sent = number(retries().filter(|retry| retry.stage() == Some(stage)).count());
            let hop = &mut count.books.read[stage];
            let settled = sent.min(hop.settled);
            let waiting = (sent - settled).min(hop.waiting);
            hop.settled -= settled;
            hop.waiting -= waiting;
            if sent > settled + waiting {
                let last = retries().rfind(|retry| retry.stage() == Some(stage));
                self.too_many(last, sent - settled - waiting, count.outside == 0);
            }
        }
        let mut generous = count.books;
        let mut classes: Vec<(Option<usize>, u8)> =
            retries().map(|retry| (retry.stage(), retry.attempt)).collect();
        classes.sort_unstable();
        classes.dedup();
        for (stage, attempt) in classes {
            let Some(at) = stage else { continue };
            let of_class = |kind| {
                let same =
                    move |s: &&Sighting| s.kind() == kind && s.stage() == stage && s.attempt == attempt;
                group.iter().filter(same)
            };
            let due = number(of_class(Kind::Retry).filter(|s| !self.committed.is_waiting(s)).count());
            let all = number(of_class(Kind::Retry).count());
            let outside = number(of_class(Kind::Outside).count());
            let forwarded = number(of_class(Kind::Forwarded).count());
            if outside + forwarded < due {
                let why = "it was due and its group has committed it, but it did not come back to its stage";
                self.report.lost += u64::from(due - outside - forwarded);
                self.fault(FaultKind::Lost, of_class(Kind::Retry).next_back(), why.to_owned());
            }
            if outside > all {
                self.too_many(of_class(Kind::Outside).next_back(), outside - all, false);
            }
            count.outside = count.outside.saturating_sub(outside);
            count.books.written[at] -= forwarded.min(all.saturating_sub(outside));
            generous.written[at] -= forwarded.min(due.saturating_sub(outside));
        }
        count.generous = Some(generous);
    }

    fn missing(&mut self, group: &[Sighting], count: &Count) {
        let lost = match count
            .books
            .missing()
            .filter(|_| count.generous.is_none_or(|g| g.missing().is_some()))
        {
            None => 0,
            Some(Gap { count, .. }) if is_before(group, self.losses_from) => {
                self.report.unproven += u64::from(count);
                count
            }
            Some(Gap { count, stage }) => {
                self.report.lost += u64::from(count);
                let job = |s: &&Sighting| matches!(s.kind(), Kind::Outside | Kind::Forwarded);
                let mut settled = group.iter().filter(job).filter(|s| !self.committed.is_waiting(s));
                let last = settled.rfind(|s| s.stage() == Some(stage));
                let why = format!(
                    "the group of {} has committed it, and nothing that it led to was found: no job of a later stage, no \
                     retry, no terminal record",
                    Stage::ALL[stage]
                );
                self.fault(FaultKind::Lost, last, why);
                count
            }
        };
        let open = count.outside.saturating_sub(count.books.terminal);
        self.report.waiting += u64::from(open.saturating_sub(lost));
    }

    fn surplus(&mut self, group: &[Sighting], count: &Count) {
        let terminal = count.books.terminal;
        if count.outside > 0 {
            self.report.repeated += u64::from(terminal.saturating_sub(count.outside));
        }
        if self.options.apart && !is_before(group, self.origins_from) {
            self.skipped(group, count);
        }
        let Some(Gap { count: surplus, stage }) = count.books.surplus() else { return };
        if is_before(group, self.origins_from) {
            self.report.unproven += u64::from(surplus);
            return;
        }
        let at = |s: &&Sighting| match stage {
            STAGES => s.kind().is_terminal(),
            stage => s.kind() == Kind::Forwarded && s.stage() == Some(stage),
        };
        if stage < STAGES && count.outside > 0 {
            self.report.repeated_between_stages += u64::from(surplus);
        }
        self.too_many(group.iter().rfind(at), surplus, count.outside == 0);
    }

    fn skipped(&mut self, group: &[Sighting], count: &Count) {
        // A repeat is not told twice; nor is a job that nobody submitted.
        if count.books.surplus().is_some() {
            return;
        }
        if let Some(Gap { stage, .. }) = count.books.skipped() {
            let why = format!(
                "it passed over the topic of {}, and no worker is said to run more than one stage",
                Stage::ALL[stage]
            );
            self.fault(FaultKind::Skipped, group.iter().rfind(|s| s.kind() != Kind::DeadLetter), why);
        }
    }

    /// Records that nothing led to: of a job that nobody submitted, or repeated.
    fn too_many(&mut self, last: Option<&Sighting>, surplus: u32, is_unasked: bool) {
        if is_unasked {
            let why = "no record on a topic of jobs has this id, so nobody submitted it".to_owned();
            self.fault(FaultKind::Unasked, last, why);
        } else if self.options.delivery == Delivery::ExactlyOnce {
            let why = format!("{surplus} more than what led to it, and this pipeline promises exactly one");
            self.fault(FaultKind::Repeated, last, why);
        }
    }

    fn contradictions(&mut self, group: &[Sighting], count: &Count) {
        if count.books.terminal <= count.outside.max(1) {
            return;
        }
        let terminals = || group.iter().filter(|s| s.kind().is_terminal() && s.content != 0);
        let mut contents: Vec<u32> = terminals().map(|sighting| sighting.content).collect();
        contents.sort_unstable();
        contents.dedup();
        let different = number(contents.len()).saturating_sub(count.outside.max(1));
        if different > 0 {
            self.report.repeated_after_deduplication += u64::from(different);
            let why = format!(
                "{} terminal records say {} different things, and the job was submitted {} time(s)",
                count.books.terminal,
                contents.len(),
                count.outside
            );
            self.fault(FaultKind::Contradictory, terminals().next_back(), why);
        }
    }

    fn dead_letters(&mut self, group: &[Sighting], count: &Count) {
        let Count { failures, other_failures, letters, waiting, .. } = *count;
        let of_kind = |kind| group.iter().rfind(move |s: &&Sighting| s.kind() == kind);
        // What was written before a crash and not committed is written again; its dead letter may have come the second time.
        let needed = match self.options.delivery {
            Delivery::ExactlyOnce => failures,
            Delivery::AtLeastOnce => failures.min(count.outside.max(1)),
        };
        if needed > letters + waiting {
            if is_before(group, self.letters_from) {
                self.report.unproven += u64::from(failures - letters);
                return;
            }
            let why = format!("{letters} dead letter(s) for {failures} failure(s) that write one");
            self.fault(FaultKind::FailureWithoutDeadLetter, of_kind(Kind::Failure), why);
        } else if letters > failures + other_failures + waiting {
            let is_alone = letters as usize == group.len();
            if is_before(group, self.origins_from) || is_alone && self.options.gone.any {
                self.report.unproven += u64::from(letters);
            } else if failures + other_failures == 0 {
                let why = "no failure of this job lies on the topic of the results".to_owned();
                self.fault(FaultKind::DeadLetterWithoutFailure, of_kind(Kind::DeadLetter), why);
            } else {
                self.too_many(of_kind(Kind::DeadLetter), letters - failures - other_failures, false);
            }
        }
    }

    /// Whatever a job became carries what it was submitted with.
    fn identity(&mut self, group: &[Sighting], retried: bool) {
        let is_origin = |s: &Sighting| s.kind() == Kind::Outside && !(retried && s.attempt > 1);
        let origins = || group.iter().filter(|sighting| is_origin(sighting));
        let Some(first) = origins().next() else { return };
        for sighting in group.iter().filter(|sighting| !is_origin(sighting)) {
            let fits = |origin: &Sighting| {
                keys_agree(origin.key(), sighting.key())
                    && agree(origin.identity, sighting.identity)
                    && agree(origin.carried, sighting.carried)
            };
            if !origins().any(fits) {
                let mut differs = Vec::new();
                let parts = [
                    (keys_agree(first.key(), sighting.key()), "its key"),
                    (
                        agree(first.identity, sighting.identity),
                        "its headers (ce_time, ce_batchid, or the producer's own)",
                    ),
                    (agree(first.carried, sighting.carried), "the producer's parameters in its body"),
                ];
                differs.extend(parts.into_iter().filter(|(agrees, _)| !agrees).map(|(_, part)| part));
                let why = format!(
                    "not those that the job was submitted with at {}: {}",
                    first.place(&self.options.topics),
                    differs.join(", ")
                );
                self.fault(FaultKind::Mismatched, Some(sighting), why);
            } else if matches!(sighting.kind(), Kind::DeadLetter | Kind::Retry) {
                self.bytes(group, sighting);
            }
        }
    }

    /// A dead letter, and a job that waits to be run again, is the record that failed, byte for byte.
    fn bytes(&mut self, group: &[Sighting], copy: &Sighting) {
        let job =
            |s: &&Sighting| matches!(s.kind(), Kind::Outside | Kind::Forwarded) && s.stage() == copy.stage();
        let mut originals = group.iter().filter(job).peekable();
        if originals.peek().is_some() && !originals.any(|original| agree(original.content, copy.content)) {
            let why = "its value is not that of the record it was made of".to_owned();
            self.fault(FaultKind::Mismatched, Some(copy), why);
        }
    }

    fn fault(&mut self, kind: FaultKind, at: Option<&Sighting>, why: String) {
        let Some(sighting) = at else { return };
        let (id, place) = (self.names.text(sighting.id()), sighting.place(&self.options.topics));
        self.report.add(Fault { kind, id, r#where: place, why });
    }
}

fn is_before(group: &[Sighting], seconds: u32) -> bool {
    seconds > 0 && group.iter().any(|sighting| sighting.submitted > 0 && sighting.submitted <= seconds)
}

fn seconds(time: Option<&Timestamp>) -> u32 {
    time.map_or(0, |time| u32::try_from(time.unix_micros() / 1_000_000).unwrap_or(0))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
