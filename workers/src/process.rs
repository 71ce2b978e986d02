//! One batch: its jobs go through the pipeline together, and each entry becomes the records that settle it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::{Failure, FailureCode, Timestamp};
use stages::{Pipeline, Processed, Task};
use transport::Record;

use crate::fetch::{Entry, Origin, Work};
use crate::metrics::PipelineMetrics;
use crate::publish::Outbox;

/// What every batch of this worker goes through.
pub(crate) struct Processor {
    pub(crate) pipeline: Pipeline,
    pub(crate) outbox: Outbox,
    pub(crate) metrics: PipelineMetrics,
}

impl Processor {
    /// Runs the jobs of a batch; returns the records to publish, in the order of the entries.
    pub(crate) async fn process(self: Arc<Self>, entries: Vec<Entry>) -> Vec<Record> {
        let started = Instant::now();
        let clock = Timestamp::now();
        let mut jobs = Vec::with_capacity(entries.len());
        let mut waiting = Vec::with_capacity(entries.len());
        for Entry { mut origin, work } in entries {
            let waited = started.duration_since(origin.fetched_at);
            self.metrics.queue_age.observe(micros(origin.sheet.queue_us).as_secs_f64());
            origin.sheet.batch_wait_us = origin.sheet.batch_wait_us.saturating_add(as_micros(waited));
            match work {
                Work::Pass => {}
                Work::Fail(failure) => waiting.push((origin, Some(failure))),
                Work::Run(_) if is_past_deadline(&origin, &clock) => {
                    let failure = self.expired(&origin);
                    waiting.push((origin, Some(failure)));
                }
                Work::Run(job) => {
                    jobs.push(Task::from(job));
                    waiting.push((origin, None));
                }
            }
        }

        let mut outcomes = self.pipeline.run(jobs).await.into_iter();
        let mut records = Vec::with_capacity(waiting.len());
        for (mut origin, failure) in waiting {
            let outcome = match failure {
                Some(failure) => Err(failure),
                None => outcomes.next().expect("the pipeline returns one outcome per job").map_err(|error| {
                    origin.failure(error.stage, error.code, error.message, error.class.is_retriable())
                }),
            };
            self.settle(&mut origin, outcome, &mut records);
        }
        records
    }

    fn settle(&self, origin: &mut Origin, outcome: Result<Processed, Failure>, records: &mut Vec<Record>) {
        match outcome {
            Ok(processed) => self.outbox.succeeded(origin, processed, &self.metrics, records),
            Err(failure) => self.outbox.failed(origin, failure, &self.metrics, records),
        }
    }

    fn expired(&self, origin: &Origin) -> Failure {
        let deadline = origin.headers.deadline.as_ref().map(ToString::to_string).unwrap_or_default();
        let message =
            format!("headers.ce_deadline: {deadline} passed before the job's turn came; nothing was run");
        origin.failure(self.outbox.stage, FailureCode::Expired, message, false)
    }
}

fn is_past_deadline(origin: &Origin, clock: &Timestamp) -> bool {
    origin.headers.deadline.as_ref().is_some_and(|deadline| deadline.unix_micros() <= clock.unix_micros())
}

pub(crate) fn as_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}
