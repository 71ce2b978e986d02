//! Outcomes become records: a result or a failure on `results`, a dead letter beside a failure, or a job for the next stage.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use schemas::{
    DEFAULTED_PARAMETERS, Encoding, Failure, FailureCode, Headers, Job, JobResult, MessageKind, Outcome,
    Retry, RetryDelay, Stage, TimeSheet, Timestamp,
};
use stages::{Processed, Provenance, StageTimes};
use transport::{Header, Record};

use crate::dead_letter;
use crate::fetch::{Origin, micros_between};
use crate::metrics::PipelineMetrics;
use crate::on_failure::tell_failure;
use crate::process::{as_micros, micros};
use crate::topic_limits::TopicLimits;

/// Where this worker's records go, and what is stamped on them.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    pub(crate) pipeline: String,
    /// The first stage of this worker: the one whose topic it reads.
    pub(crate) stage: Stage,
    /// The topic of the stage after the last one here; `None` when this worker ends the pipeline.
    pub(crate) next: Option<Arc<str>>,
    pub(crate) results: Arc<str>,
    pub(crate) dead_letters: Arc<str>,
    /// Where jobs wait to be run again, by [`RetryDelay`].
    pub(crate) retries: [Arc<str>; 3],
    pub(crate) source: String,
    pub(crate) encoding: Encoding,
    pub(crate) provenance: Provenance,
    /// The largest record that each topic takes, headers included.
    pub(crate) limits: TopicLimits,
}

impl Outbox {
    /// A job that came through all stages of this worker.
    ///
    /// # Errors
    /// Its failure, when what it came to cannot be written.
    pub(crate) fn succeeded(
        &self,
        origin: &mut Origin,
        processed: Processed,
        metrics: &PipelineMetrics,
        records: &mut Vec<Record>,
    ) -> Result<(), Failure> {
        let record = match &self.next {
            Some(topic) => self.onward(topic, origin, processed, metrics),
            None => self.result(origin, processed, metrics),
        }?;
        if !self.takes(&record) {
            let message = format!(
                "outcome: {} bytes are more than the {} that {} takes; return fewer or smaller tensors, or raise \
                 limits.max_record_bytes together with the topics' max.message.bytes",
                record.size(),
                self.limits.of(&record.topic),
                record.topic
            );
            return Err(origin.failure(self.stage, FailureCode::TooLarge, message, false));
        }
        tracing::debug!(
            job_id = %origin.id, stage = %self.stage, topic = %origin.received.position.partition.topic,
            partition = origin.received.position.partition.index,
            offset = origin.received.position.offset.get(), to = %record.topic, "job done"
        );
        metrics.settled(if self.next.is_some() { "forwarded" } else { "result" });
        records.push(record);
        Ok(())
    }

    /// A job that ends here as a failure: the terminal record, and the dead letter.
    pub(crate) fn failed(
        &self,
        origin: &mut Origin,
        failure: Failure,
        metrics: &PipelineMetrics,
        records: &mut Vec<Record>,
    ) {
        metrics.dead_lettered(failure.code);
        let max_bytes = self.limits.of(&self.dead_letters);
        let dead_letter = dead_letter::record(&self.dead_letters, origin, &failure, max_bytes);
        self.failed_without_dead_letter(origin, failure, metrics, records);
        records.push(dead_letter);
    }

    /// A job that ends here as a failure, of which the terminal record is all that is kept.
    pub(crate) fn failed_without_dead_letter(
        &self,
        origin: &mut Origin,
        failure: Failure,
        metrics: &PipelineMetrics,
        records: &mut Vec<Record>,
    ) {
        let position = &origin.received.position;
        tracing::warn!(
            job_id = %origin.id, stage = %failure.stage, topic = %position.partition.topic,
            partition = position.partition.index, offset = position.offset.get(), attempt = failure.attempt,
            code = %failure.code, reason = %failure.message, "job failed"
        );
        metrics.settled(failure.code.as_str());
        let body = schemas::encode_outcome(&Outcome::Failure(failure), Encoding::MessagePack)
            .expect("a failure holds only strings and numbers, which MessagePack always takes");
        self.renew(origin, MessageKind::Failure, Encoding::MessagePack);
        let mut terminal = self.record(&self.results, origin, &origin.headers, body);
        if !self.takes(&terminal) {
            // The key or the headers of the job are themselves too large. It must be answered all the same, or no
            // record behind it ever would be: with its id, and nothing else of what the producer wrote.
            let headers = self.headers_of_ours(origin, MessageKind::Failure);
            let body = terminal.value.unwrap_or_default();
            terminal = Record { key: None, ..self.record(&self.results, origin, &headers, body) };
        }
        records.push(terminal);
    }

    /// A job that ends here as a result in place of its failure: the tensors that its pipeline declares, and the job's own
    /// parameters. One that cannot be written is a failure after all.
    pub(crate) fn defaulted(
        &self,
        origin: &mut Origin,
        failure: Failure,
        mut default: Job,
        metrics: &PipelineMetrics,
        records: &mut Vec<Record>,
    ) {
        tell_failure(&failure, &mut default.parameters);
        stamp(origin, &mut default, &StageTimes::default());
        let record = self.result_record(origin, default, Some(failure.code), metrics);
        let Some(record) = record.ok().filter(|record| self.takes(record)) else {
            return self.failed(origin, failure, metrics, records);
        };
        let position = &origin.received.position;
        tracing::warn!(
            job_id = %origin.id, stage = %failure.stage, topic = %position.partition.topic,
            partition = position.partition.index, offset = position.offset.get(), attempt = failure.attempt,
            code = %failure.code, reason = %failure.message, "job failed; its result is the pipeline's default"
        );
        metrics.settled("defaulted");
        records.push(record);
    }

    /// A job that failed for a passing reason: it waits in a retry topic, as it was read, to be run again.
    ///
    /// # Errors
    /// The failure as it was, when the topic does not take the job.
    pub(crate) fn again(
        &self,
        origin: &Origin,
        failure: Failure,
        metrics: &PipelineMetrics,
        records: &mut Vec<Record>,
    ) -> Result<(), Failure> {
        let attempt = origin.attempt();
        let delay = RetryDelay::after(attempt);
        let topic = &self.retries[delay as usize];
        let due = Timestamp::from_unix_micros(
            Timestamp::now().unix_micros().saturating_add(due_in(delay, origin.id.as_str())),
        );
        let retry = Retry { topic: origin.received.record.topic.to_string(), due, code: failure.code };
        // Its id and time are written out: those of a bare record come from where it lies.
        let mut headers = origin.headers.clone();
        headers.attempt = Some(attempt.saturating_add(1));
        let pairs = headers.write().into_iter().chain(retry.write());
        let record = Record {
            topic: Arc::clone(topic),
            key: origin.received.record.key.clone(),
            value: origin.received.record.value.clone(),
            headers: pairs.map(|(name, value)| Header { name, value }).collect(),
        };
        if !self.takes(&record) {
            return Err(failure);
        }
        tracing::info!(
            job_id = %origin.id, stage = %failure.stage, attempt, code = %failure.code, reason = %failure.message,
            wait = delay.as_str(), "job is run again later"
        );
        metrics.settled("retried");
        records.push(record);
        Ok(())
    }

    /// Whether the record's topic takes it.
    pub(crate) fn takes(&self, record: &Record) -> bool {
        fits(record, self.limits.of(&record.topic))
    }

    /// Headers that owe nothing to the producer but the id, so that their size is known.
    fn headers_of_ours(&self, origin: &Origin, kind: MessageKind) -> Headers {
        Headers {
            id: Some(origin.id.clone()),
            kind: Some(kind),
            source: Some(self.source.clone()),
            subject: Some(self.pipeline.clone()),
            attempt: Some(origin.attempt()),
            content_type: Some(Encoding::MessagePack.content_type().to_owned()),
            ..Headers::default()
        }
    }

    fn onward(
        &self,
        topic: &Arc<str>,
        origin: &mut Origin,
        processed: Processed,
        metrics: &PipelineMetrics,
    ) -> Result<Record, Failure> {
        let job = stamped(origin, processed, metrics);
        let body = schemas::encode_job(&job).map_err(|error| self.unencodable(origin, &error))?;
        self.renew(origin, MessageKind::Job, Encoding::MessagePack);
        Ok(self.record(topic, origin, &origin.headers, body))
    }

    fn result(
        &self,
        origin: &mut Origin,
        processed: Processed,
        metrics: &PipelineMetrics,
    ) -> Result<Record, Failure> {
        let mut job = stamped(origin, processed, metrics);
        // That a result is none of the model's is not for a producer to say.
        DEFAULTED_PARAMETERS.iter().for_each(|name| drop(job.parameters.remove(*name)));
        self.result_record(origin, job, None, metrics)
    }

    fn result_record(
        &self,
        origin: &mut Origin,
        job: Job,
        defaulted: Option<FailureCode>,
        metrics: &PipelineMetrics,
    ) -> Result<Record, Failure> {
        let Job { inputs: outputs, parameters } = job;
        metrics.e2e.observe(micros(TimeSheet::read(&parameters).total_us).as_secs_f64());
        self.renew(origin, MessageKind::Result, self.encoding);
        origin.headers.set_defaulted(defaulted);
        let result = JobResult {
            model_name: origin.headers.model.clone().unwrap_or_default(),
            model_version: origin.headers.model_version.clone().unwrap_or_default(),
            outputs,
            parameters,
        };
        let body = schemas::encode_outcome(&Outcome::Result(result), self.encoding)
            .map_err(|error| self.unencodable(origin, &error))?;
        Ok(self.record(&self.results, origin, &origin.headers, body))
    }

    fn unencodable(&self, origin: &Origin, error: &schemas::EncodeError) -> Failure {
        origin.failure(self.stage, FailureCode::Internal, format!("outcome: {error}"), false)
    }

    /// Makes the headers those of the next hop: identity and unknown headers as they came, the rest renewed.
    fn renew(&self, origin: &mut Origin, kind: MessageKind, encoding: Encoding) {
        let attempt = origin.attempt();
        let headers = &mut origin.headers;
        headers.kind = Some(kind);
        headers.source = Some(self.source.clone());
        headers.subject = Some(self.pipeline.clone());
        headers.attempt = Some(attempt);
        headers.content_type = Some(encoding.content_type().to_owned());
        headers.renew_trace(&self.source);
        headers.set_defaulted(None);
        self.stamp_provenance(headers, kind);
    }

    /// Whoever runs the model says which one it was; a later stage leaves that as it is, because its own file may be
    /// another version by now.
    fn stamp_provenance(&self, headers: &mut Headers, kind: MessageKind) {
        let Provenance { model_name, model_version, model_digest, pipeline_digest } = &self.provenance;
        if let Some(digest) = model_digest {
            headers.model = Some(model_name.clone());
            headers.model_version = Some(model_version.clone());
            headers.model_digest = Some(digest.clone());
            headers.pipeline_digest = Some(pipeline_digest.clone());
        } else if kind != MessageKind::Job {
            headers.model.get_or_insert_with(|| model_name.clone());
            headers.model_version.get_or_insert_with(|| model_version.clone());
            headers.pipeline_digest.get_or_insert_with(|| pipeline_digest.clone());
        }
    }

    fn record(&self, topic: &Arc<str>, origin: &Origin, headers: &Headers, body: Bytes) -> Record {
        let headers = headers.write().into_iter().map(|(name, value)| Header { name, value }).collect();
        Record {
            topic: Arc::clone(topic),
            key: origin.received.record.key.clone(),
            value: Some(body),
            headers,
        }
    }
}

fn stamped(origin: &Origin, processed: Processed, metrics: &PipelineMetrics) -> Job {
    let Processed { mut job, times } = processed;
    metrics.ran(&times);
    stamp(origin, &mut job, &times);
    job
}

/// Brings the job's time sheet up to this moment.
fn stamp(origin: &Origin, job: &mut Job, times: &StageTimes) {
    let mut sheet = origin.sheet;
    sheet.preprocess_us = sheet.preprocess_us.saturating_add(as_micros(times.preprocess));
    sheet.inference_us = sheet.inference_us.saturating_add(as_micros(times.inference));
    sheet.postprocess_us = sheet.postprocess_us.saturating_add(as_micros(times.postprocess));
    if times.batch_size > 0 {
        sheet.batch_size = u64::from(times.batch_size);
    }
    if let Some(submitted) = &origin.headers.time {
        sheet.total_us = micros_between(submitted, &Timestamp::now());
    }
    sheet.write(&mut job.parameters);
}

/// Microseconds until a job is due again: the delay, and up to a tenth more, so that jobs that failed together do not
/// come back together. The same job waits equally long on every repeat.
fn due_in(delay: RetryDelay, id: &str) -> i64 {
    let mut hasher = std::hash::DefaultHasher::new();
    id.hash(&mut hasher);
    let delay = i64::try_from(delay.duration().as_micros()).unwrap_or(i64::MAX);
    let jitter = i64::try_from(hasher.finish() % 1_000).unwrap_or(0);
    delay + delay / 10_000 * jitter
}

/// Whether Kafka takes the record: besides its bytes, each header has lengths around it.
pub(crate) fn fits(record: &Record, max_record_bytes: usize) -> bool {
    const AROUND_A_HEADER: usize = 12;
    record.size() + record.headers.len() * AROUND_A_HEADER <= max_record_bytes
}

#[cfg(test)]
mod tests;
