//! One batch: its jobs go through the pipeline together, and each entry becomes the records that settle it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::{Failure, FailureCode, Job, Parameters, Timestamp};
use stages::{FailureClass, JobError, Pipeline, Processed, Task};
use transport::Record;

use crate::answers::Answers;
use crate::breaker::Evidence;
use crate::cancellations::Cancellations;
use crate::fetch::{Entry, Origin, Work};
use crate::metrics::PipelineMetrics;
use crate::on_failure::{Policies, Policy, StoppedAt};
use crate::publish::Outbox;
use crate::worker::WorkerError;

/// What every batch of this worker goes through.
#[derive(Clone)]
pub(crate) struct Processor {
    pub(crate) pipeline: Pipeline,
    pub(crate) outbox: Outbox,
    pub(crate) metrics: PipelineMetrics,
    pub(crate) cancellations: Cancellations,
    /// How often a job is run at most, when it fails for reasons that pass.
    pub(crate) max_attempts: u32,
    /// What becomes of a job that is not run again.
    pub(crate) on_failure: Policies,
}

/// What a batch came to.
pub(crate) struct Finished {
    pub(crate) answers: Answers,
    /// What its jobs tell about the world around them.
    pub(crate) evidence: Vec<Evidence>,
}

impl Processor {
    /// Runs the jobs of a batch and answers each of its entries, in their order.
    ///
    /// # Errors
    /// [`WorkerError::Model`] when the model cannot be run any more, and [`WorkerError::Stopped`] when a job failed in a
    /// stage that is declared to stop then: nothing of the batch is answered.
    pub(crate) async fn process(self: Arc<Self>, entries: Vec<Entry>) -> Result<Finished, WorkerError> {
        let started = Instant::now();
        let clock = Timestamp::now();
        let mut jobs = Vec::with_capacity(entries.len());
        let mut waiting = Vec::with_capacity(entries.len());
        let keeps_parameters = self.on_failure.have_a_default();
        for Entry { mut origin, work } in entries {
            let waited = started.duration_since(origin.fetched_at);
            self.metrics.queue_age.observe(micros(origin.sheet.queue_us).as_secs_f64());
            origin.sheet.batch_wait_us = origin.sheet.batch_wait_us.saturating_add(as_micros(waited));
            match work {
                Work::Pass => {}
                Work::Run(_) if is_past_deadline(&origin, &clock) => {
                    let failure = self.expired(&origin);
                    waiting.push((origin, Parameters::new(), Some(failure)));
                }
                // Of a record that cannot be read too: it may be what a worker stops at.
                Work::Run(_) | Work::Fail(_) if self.is_cancelled(&origin) => {
                    let failure = self.cancelled(&origin);
                    waiting.push((origin, Parameters::new(), Some(failure)));
                }
                Work::Fail(failure) => waiting.push((origin, Parameters::new(), Some(failure))),
                Work::Run(job) => {
                    // Running a job uses it up, and a default has what the producer wrote beside the tensors.
                    let kept = if keeps_parameters { job.parameters.clone() } else { Parameters::new() };
                    jobs.push(Task { job, deadline: origin.headers.deadline.clone() });
                    waiting.push((origin, kept, None));
                }
            }
        }

        let outcomes = self.pipeline.run(jobs).await;
        if let Some(reason) = outcomes.iter().find_map(fatal) {
            return Err(WorkerError::Model { reason });
        }
        let mut outcomes = outcomes.into_iter();
        let clock = Timestamp::now();
        let mut answers = Answers::with_capacity(waiting.len());
        let mut evidence = Vec::with_capacity(waiting.len());
        for (mut origin, parameters, failure) in waiting {
            let outcome = match failure {
                Some(failure) => Err((failure, false)),
                None => {
                    let outcome = outcomes.next().expect("the pipeline returns one outcome per job");
                    evidence.push(evidence_of(&outcome));
                    self.judge(&origin, outcome, &clock)
                }
            };
            let partition = origin.received.position.partition.clone();
            answers.answer(&partition, |records| {
                let written = match outcome {
                    Ok(processed) => self.outbox.succeeded(&mut origin, processed, &self.metrics, records),
                    Err((failure, true)) => self.outbox.again(&origin, failure, &self.metrics, records),
                    Err((failure, false)) => Err(failure),
                };
                written.or_else(|failure| self.fail(&mut origin, failure, parameters, records))
            })?;
        }
        Ok(Finished { answers, evidence })
    }

    /// Answers a record that is not a job to run, like one of a job topic that cannot be read.
    ///
    /// # Errors
    /// [`WorkerError::Stopped`] where that is declared for the stage of the failure.
    pub(crate) fn refuse(
        &self,
        mut origin: Origin,
        failure: Failure,
        records: &mut Vec<Record>,
    ) -> Result<(), WorkerError> {
        let failure = if self.is_cancelled(&origin) { self.cancelled(&origin) } else { failure };
        self.fail(&mut origin, failure, Parameters::new(), records)
    }

    /// A job that is not run again becomes what its pipeline declares.
    fn fail(
        &self,
        origin: &mut Origin,
        failure: Failure,
        parameters: Parameters,
        records: &mut Vec<Record>,
    ) -> Result<(), WorkerError> {
        let (outbox, metrics) = (&self.outbox, &self.metrics);
        match self.on_failure.of(&failure) {
            Policy::DeadLetter => outbox.failed(origin, failure, metrics, records),
            Policy::Skip => outbox.failed_without_dead_letter(origin, failure, metrics, records),
            Policy::Stop => {
                let (id, position) = (origin.id.clone(), origin.received.position.clone());
                let at = StoppedAt { pipeline: outbox.pipeline.clone(), id, position, failure };
                return Err(WorkerError::Stopped(Box::new(at)));
            }
            Policy::Default(tensors) => {
                let default = Job { inputs: tensors.clone(), parameters };
                outbox.defaulted(origin, failure, default, metrics, records);
            }
        }
        Ok(())
    }

    /// What is to be made of an outcome: its result, or its failure and whether it is run again.
    fn judge(
        &self,
        origin: &Origin,
        outcome: Result<Processed, JobError>,
        clock: &Timestamp,
    ) -> Result<Processed, (Failure, bool)> {
        match outcome {
            Ok(_) if is_past_deadline(origin, clock) => Err((self.expired(origin), false)),
            Ok(processed) => Ok(processed),
            Err(error) => {
                let again = error.is_retriable() && origin.attempt() < self.max_attempts;
                let JobError { stage, code, message, class } = error;
                Err((origin.failure(stage, code, message, class.is_retriable()), again))
            }
        }
    }

    fn is_cancelled(&self, origin: &Origin) -> bool {
        self.cancellations.is_cancelled(&origin.id, origin.headers.batch_id.as_deref())
    }

    fn cancelled(&self, origin: &Origin) -> Failure {
        let message = "it was withdrawn before its turn came in this stage";
        origin.failure(self.outbox.stage, FailureCode::Cancelled, message, false)
    }

    fn expired(&self, origin: &Origin) -> Failure {
        let deadline = origin.headers.deadline.as_ref().map(ToString::to_string).unwrap_or_default();
        let message =
            format!("headers.ce_deadline: {deadline} passed before the job's outcome could be published");
        origin.failure(self.outbox.stage, FailureCode::Expired, message, false)
    }
}

fn fatal(outcome: &Result<Processed, JobError>) -> Option<String> {
    match outcome {
        Err(JobError { class: FailureClass::Fatal, message, .. }) => Some(message.clone()),
        _ => None,
    }
}

fn evidence_of(outcome: &Result<Processed, JobError>) -> Evidence {
    match outcome {
        Ok(_) => Evidence::Works,
        Err(error) => Evidence::of_failure(error.code, error.is_retriable()),
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
