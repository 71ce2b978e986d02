//! What was in a dead letter, for people.

use bytes::Bytes;
use schemas::{DecodeError, Encoding, Job, Limits};

use super::letter::DeadLetter;

/// What was in a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Tensors and parameters.
    Job(Job),
    /// A raw payload that is text.
    Text(String),
    /// A raw payload that is not.
    Binary(Bytes),
    /// Bytes that are not what their content type says, and why.
    Undecodable(Bytes, DecodeError),
    /// No value: there was none, or it was left out because it was too large.
    Missing,
}

impl Payload {
    /// Decodes the value of a dead letter. What was refused for its size is decoded all the same.
    pub fn of(letter: &DeadLetter) -> Self {
        let Some(value) = letter.record.value.clone() else { return Self::Missing };
        let content_type = letter.headers.content_type.as_deref();
        let limits = Limits { max_record_bytes: usize::MAX, ..Limits::default().of_hops() };
        let is_raw = Encoding::of_content_type(content_type).is_none();
        if is_raw {
            return Self::of_raw(value);
        }
        match schemas::decode_job(content_type, &value, &limits) {
            // JSON that is no job.
            Ok(job) => match job.raw_payload() {
                Some(raw) if raw == value => Self::of_raw(raw),
                _ => Self::Job(job),
            },
            Err(error) => Self::Undecodable(value, error),
        }
    }

    fn of_raw(value: Bytes) -> Self {
        let is_printable = |text: &str| text.chars().all(|c| !c.is_control() || c.is_whitespace());
        match std::str::from_utf8(&value) {
            Ok(text) if is_printable(text) => Self::Text(text.to_owned()),
            _ => Self::Binary(value),
        }
    }
}
