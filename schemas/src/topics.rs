//! Where each kind of record travels.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Stage;

/// How long a job that failed for a passing reason waits before it is run again. One topic for each: what comes first is
/// due first, so whoever waits looks at the first record only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RetryDelay {
    /// After the first run.
    #[serde(rename = "5s")]
    FiveSeconds,
    /// After the second run.
    #[serde(rename = "1m")]
    OneMinute,
    /// After every later run.
    #[serde(rename = "10m")]
    TenMinutes,
}

impl RetryDelay {
    /// Every delay, shortest first.
    pub const ALL: [Self; 3] = [Self::FiveSeconds, Self::OneMinute, Self::TenMinutes];

    /// The delay after the run number `attempt`, which is 1 for the first.
    pub fn after(attempt: u32) -> Self {
        match attempt {
            0 | 1 => Self::FiveSeconds,
            2 => Self::OneMinute,
            _ => Self::TenMinutes,
        }
    }

    /// The wait itself.
    pub const fn duration(self) -> Duration {
        match self {
            Self::FiveSeconds => Duration::from_secs(5),
            Self::OneMinute => Duration::from_secs(60),
            Self::TenMinutes => Duration::from_secs(600),
        }
    }

    /// The last part of the topic's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FiveSeconds => "5s",
            Self::OneMinute => "1m",
            Self::TenMinutes => "10m",
        }
    }
}

/// The topics of one pipeline. Those of the stages, the results and the dead letters can be set on
/// their own, and pipelines may share them.
///
/// ```
/// use schemas::{Stage, TopicNames};
///
/// let topics = TopicNames::new("millstream", "digits");
/// assert_eq!(topics.of_stage(Stage::Inference), "millstream.digits.inference");
/// assert_eq!(topics.dead_letters, "millstream.digits.dead-letters");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicNames {
    /// Jobs with raw payloads.
    pub preprocess: String,
    /// Jobs with model inputs.
    pub inference: String,
    /// Jobs with model outputs.
    pub postprocess: String,
    /// One terminal record per job: a result or a failure.
    pub results: String,
    /// The original record of each failed job, with the reason in its headers.
    pub dead_letters: String,
    /// Jobs that failed for a passing reason and wait to be run again, by the length of the wait.
    pub retries: [String; 3],
    /// Which jobs are withdrawn.
    pub cancellations: String,
}

impl TopicNames {
    /// The prefix where none is configured.
    pub const DEFAULT_PREFIX: &'static str = "millstream";

    /// The default names: `<prefix>.<pipeline>.<stage>`.
    pub fn new(prefix: &str, pipeline: &str) -> Self {
        let name = |last: &str| format!("{prefix}.{pipeline}.{last}");
        Self {
            preprocess: name(Stage::Preprocess.as_str()),
            inference: name(Stage::Inference.as_str()),
            postprocess: name(Stage::Postprocess.as_str()),
            results: name("results"),
            dead_letters: name("dead-letters"),
            retries: RetryDelay::ALL.map(|delay| name(&format!("retry.{}", delay.as_str()))),
            cancellations: name("cancellations"),
        }
    }

    /// The topic that a stage reads its jobs from.
    pub fn of_stage(&self, stage: Stage) -> &str {
        match stage {
            Stage::Preprocess => &self.preprocess,
            Stage::Inference => &self.inference,
            Stage::Postprocess => &self.postprocess,
        }
    }

    /// The topic of the jobs that wait so long.
    pub fn of_retry(&self, delay: RetryDelay) -> &str {
        &self.retries[delay as usize]
    }
}
