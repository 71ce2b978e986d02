//! A job as it is handed to a pipeline, with the time by which it must have been run.

use schemas::{FailureCode, Job, Stage, Timestamp};

use crate::error::{Fault, JobError};

/// A job to be run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Task {
    /// The job.
    pub job: Job,
    /// When its outcome is of no use any more, as `ce_deadline` says. The model is not run for it from then on.
    pub deadline: Option<Timestamp>,
}

impl From<Job> for Task {
    /// A job that may take as long as it needs.
    fn from(job: Job) -> Self {
        Self { job, deadline: None }
    }
}

/// Refuses a job whose deadline has passed when the batch is formed for the model.
pub(crate) fn check_deadline(deadline: Option<&Timestamp>, now: &Timestamp) -> Result<(), JobError> {
    match deadline {
        Some(deadline) if deadline <= now => Err(Fault::permanent(
            FailureCode::Expired,
            format!(
                "headers.ce_deadline: {deadline} passed before the batch was formed for the model; \
                 the model was not run for this job"
            ),
        )
        .at(Stage::Inference)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_the_first_moment_that_is_too_late() {
        let check = |deadline: Option<i64>, expect: bool| {
            let deadline = deadline.map(Timestamp::from_unix_micros);
            let now = Timestamp::from_unix_micros(1000);
            assert_eq!(check_deadline(deadline.as_ref(), &now).is_ok(), expect, "{deadline:?}");
        };
        check(None, true);
        check(Some(1001), true);
        check(Some(1000), false);
        check(Some(999), false);
    }
}
