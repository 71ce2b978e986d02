//! A submission becomes a record: its topic, its body, and the headers that the contract asks of a producer.

use std::sync::Arc;

use schemas::{Encoding, Headers, JobId, MessageKind, Stage, Timestamp};
use transport::{Header, Record};

use crate::client::ClientOptions;
use crate::error::Rejection;
use crate::submission::{Payload, Submission};

/// What all records of one client have in common.
#[derive(Debug)]
pub(crate) struct Envelope {
    pipeline: String,
    source: String,
    topics: [(Stage, Arc<str>); 3],
    max_record_bytes: usize,
}

impl Envelope {
    pub(crate) fn new(options: &ClientOptions) -> Self {
        Self {
            pipeline: options.pipeline.clone(),
            source: format!("/millstream/producer/{}", uri_segment(&options.name)),
            topics: Stage::ALL.map(|stage| (stage, options.topics.of_stage(stage).into())),
            max_record_bytes: options.limits.max_record_bytes,
        }
    }

    /// The record of a job under its id.
    pub(crate) fn record(&self, id: &JobId, submission: Submission) -> Result<Record, Rejection> {
        if let Some(name) = reserved(&submission.headers) {
            return Err(Rejection::ReservedHeader(name));
        }
        let (content_type, body) = match submission.payload {
            Payload::Job(job) => {
                let body = schemas::encode_job(&job)?;
                (Some(Encoding::MessagePack.content_type().to_owned()), body)
            }
            Payload::Raw { content_type, body } => (content_type, body),
        };
        let mut headers = Headers {
            id: Some(id.clone()),
            kind: Some(MessageKind::Job),
            source: Some(self.source.clone()),
            subject: Some(self.pipeline.clone()),
            time: Some(Timestamp::now()),
            deadline: submission.deadline,
            batch_id: submission.batch_id,
            content_type,
            traceparent: submission.traceparent,
            tracestate: submission.tracestate,
            unknown: submission.headers,
            ..Headers::default()
        };
        headers.renew_trace(&self.source);
        let headers = headers.write().into_iter().map(|(name, value)| Header { name, value }).collect();
        let topic = Arc::clone(self.topic(submission.stage));
        let record = Record { topic, key: submission.key, value: Some(body), headers };
        let bytes = record.size();
        if bytes > self.max_record_bytes {
            return Err(Rejection::TooLarge { bytes, limit: self.max_record_bytes });
        }
        Ok(record)
    }

    /// Who writes.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    fn topic(&self, stage: Stage) -> &Arc<str> {
        let of_stage = self.topics.iter().find(|(named, _)| *named == stage);
        &of_stage.expect("every stage has a topic").1
    }
}

/// The first header whose name means something to the contract. What the contract does not know comes back as unknown,
/// so there is no second list of names here, but for the marks that workers and replays let ride among them.
fn reserved(headers: &[(String, Option<bytes::Bytes>)]) -> Option<String> {
    const MARKS: [&str; 2] = [schemas::REPLAY_COUNT_HEADER, schemas::DEFAULTED_HEADER];
    let is_known = |name: &str| {
        MARKS.contains(&name) || Headers::read([(name, Some(b"".as_slice()))]).0.unknown.is_empty()
    };
    headers.iter().map(|(name, _)| name).find(|name| is_known(name)).cloned()
}

/// A name as one segment of a URI reference: what may not stand there is percent-encoded.
fn uri_segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

#[cfg(test)]
mod tests;
