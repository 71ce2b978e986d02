//! What is to be reconciled, and what is promised of it.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{Headers, Limits, RetryDelay, Stage, Timestamp, TopicNames};
use serde::{Deserialize, Serialize};

/// What a pipeline promises about repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// A crash may repeat work: more than one terminal record is no fault as long as they say the same.
    #[default]
    AtLeastOnce,
    /// Every repeat is a fault.
    ExactlyOnce,
}

/// What the records of a topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Jobs that a stage reads.
    Stage(Stage),
    /// Jobs that wait to be run again.
    Retry(RetryDelay),
    /// Terminal records.
    Results,
    /// The originals of failed jobs.
    DeadLetters,
}

impl Role {
    /// Every role, the topics that others are written from last: whoever looks the ends up in this order finds what each
    /// record came from.
    pub const DOWNSTREAM_FIRST: [Self; 8] = [
        Self::Results,
        Self::DeadLetters,
        Self::Retry(RetryDelay::FiveSeconds),
        Self::Retry(RetryDelay::OneMinute),
        Self::Retry(RetryDelay::TenMinutes),
        Self::Stage(Stage::Postprocess),
        Self::Stage(Stage::Inference),
        Self::Stage(Stage::Preprocess),
    ];

    /// The topic with this role.
    pub fn topic(self, topics: &TopicNames) -> &str {
        match self {
            Self::Stage(stage) => topics.of_stage(stage),
            Self::Retry(delay) => topics.of_retry(delay),
            Self::Results => &topics.results,
            Self::DeadLetters => &topics.dead_letters,
        }
    }

    /// A small number for each role, 0 to 7.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Stage(stage) => stage as u8,
            Self::Retry(delay) => 3 + delay as u8,
            Self::Results => 6,
            Self::DeadLetters => 7,
        }
    }

    /// The role of this number.
    pub(super) fn of_number(number: u8) -> Self {
        match number {
            0..3 => Self::Stage(Stage::ALL[usize::from(number)]),
            3..6 => Self::Retry(RetryDelay::ALL[usize::from(number - 3)]),
            6 => Self::Results,
            _ => Self::DeadLetters,
        }
    }
}

/// What the topics no longer hold, because it has expired or was purged: nothing can be proven about it.
#[derive(Debug, Clone, Default)]
pub struct Gone {
    /// Some topic other than that of the dead letters has lost records.
    pub any: bool,
    /// Jobs submitted up to then may have lost records.
    pub jobs_until: Option<Timestamp>,
    /// Jobs submitted up to then may have lost their dead letters.
    pub dead_letters_until: Option<Timestamp>,
}

/// What is to be reconciled, and what is promised of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The pipeline.
    pub pipeline: String,
    /// Its topics.
    pub topics: TopicNames,
    /// What it promises.
    pub delivery: Delivery,
    /// Bounds of what is decoded.
    pub limits: Limits,
    /// The pipelines that read each stage's topic, this one included, sorted; a topic that is not named here is this
    /// pipeline's alone.
    pub sharing: BTreeMap<Stage, Vec<String>>,
    /// Stages whose failures write no dead letter, unless their job expired or was cancelled.
    pub without_dead_letters: BTreeSet<Stage>,
    /// No worker runs more than one stage: then every job passes each topic after the one that it enters at. Without it, a
    /// record that vanished between two stages after it had led on cannot be told from stages that are fused.
    pub apart: bool,
    /// How many partitions each topic has; without it, nothing is said about partitions.
    pub partitions: BTreeMap<String, i32>,
    /// How many partitions the topics had before some were added: then records may lie where their key once went, and
    /// nothing is said about order.
    pub partitions_were: Vec<i32>,
    /// Where reading begins, if that is not the beginning: the origin of jobs submitted before is not known.
    pub since: Option<Timestamp>,
    /// What the topics no longer hold.
    pub gone: Gone,
    /// How many faults are told; all are counted.
    pub max_faults: usize,
}

impl Options {
    /// How many faults are told by default.
    pub const MAX_FAULTS: usize = 100;

    /// At least once, from the beginning, topics of its own.
    pub fn new(pipeline: impl Into<String>, topics: TopicNames) -> Self {
        Self {
            pipeline: pipeline.into(),
            topics,
            delivery: Delivery::default(),
            limits: Limits::default(),
            sharing: BTreeMap::new(),
            without_dead_letters: BTreeSet::new(),
            apart: false,
            partitions: BTreeMap::new(),
            partitions_were: Vec::new(),
            since: None,
            gone: Gone::default(),
            max_faults: Self::MAX_FAULTS,
        }
    }

    /// Whether a record on the stage's topic is this pipeline's: on a topic of several pipelines `ce_subject` decides, and
    /// what names none of them is the first one's, as workers have it.
    pub(super) fn is_ours(&self, stage: Stage, headers: &Headers) -> bool {
        let sharing = self.sharing.get(&stage).map(Vec::as_slice).unwrap_or_default();
        let [first, _, ..] = sharing else { return true };
        match headers.subject.as_deref() {
            Some(subject) if sharing.iter().any(|name| name == subject) => subject == self.pipeline,
            _ => *first == self.pipeline,
        }
    }

    /// The stage whose topic this is.
    pub(super) fn stage_of(&self, topic: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| self.topics.of_stage(*stage) == topic)
    }

    /// The stage of this pipeline that wrote a record with this `ce_source`; `None` if it was somebody else.
    pub(super) fn writer(&self, source: Option<&str>) -> Option<Stage> {
        source?.strip_prefix("/millstream/")?.strip_prefix(&*self.pipeline)?.strip_prefix('/')?.parse().ok()
    }
}
