//! A terminal record becomes the outcome of a job.

use std::collections::HashSet;

use bytes::Bytes;
use schemas::{DecodeError, FailureCode, Headers, JobId, Limits, Outcome};
use transport::{Position, Received};

use crate::error::UndecodableResult;

/// What a job came to, and everything that its record says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutcome {
    /// The job.
    pub id: JobId,
    /// A result or a failure.
    pub outcome: Outcome,
    /// The headers of the terminal record: when the job was submitted, its batch, what computed it, headers of the
    /// producer's own.
    pub headers: Headers,
    /// The key that the job was submitted with.
    pub key: Option<Bytes>,
    /// Where the terminal record lies.
    pub position: Position,
}

/// Which outcomes are wanted; everything left out wants all.
///
/// Outcomes of other pipelines that share the topic are never returned, whatever the filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultFilter {
    /// Only those of these jobs.
    pub ids: Option<HashSet<JobId>>,
    /// Only those of this batch.
    pub batch_id: Option<String>,
}

impl ResultFilter {
    /// Every outcome.
    pub fn all() -> Self {
        Self::default()
    }

    /// The outcomes of these jobs.
    pub fn of_jobs(ids: impl IntoIterator<Item = JobId>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), batch_id: None }
    }

    /// The outcomes of the jobs of this batch.
    pub fn of_batch(batch_id: impl Into<String>) -> Self {
        Self { ids: None, batch_id: Some(batch_id.into()) }
    }

    /// Whether these headers do not rule the record out. A header that could not be read rules nothing out.
    fn admits(&self, headers: &Headers, faulty: bool) -> bool {
        let admits_id = match (&self.ids, &headers.id) {
            (Some(ids), Some(id)) => ids.contains(id),
            (Some(_), None) => faulty,
            (None, _) => true,
        };
        let admits_batch = match (&self.batch_id, &headers.batch_id) {
            (Some(wanted), Some(batch_id)) => wanted == batch_id,
            (Some(_), None) => faulty,
            (None, _) => true,
        };
        admits_id && admits_batch
    }
}

/// How a pipeline's terminal records are read.
#[derive(Debug)]
pub(crate) struct OutcomeReader {
    pub(crate) pipeline: String,
    pub(crate) filter: ResultFilter,
    pub(crate) limits: Limits,
}

impl OutcomeReader {
    /// The outcome that a record holds; `None` if it is not one that is wanted.
    pub(crate) fn read(&self, received: Received) -> Option<Result<JobOutcome, UndecodableResult>> {
        let pairs = received.record.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
        let (headers, fault) = Headers::read(pairs);
        let fault = fault.or_else(|| missing(&headers));
        let is_foreign = headers.subject.as_ref().is_some_and(|subject| *subject != self.pipeline);
        if is_foreign || !self.filter.admits(&headers, fault.is_some()) {
            return None;
        }
        let Received { record, position, .. } = received;
        let outcome = match fault {
            Some(fault) => Err(fault),
            None => self.decode(&headers, record.value),
        };
        let id = headers.id.clone();
        Some(match (outcome, id) {
            (Ok(outcome), Some(id)) => Ok(JobOutcome { id, outcome, headers, key: record.key, position }),
            (Ok(_), None) => unreachable!("a missing id is a fault"),
            (Err(fault), id) => Err(UndecodableResult { position, id, fault }),
        })
    }

    fn decode(&self, headers: &Headers, body: Option<Bytes>) -> Result<Outcome, DecodeError> {
        let body = body.ok_or_else(|| invalid("body", "is missing (a tombstone)"))?;
        let kind = headers.kind.ok_or_else(|| invalid("headers.ce_type", "is missing"))?;
        schemas::decode_outcome(kind, headers.content_type.as_deref(), &body, &self.limits)
    }
}

/// What every terminal record has and this one lacks.
fn missing(headers: &Headers) -> Option<DecodeError> {
    let absent = [("headers.ce_id", headers.id.is_none()), ("headers.ce_type", headers.kind.is_none())];
    absent.into_iter().find(|(_, absent)| *absent).map(|(path, _)| invalid(path, "is missing"))
}

fn invalid(path: &str, message: &str) -> DecodeError {
    DecodeError { code: FailureCode::InvalidInput, path: path.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests;
