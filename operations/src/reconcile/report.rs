//! What the reconciler says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::options::{Delivery, Options};

/// What is wrong with a job's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A record was committed and led to nothing.
    Lost,
    /// More records than there should be, where exactly one is promised.
    Repeated,
    /// A record that passed over the topic of a stage, where no worker runs more than one.
    Skipped,
    /// Terminal records of one job that say different things.
    Contradictory,
    /// A record that nobody asked for.
    Unasked,
    /// A failure whose original is not among the dead letters.
    FailureWithoutDeadLetter,
    /// A dead letter of a job that has no failure.
    DeadLetterWithoutFailure,
    /// A record that does not carry what the job was submitted with, or lies in the wrong partition.
    Mismatched,
    /// A result before that of an earlier job of the same key.
    OutOfOrder,
    /// A record of the project's own that cannot be read.
    Undecodable,
}

impl FaultKind {
    /// The name as it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Repeated => "repeated",
            Self::Skipped => "skipped",
            Self::Contradictory => "contradictory",
            Self::Unasked => "unasked",
            Self::FailureWithoutDeadLetter => "failure_without_dead_letter",
            Self::DeadLetterWithoutFailure => "dead_letter_without_failure",
            Self::Mismatched => "mismatched",
            Self::OutOfOrder => "out_of_order",
            Self::Undecodable => "undecodable",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What it is.
    pub kind: FaultKind,
    /// The job; empty where its record does not say.
    pub id: String,
    /// Where it was last seen: `topic/partition/offset`.
    pub r#where: String,
    /// Why that is wrong.
    pub why: String,
}

/// The verdict on a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The pipeline.
    pub pipeline: String,
    /// What it promises.
    pub delivery: Delivery,
    /// Whether everything adds up: there is no fault.
    pub holds: bool,
    /// Records that were read.
    pub records: u64,
    /// Jobs submitted: an id that was submitted or replayed twice counts twice.
    pub jobs: u64,
    /// Different ids among them.
    pub ids: u64,
    /// Terminal records.
    pub terminal: u64,
    /// Results among them, those in place of a failure included.
    pub results: u64,
    /// Results in place of a failure.
    pub defaulted: u64,
    /// Failures among them.
    pub failures: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Records in the retry topics, those that went back included.
    pub retries: u64,
    /// Jobs without a terminal record that lie at or beyond a committed offset.
    pub waiting: u64,
    /// Jobs that were committed and led to nothing.
    pub lost: u64,
    /// Terminal records beyond one for each job, as they lie on the topic.
    pub repeated: u64,
    /// Those that dropping repeats by id does not heal, because they say different things.
    pub repeated_after_deduplication: u64,
    /// Records beyond one for each job between the stages.
    pub repeated_between_stages: u64,
    /// Records whose origin lies before the point where reading began or before what the topics still hold: nothing can be
    /// proven about them, and they are no faults.
    pub unproven: u64,
    /// All faults, by kind.
    pub faults_by_kind: BTreeMap<FaultKind, u64>,
    /// The first faults.
    pub faults: Vec<Fault>,
    #[serde(skip, default)]
    max_faults: usize,
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            pipeline: options.pipeline.clone(),
            delivery: options.delivery,
            holds: true,
            records: 0,
            jobs: 0,
            ids: 0,
            terminal: 0,
            results: 0,
            defaulted: 0,
            failures: 0,
            dead_letters: 0,
            retries: 0,
            waiting: 0,
            lost: 0,
            repeated: 0,
            repeated_after_deduplication: 0,
            repeated_between_stages: 0,
            unproven: 0,
            faults_by_kind: BTreeMap::new(),
            faults: Vec::new(),
            max_faults: options.max_faults,
        }
    }

    pub(super) fn add(&mut self, fault: Fault) {
        *self.faults_by_kind.entry(fault.kind).or_default() += 1;
        if self.faults.len() < self.max_faults {
            self.faults.push(fault);
        }
    }

    pub(super) fn finish(&mut self) {
        self.terminal = self.results + self.failures;
        self.holds = self.faults_by_kind.is_empty();
    }

    /// How many faults there are, told or not.
    pub fn fault_count(&self) -> u64 {
        self.faults_by_kind.values().sum()
    }
}
