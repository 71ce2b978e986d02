//! Who a job is: its identity on every hop.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A job's id and idempotency key: 1 to 256 bytes of text without control characters. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Arc<str>);

impl JobId {
    /// The longest id, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// An id with this text.
    ///
    /// # Errors
    ///
    /// If it is empty, too long, or holds a control character.
    pub fn new(text: impl AsRef<str>) -> Result<Self, JobIdError> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(JobIdError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(JobIdError::TooLong(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(JobIdError::Control);
        }
        Ok(Self(text.into()))
    }

    /// A new id: a UUIDv7, so ids sort by the time they were made.
    pub fn random() -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text: &str = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
        Self(text.into())
    }

    /// The id of a record that carries none: where it lies, `<topic>/<partition>/<offset>`, so that a redelivery has the
    /// same id. A topic name too long for that is cut and told apart by a hash.
    pub fn from_position(topic: &str, partition: i32, offset: i64) -> Self {
        let text = format!("{topic}/{partition}/{offset}");
        Self::new(&text).unwrap_or_else(|_| {
            let kept: String = topic.chars().filter(char::is_ascii_graphic).take(200).collect();
            Self(format!("{kept}~{:016x}/{partition}/{offset}", fnv1a(topic.as_bytes())).into())
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// FNV-1a with 64 bits: tells topics apart, no more is asked of it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({})", self.0)
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for JobId {
    fn schema_name() -> Cow<'static, str> {
        "JobId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": JobId::MAX_BYTES })
    }
}

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JobIdError {
    /// No text at all.
    #[error("is empty")]
    Empty,
    /// More bytes than an id may have.
    #[error("has {0} bytes, more than 256")]
    TooLong(usize),
    /// A control character, which would break lines of logs.
    #[error("holds a control character")]
    Control,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<(), JobIdError>) {
        assert_eq!(JobId::new(text).map(|id| assert_eq!(id.as_str(), text)), expect);
    }

    #[test]
    fn bounds() {
        check("a", Ok(()));
        check(&"a".repeat(256), Ok(()));
        check(&"a".repeat(257), Err(JobIdError::TooLong(257)));
        check("", Err(JobIdError::Empty));
        check("a\nb", Err(JobIdError::Control));
        check("topic/0/12 é", Ok(()));
    }

    #[test]
    fn random_ids_are_uuid_v7_and_differ() {
        let (a, b) = (JobId::random(), JobId::random());
        assert_ne!(a, b);
        assert_eq!(a.as_str().parse::<Uuid>().unwrap().get_version_num(), 7);
    }

    #[test]
    fn positions_are_stable_and_always_ids() {
        assert_eq!(JobId::from_position("t", 3, 14).as_str(), "t/3/14");
        let long = "x".repeat(249);
        let (id, other) = (
            JobId::from_position(&long, i32::MAX, i64::MAX),
            JobId::from_position(&long[1..], i32::MAX, i64::MAX),
        );
        assert_ne!(id, other);
        assert_eq!(JobId::new(id.as_str()), Ok(id));
    }
}
