//! Which dead letters are meant.

use std::collections::BTreeSet;

use schemas::{FailureCode, JobId, Stage, Timestamp, TopicNames};

use super::letter::DeadLetter;

/// Which dead letters are meant; what is left out means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those that failed so.
    pub codes: BTreeSet<FailureCode>,
    /// Only those that a stage of these gave up on.
    pub stages: BTreeSet<Stage>,
    /// Only those that failed at this time or later.
    pub since: Option<Timestamp>,
    /// Only those that failed before this time.
    pub until: Option<Timestamp>,
    /// Only those of these jobs.
    pub ids: BTreeSet<String>,
    /// Other pipelines that share a topic with this one: their jobs are theirs.
    pub others: BTreeSet<String>,
}

impl Filter {
    /// The dead letters of these jobs.
    pub fn of_jobs(ids: impl IntoIterator<Item = JobId>) -> Self {
        Self { ids: ids.into_iter().map(|id| id.to_string()).collect(), ..Self::default() }
    }

    /// Whether this one is meant.
    pub fn admits(&self, letter: &DeadLetter, topics: &TopicNames) -> bool {
        let Self { codes, stages, since, until, ids, others } = self;
        let reason = &letter.reason;
        let stage: Option<Stage> = reason.stage.parse().ok();
        letter.stage_topic(topics).is_some()
            && !letter.headers.subject.as_ref().is_some_and(|subject| others.contains(subject))
            && (codes.is_empty() || codes.contains(&reason.code))
            && (stages.is_empty() || stage.is_some_and(|stage| stages.contains(&stage)))
            && since.as_ref().is_none_or(|since| reason.time >= *since)
            && until.as_ref().is_none_or(|until| reason.time < *until)
            && (ids.is_empty() || ids.contains(letter.id.as_str()))
    }
}
