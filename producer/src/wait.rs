//! Waiting for the outcomes of particular jobs.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use schemas::JobId;
use tokio::time::{Instant, sleep, timeout_at};
use transport::{ReadFrom, Reader, Transport, TransportError};

use crate::client::Client;
use crate::error::{ResultError, WaitError};
use crate::outcome::{JobOutcome, ResultFilter};
use crate::results::Results;
use crate::submission::Submission;

/// A reader that fails because a broker is away may fail at once each time it is asked.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

impl<T: Transport> Client<T> {
    /// Submits one job and waits for its outcome, at most `timeout` for both together.
    ///
    /// It opens the results for this one job; for many, open them once with [`Client::results`], submit, and then wait
    /// with [`Results::wait_for`].
    ///
    /// ```no_run
    /// # use producer::{Client, ClientOptions, Submission};
    /// # use std::time::Duration;
    /// # async fn example(client: Client<transport::Kafka>) -> Result<(), producer::WaitError> {
    /// let image = Submission::raw("image/png", std::fs::read("seven.png").expect("readable"));
    /// let outcome = client.submit_and_wait(image, Duration::from_secs(10)).await?;
    /// println!("{:?}", outcome.outcome);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WaitError::Submit`] if it was not submitted; [`WaitError::Timeout`] if it was, and its outcome did not come.
    pub async fn submit_and_wait(
        &self,
        submission: impl Into<Submission>,
        timeout: Duration,
    ) -> Result<JobOutcome, WaitError> {
        let mut submission = submission.into();
        let id = submission.id.get_or_insert_with(JobId::random).clone();
        let begin = Instant::now();
        let waited = timeout_at(begin + timeout, async {
            // A result can be there before the acknowledgement is, so its topic is opened first.
            let mut waiting = HashSet::from([id.clone()]);
            let filter = ResultFilter::of_jobs(waiting.clone());
            let mut results = self.results(ReadFrom::End, filter).await.map_err(ResultError::from)?;
            self.submit(submission).await?;
            Ok(results.next_of(&mut waiting).await?)
        });
        waited.await.unwrap_or_else(|_| {
            Err(WaitError::Timeout { after: timeout, missing: vec![id], found: Vec::new() })
        })
    }
}

impl<R: Reader> Results<R> {
    /// The next outcome of one of these jobs, which is then no longer one of them; outcomes of others are passed over. A
    /// broker that is away is waited for. Cancel safe.
    ///
    /// Only `waiting` decides: an id that was asked for before, and is again, is waited for again.
    ///
    /// # Errors
    ///
    /// [`ResultError::Undecodable`] if the outcome of one of these jobs cannot be decoded; the job is then no longer one
    /// of them either. [`ResultError::Transport`] if the reading fails for good.
    pub async fn next_of(&mut self, waiting: &mut HashSet<JobId>) -> Result<JobOutcome, ResultError> {
        loop {
            match self.next_or_repeat().await.unwrap_or_else(|| Err(broken())) {
                Ok(outcome) if waiting.remove(&outcome.id) => {
                    self.given(&outcome);
                    return Ok(outcome);
                }
                Ok(_) => {}
                Err(ResultError::Undecodable(undecodable)) => {
                    if undecodable.id.as_ref().is_some_and(|id| waiting.remove(id)) {
                        return Err(undecodable.into());
                    }
                    tracing::warn!(position = %undecodable.position, fault = %undecodable.fault, "result passed over");
                }
                Err(ResultError::Transport(error)) if error.is_retryable() => {
                    tracing::warn!(%error, "cannot read results for now");
                    sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the outcomes of these jobs, at most `timeout`, and gives them in the order asked for. It sees what was
    /// published after these results were opened, so open them before submitting; the filter must not rule the jobs out.
    ///
    /// # Errors
    ///
    /// [`WaitError::Timeout`] with what came and what did not; [`WaitError::Result`] at the first outcome that cannot be
    /// decoded.
    pub async fn wait_for(
        &mut self,
        ids: impl IntoIterator<Item = JobId>,
        timeout: Duration,
    ) -> Result<Vec<JobOutcome>, WaitError> {
        let ids: Vec<JobId> = ids.into_iter().collect();
        let deadline = Instant::now() + timeout;
        let mut waiting: HashSet<JobId> = ids.iter().cloned().collect();
        let mut outcomes = HashMap::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let Ok(outcome) = timeout_at(deadline, self.next_of(&mut waiting)).await else { break };
            let outcome = outcome?;
            outcomes.insert(outcome.id.clone(), outcome);
        }
        let (mut found, mut missing) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            match outcomes.remove(&id) {
                Some(outcome) => found.push(outcome),
                None if waiting.remove(&id) => missing.push(id),
                // Asked for twice.
                None => {}
            }
        }
        if missing.is_empty() {
            Ok(found)
        } else {
            Err(WaitError::Timeout { after: timeout, missing, found })
        }
    }
}

/// What waiting says when reading had failed for good before.
fn broken() -> ResultError {
    let what = "following the results".to_owned();
    ResultError::Transport(TransportError::Fatal {
        what,
        reason: "reading them had failed before".to_owned(),
    })
}

#[cfg(test)]
mod tests;
