//! Where each kind of record travels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Stage;

/// The topics of one pipeline. Each name can be set on its own, and pipelines may share one.
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

    /// All five names, in the order a job passes them.
    pub fn all(&self) -> [&str; 5] {
        [&self.preprocess, &self.inference, &self.postprocess, &self.results, &self.dead_letters]
    }
}
