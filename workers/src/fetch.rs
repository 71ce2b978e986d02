//! A record becomes an entry: decoded, identified, with its position kept. What cannot be decoded is an entry too, so that
//! no later commit passes it before its failure is published.

use std::time::Instant;

use schemas::{
    DecodeError, Failure, FailureCode, Headers, Job, JobId, Limits, MessageKind, Stage, TimeSheet, Timestamp,
};
use transport::Received;

/// Kafka timestamps before 2001-09-09 (10¹² ms) are not clocks: the development broker stamps 1234.
const EARLIEST_PLAUSIBLE_MS: i64 = 1_000_000_000_000;

/// One fetched record on its way through the worker.
#[derive(Debug)]
pub struct Entry {
    /// Where it came from and who it is.
    pub origin: Origin,
    /// What is to be done with it.
    pub work: Work,
}

/// Everything about a record except the decoded job.
#[derive(Debug)]
pub struct Origin {
    /// The record as it was read; a dead letter needs its bytes unchanged.
    pub received: Received,
    /// Its headers, with the id and the time filled in if the producer left them out.
    pub headers: Headers,
    /// The job's identity: `ce_id`, or its position if there is none.
    pub id: JobId,
    /// Time spent so far, up to and including the wait in the topic that it was just read from.
    pub sheet: TimeSheet,
    /// When it was read.
    pub fetched_at: Instant,
}

/// What is to be done with an entry.
#[derive(Debug)]
pub enum Work {
    /// Run the job.
    Run(Job),
    /// It is not a job that can be run; say so.
    Fail(Failure),
    /// It belongs to another pipeline that reads the same topic: let it pass.
    Pass,
}

impl Entry {
    /// Size of the record: key, value and headers.
    pub fn bytes(&self) -> usize {
        self.origin.received.record.size()
    }
}

impl Origin {
    /// Who a record is, and what is wrong with its headers. `now` and `clock` are the same moment, on the monotonic clock
    /// and on the calendar.
    pub(crate) fn read(received: Received, now: Instant, clock: &Timestamp) -> (Self, Option<DecodeError>) {
        let pairs = received.record.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
        let (mut headers, fault) = Headers::read(pairs);
        let position = &received.position;
        let id = headers.id.get_or_insert_with(|| {
            JobId::from_position(&position.partition.topic, position.partition.index, position.offset.get())
        });
        let id = id.clone();
        headers.time.get_or_insert_with(|| match received.timestamp_ms {
            Some(millis) if millis >= EARLIEST_PLAUSIBLE_MS => Timestamp::from_unix_millis(millis),
            _ => clock.clone(),
        });
        (Self { received, headers, id, sheet: TimeSheet::default(), fetched_at: now }, fault)
    }

    /// Which run of this job this is: 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.headers.attempt.unwrap_or(1).max(1)
    }

    /// A failure of this job.
    pub fn failure(
        &self,
        stage: Stage,
        code: FailureCode,
        message: impl Into<String>,
        retriable: bool,
    ) -> Failure {
        Failure {
            stage: stage.to_string(),
            code,
            message: message.into(),
            attempt: self.attempt(),
            retriable,
        }
    }
}

/// Turns records of one job topic into entries.
#[derive(Debug, Clone)]
pub struct Fetcher {
    /// The pipeline that this worker serves.
    pub pipeline: String,
    /// The stage whose topic is read.
    pub stage: Stage,
    /// All pipelines that read this topic as well as this one, sorted; usually just this one.
    pub sharing: Vec<String>,
    /// Bounds of what is decoded.
    pub limits: Limits,
}

impl Fetcher {
    /// Decodes one record. `now` and `clock` are the same moment, on the monotonic clock and on the calendar.
    pub fn entry(&self, received: Received, now: Instant, clock: &Timestamp) -> Entry {
        let (mut origin, header_fault) = Origin::read(received, now, clock);
        let since_submitted = origin.headers.time.as_ref().map_or(0, |time| micros_between(time, clock));
        let work = if !self.is_ours(&origin.headers) {
            Work::Pass
        } else if let Some(fault) = header_fault {
            Work::Fail(origin.failure(self.stage, fault.code, fault.to_string(), false))
        } else {
            match self.job(&origin) {
                Ok(job) => {
                    if self.comes_from_a_stage(&origin.headers) {
                        origin.sheet = TimeSheet::read(&job.parameters);
                    }
                    Work::Run(job)
                }
                Err(failure) => Work::Fail(failure),
            }
        };
        // What the earlier stages did not spend, the record spent waiting in a topic.
        let waited = since_submitted.saturating_sub(origin.sheet.total_us);
        origin.sheet.queue_us = origin.sheet.queue_us.saturating_add(waited);
        Entry { origin, work }
    }

    fn job(&self, origin: &Origin) -> Result<Job, Failure> {
        let record = &origin.received.record;
        let invalid = |message: String| origin.failure(self.stage, FailureCode::InvalidInput, message, false);
        if let Some(kind) = origin.headers.kind.filter(|kind| *kind != MessageKind::Job) {
            return Err(invalid(format!(
                "headers.ce_type: expected a job, got {kind}; send results elsewhere"
            )));
        }
        let Some(value) = &record.value else {
            return Err(invalid("record: it has no value (a tombstone); send the job as the value".into()));
        };
        schemas::decode_job(origin.headers.content_type.as_deref(), value, &self.limits)
            .map_err(|error| origin.failure(self.stage, error.code, error.to_string(), false))
    }

    /// A producer's own parameters are no time sheet, whatever their names.
    fn comes_from_a_stage(&self, headers: &Headers) -> bool {
        let within = |source: &str| {
            source.strip_prefix("/millstream/")?.strip_prefix(&*self.pipeline)?.strip_prefix('/').map(|_| ())
        };
        headers.source.as_deref().and_then(within).is_some()
    }

    /// On a topic of several pipelines `ce_subject` decides; a record without one is the first pipeline's, so that
    /// exactly one answers it. A subject that none of them answers to is also left to the first, which runs it.
    fn is_ours(&self, headers: &Headers) -> bool {
        let [first, _, ..] = self.sharing.as_slice() else { return true };
        match headers.subject.as_deref() {
            Some(subject) if self.sharing.iter().any(|sharing| sharing == subject) => {
                subject == self.pipeline
            }
            _ => *first == self.pipeline,
        }
    }
}

/// Microseconds from one moment to a later one; 0 when clocks disagree about which is later.
pub(crate) fn micros_between(earlier: &Timestamp, later: &Timestamp) -> u64 {
    u64::try_from(later.unix_micros().saturating_sub(earlier.unix_micros())).unwrap_or(0)
}

#[cfg(test)]
mod tests;
