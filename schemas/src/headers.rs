//! Headers of a record: CloudEvents 1.0 in binary mode, W3C trace context, and provenance of a result.

use std::borrow::Cow;
use std::fmt::{self, Write};

use bytes::Bytes;
use schemars::JsonSchema;

use crate::dead_letter::ERROR_HEADER_PREFIX;
use crate::error::quoted;
use crate::retry::RETRY_HEADER_PREFIX;
use crate::{DecodeError, JobId, MessageKind, Timestamp, TraceContext, marks};

/// The name and value of one header, as they go into a record.
pub type HeaderPair = (Cow<'static, str>, Option<Bytes>);

const SPEC_VERSION: &str = "ce_specversion";
const ID: &str = "ce_id";
const TYPE: &str = "ce_type";
const SOURCE: &str = "ce_source";
const SUBJECT: &str = "ce_subject";
const TIME: &str = "ce_time";
const DEADLINE: &str = "ce_deadline";
const BATCH_ID: &str = "ce_batchid";
const ATTEMPT: &str = "ce_attempt";
const REPLY_TO: &str = "ce_replyto";
const PRIORITY: &str = "ce_priority";
const CONTENT_TYPE: &str = "content-type";
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const MODEL: &str = "ms_model";
const MODEL_VERSION: &str = "ms_model_version";
const MODEL_DIGEST: &str = "ms_model_digest";
const PIPELINE_DIGEST: &str = "ms_pipeline_digest";

/// Every header of ours, in the order they are written.
const NAMES: [&str; 18] = [
    SPEC_VERSION,
    ID,
    TYPE,
    SOURCE,
    SUBJECT,
    TIME,
    DEADLINE,
    BATCH_ID,
    ATTEMPT,
    REPLY_TO,
    PRIORITY,
    CONTENT_TYPE,
    TRACEPARENT,
    TRACESTATE,
    MODEL,
    MODEL_VERSION,
    MODEL_DIGEST,
    PIPELINE_DIGEST,
];

/// The only version of CloudEvents there is.
const CLOUD_EVENTS_VERSION: &str = "1.0";

/// Everything the headers of a record say. Headers of other projects pass through in [`Headers::unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[schemars(description = "The headers of a record. Others pass through unchanged.", transform = marks::describe)]
pub struct Headers {
    /// The job's id and idempotency key, unchanged on every hop.
    #[schemars(rename = "ce_id")]
    pub id: Option<JobId>,
    /// What the record is. A record without it on a job topic is a job.
    #[schemars(rename = "ce_type")]
    pub kind: Option<MessageKind>,
    /// URI reference of the writer.
    #[schemars(rename = "ce_source")]
    pub source: Option<String>,
    /// The pipeline.
    #[schemars(rename = "ce_subject")]
    pub subject: Option<String>,
    /// When the job was submitted, RFC 3339; unchanged on every hop.
    #[schemars(rename = "ce_time")]
    pub time: Option<Timestamp>,
    /// Past it the job is not run, RFC 3339.
    #[schemars(rename = "ce_deadline")]
    pub deadline: Option<Timestamp>,
    /// Groups jobs submitted together.
    #[schemars(rename = "ce_batchid")]
    pub batch_id: Option<String>,
    /// 1 on the first run, one more each time it is run again from a retry topic; decimal digits.
    #[schemars(rename = "ce_attempt", with = "Option<String>", regex(pattern = r"^[1-9][0-9]*$"))]
    pub attempt: Option<u32>,
    /// Reserved.
    #[schemars(rename = "ce_replyto")]
    pub reply_to: Option<String>,
    /// Reserved.
    #[schemars(rename = "ce_priority")]
    pub priority: Option<String>,
    /// How the body is written.
    #[schemars(rename = "content-type")]
    pub content_type: Option<String>,
    /// W3C trace context, renewed on every hop, to the same span when the hop is repeated. Kept as it came: one that cannot be read is no fault.
    pub traceparent: Option<String>,
    /// W3C trace state, passed on with the trace.
    pub tracestate: Option<String>,
    /// The model that computed a result.
    #[schemars(rename = "ms_model")]
    pub model: Option<String>,
    /// Its version.
    #[schemars(rename = "ms_model_version")]
    pub model_version: Option<String>,
    /// SHA-256 of its file, in hexadecimal.
    #[schemars(rename = "ms_model_digest")]
    pub model_digest: Option<String>,
    /// SHA-256 of the pipeline's declaration, in hexadecimal.
    #[schemars(rename = "ms_pipeline_digest")]
    pub pipeline_digest: Option<String>,
    /// Headers the project does not know, in the order they came, repeated ones too.
    #[schemars(skip)]
    pub unknown: Vec<(String, Option<Bytes>)>,
}

impl Headers {
    /// Reads the headers of a record. It never fails: what can be read is read, what cannot is left out, and the first
    /// fault stands beside it and makes the job `invalid_input`. A header of ours that comes twice is a fault, except
    /// trace context, where the last one counts. Headers of an older dead letter or of a retry are left out.
    ///
    /// ```
    /// use schemas::Headers;
    ///
    /// let pairs = [("ce_id", Some(b"a-17".as_slice())), ("ce_attempt", Some(b"soon"))];
    /// let (headers, fault) = Headers::read(pairs);
    /// assert_eq!(headers.id.expect("readable").as_str(), "a-17");
    /// assert_eq!(fault.expect("not a number").path, "headers.ce_attempt");
    /// ```
    pub fn read<'a>(
        pairs: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> (Self, Option<DecodeError>) {
        let mut headers = Self::default();
        let mut first_fault = None;
        let mut seen = 0_u32;
        for (name, value) in pairs {
            let Some(index) = NAMES.iter().position(|known| *known == name) else {
                // They are about a record that lay elsewhere, and this one has left there.
                if !name.starts_with(ERROR_HEADER_PREFIX) && !name.starts_with(RETRY_HEADER_PREFIX) {
                    headers.unknown.push((name.to_owned(), value.map(Bytes::copy_from_slice)));
                }
                continue;
            };
            let repeated = seen & 1 << index != 0;
            seen |= 1 << index;
            if let Err(fault) = headers.take(NAMES[index], value, repeated) {
                first_fault.get_or_insert(fault);
            }
        }
        (headers, first_fault)
    }

    fn take(&mut self, name: &'static str, value: Option<&[u8]>, repeated: bool) -> Result<(), DecodeError> {
        let header = Header { name, value, repeated };
        let text = |text: &str| Ok::<_, DecodeError>(text.to_owned());
        match name {
            SPEC_VERSION => header.into_slot(&mut None, |text| match text {
                CLOUD_EVENTS_VERSION => Ok(()),
                _ => Err(format!("is {}, not \"{CLOUD_EVENTS_VERSION}\"", quoted(text))),
            }),
            ID => header.into_slot(&mut self.id, JobId::new),
            TYPE => header.into_slot(&mut self.kind, str::parse),
            SOURCE => header.into_slot(&mut self.source, text),
            SUBJECT => header.into_slot(&mut self.subject, text),
            TIME => header.into_slot(&mut self.time, str::parse),
            DEADLINE => header.into_slot(&mut self.deadline, str::parse),
            BATCH_ID => header.into_slot(&mut self.batch_id, text),
            ATTEMPT => header.into_slot(&mut self.attempt, parse_attempt),
            REPLY_TO => header.into_slot(&mut self.reply_to, text),
            PRIORITY => header.into_slot(&mut self.priority, text),
            CONTENT_TYPE => header.into_slot(&mut self.content_type, text),
            TRACEPARENT => header.last().into_slot(&mut self.traceparent, text),
            TRACESTATE => header.last().into_slot(&mut self.tracestate, text),
            MODEL => header.into_slot(&mut self.model, text),
            MODEL_VERSION => header.into_slot(&mut self.model_version, text),
            MODEL_DIGEST => header.into_slot(&mut self.model_digest, text),
            PIPELINE_DIGEST => header.into_slot(&mut self.pipeline_digest, text),
            _ => unreachable!("every name of NAMES has an arm"),
        }
    }

    /// The headers as they go into a record: ours first, then the unknown ones as they came.
    pub fn write(&self) -> Vec<HeaderPair> {
        let mut writer = HeaderWriter::default();
        writer.put(SPEC_VERSION, CLOUD_EVENTS_VERSION);
        writer.put_some(ID, self.id.as_ref().map(JobId::as_str));
        writer.put_some(TYPE, self.kind.map(MessageKind::as_str));
        writer.put_some(SOURCE, self.source.as_deref());
        writer.put_some(SUBJECT, self.subject.as_deref());
        writer.put_some(TIME, self.time.as_ref().map(Timestamp::as_str));
        writer.put_some(DEADLINE, self.deadline.as_ref().map(Timestamp::as_str));
        writer.put_some(BATCH_ID, self.batch_id.as_deref());
        if let Some(attempt) = self.attempt {
            writer.put_display(ATTEMPT, attempt);
        }
        writer.put_some(REPLY_TO, self.reply_to.as_deref());
        writer.put_some(PRIORITY, self.priority.as_deref());
        writer.put_some(CONTENT_TYPE, self.content_type.as_deref());
        writer.put_some(TRACEPARENT, self.traceparent.as_deref());
        writer.put_some(TRACESTATE, self.tracestate.as_deref());
        writer.put_some(MODEL, self.model.as_deref());
        writer.put_some(MODEL_VERSION, self.model_version.as_deref());
        writer.put_some(MODEL_DIGEST, self.model_digest.as_deref());
        writer.put_some(PIPELINE_DIGEST, self.pipeline_digest.as_deref());
        let mut pairs = writer.finish();
        pairs.extend(self.unknown.iter().map(|(name, value)| (Cow::Owned(name.clone()), value.clone())));
        pairs
    }

    /// Continues the trace with the span of this hop, which its `ce_source` names, and returns that span. Without a trace
    /// that can be read, the trace of the job starts, and the state of the old one is dropped.
    ///
    /// The same headers and hop always come to the same span: a repeat is the same bytes.
    pub fn renew_trace(&mut self, hop: &str) -> TraceContext {
        let next = match self.traceparent.as_deref().and_then(TraceContext::parse) {
            Some(parent) => parent.child(hop),
            None => {
                self.tracestate = None;
                self.id.as_ref().map_or_else(TraceContext::random, |id| TraceContext::of_job(id, hop))
            }
        };
        self.traceparent = Some(next.to_string());
        next
    }
}

/// One header of ours on its way into its field.
struct Header<'a> {
    name: &'static str,
    value: Option<&'a [u8]>,
    repeated: bool,
}

impl<'a> Header<'a> {
    /// The header, whatever came before it.
    fn last(self) -> Self {
        Self { repeated: false, ..self }
    }

    fn into_slot<T, E: fmt::Display>(
        self,
        slot: &mut Option<T>,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<(), DecodeError> {
        *slot = None;
        let fault = |message: String| DecodeError::invalid(format!("headers.{}", self.name), message);
        if self.repeated {
            return Err(fault("comes twice".to_owned()));
        }
        let text = text_of(self.name, self.value)?;
        *slot = Some(parse(text).map_err(|error| fault(error.to_string()))?);
        Ok(())
    }
}

/// The text of one of our headers.
pub(crate) fn text_of<'a>(name: &'static str, value: Option<&'a [u8]>) -> Result<&'a str, DecodeError> {
    let fault = |message| DecodeError::invalid(format!("headers.{name}"), message);
    let bytes = value.ok_or_else(|| fault("has no value"))?;
    std::str::from_utf8(bytes).map_err(|_| fault("is not UTF-8"))
}

fn parse_attempt(text: &str) -> Result<u32, &'static str> {
    // What other spellings `parse` takes would not be written back as they came.
    if text.starts_with(['0', '+']) {
        return Err("is not a whole number from 1");
    }
    text.parse().map_err(|_| "is not a whole number from 1")
}

/// Collects header values in one buffer, so that a record's headers cost two allocations and not one each.
pub(crate) struct HeaderWriter {
    text: String,
    ends: Vec<(&'static str, usize)>,
}

/// Room for the headers of a result of this project, so that the buffers seldom grow.
impl Default for HeaderWriter {
    fn default() -> Self {
        Self { text: String::with_capacity(512), ends: Vec::with_capacity(NAMES.len()) }
    }
}

impl HeaderWriter {
    pub(crate) fn put(&mut self, name: &'static str, value: &str) {
        self.text.push_str(value);
        self.ends.push((name, self.text.len()));
    }

    fn put_some(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    pub(crate) fn put_display(&mut self, name: &'static str, value: impl fmt::Display) {
        write!(self.text, "{value}").expect("writing into a string does not fail");
        self.ends.push((name, self.text.len()));
    }

    pub(crate) fn finish(self) -> Vec<HeaderPair> {
        let text = Bytes::from(self.text);
        let mut start = 0;
        let mut pairs = Vec::with_capacity(self.ends.len());
        for (name, end) in self.ends {
            pairs.push((Cow::Borrowed(name), Some(text.slice(start..end))));
            start = end;
        }
        pairs
    }
}

#[cfg(test)]
mod tests;
