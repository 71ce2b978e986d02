//! Proves that nothing is lost and nothing doubled.
//!
//! The reconciler sees every record of a pipeline's topics once, in any order, and what the groups have committed. For each
//! id it then sets up a balance: every record below a group's committed offset must have led on, to a later stage, to a
//! retry or to a terminal record; every record at or beyond it is waiting. What does not add up is a [`Fault`] with the id
//! of the job, where it was last seen, and why that is wrong. An id may be submitted several times, retried and replayed:
//! then as many terminal records are due.
//!
//! What it proves beside the balance: that later records carry the identity of the first (key, time, batch, headers of the
//! producer's own, parameters), that they lie in the partition of their key, that terminal records can be read, that
//! a failure has its dead letter and the other way round, and that the first results of a key lie in the order of its jobs.
//! What it does not: that the numbers in a result are right, that its provenance and its trace are, and `ce_attempt`.
//!
//! [`Reconciler`] is pure; [`run`] feeds it from a transport. It takes 48 bytes for each record, and remembers ids that are
//! not UUIDs as text.

mod balance;
mod driver;
mod identity;
mod judge;
mod names;
mod observe;
mod options;
mod order;
mod report;
mod sighting;
#[cfg(test)]
mod tests;

use transport::{Progress, Received};

pub use self::driver::{Plan, run};
use self::judge::Judge;
use self::names::Names;
pub use self::options::{Delivery, Gone, Options, Role};
pub use self::report::{Fault, FaultKind, Report};
use self::sighting::{Committed, Sighting};

/// Sees the records of one pipeline, and says whether they add up.
#[derive(Debug)]
pub struct Reconciler {
    options: Options,
    sightings: Vec<Sighting>,
    names: Names,
    report: Report,
}

impl Reconciler {
    /// A reconciler that has seen nothing yet.
    pub fn new(options: Options) -> Self {
        let report = Report::new(&options);
        Self { options, sightings: Vec::new(), names: Names::default(), report }
    }

    /// Takes a record of the topic with this role into account. The order in which records come does not matter.
    pub fn observe(&mut self, role: Role, received: &Received) {
        self.report.records += 1;
        let seen = observe::observe(&self.options, role, received);
        for fault in seen.faults {
            self.report.add(fault);
        }
        if let Some((id, sighting)) = seen.sighting {
            self.names.remember(id.as_str());
            self.sightings.push(sighting);
        }
    }

    /// The verdict. `committed` holds what each group has committed of the topic that it reads (the groups of the stages, and
    /// that of the retries), as it was before the ends of the topics were looked up.
    pub fn finish(mut self, committed: &Progress) -> Report {
        self.sightings.sort_unstable();
        let committed = Committed::new(&self.options.topics, committed);
        let mut judge = Judge::new(&self.options, &committed, &self.names, &mut self.report);
        let mut begin = 0;
        for group in self.sightings.chunk_by(|a, b| a.id() == b.id()) {
            judge.job(group, begin);
            begin += group.len();
        }
        let ordered = judge.into_order();
        if self.options.partitions_were.is_empty() {
            ordered.judge(&self.options.topics, &self.sightings, &self.names, &mut self.report);
        }
        self.report.finish();
        self.report
    }
}
