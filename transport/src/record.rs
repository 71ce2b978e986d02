//! What travels: a record, where it lies, and the only `+ 1` on offsets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// One header of a record. Names may repeat, and a value may be empty or absent (null); both are kept as they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// The header's name.
    pub name: Cow<'static, str>,
    /// The header's value; `None` is Kafka's null, which differs from an empty value.
    pub value: Option<Bytes>,
}

impl Header {
    /// A header with a value.
    pub fn new(name: impl Into<Cow<'static, str>>, value: impl Into<Bytes>) -> Self {
        Self { name: name.into(), value: Some(value.into()) }
    }
}

/// Shows the length of the value only: headers of strangers may hold anything.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}: {} bytes", self.name, value.len()),
            None => write!(f, "{}: null", self.name),
        }
    }
}

/// What is published: a topic, and bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic it goes to, or came from.
    pub topic: Arc<str>,
    /// Records of one key share a partition and keep their order; without a key any partition will do.
    pub key: Option<Bytes>,
    /// The payload.
    pub value: Option<Bytes>,
    /// Headers in the order in which they are written.
    pub headers: Vec<Header>,
}

impl Record {
    /// A record without key and headers.
    pub fn new(topic: impl Into<Arc<str>>, value: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), key: None, value: Some(value.into()), headers: Vec::new() }
    }

    /// The same record with a key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same record with one header more.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Bytes>) -> Self {
        self.headers.push(Header::new(name, value));
        self
    }

    /// Bytes of key, value and headers: what limits on memory count.
    pub fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, Bytes::len)).sum();
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len) + headers
    }
}

/// Shows lengths only, so that no payload reaches a log line through `{:?}`.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("topic", &self.topic)
            .field("key_bytes", &self.key.as_ref().map(Bytes::len))
            .field("value_bytes", &self.value.as_ref().map(Bytes::len))
            .field("headers", &self.headers)
            .finish()
    }
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: Arc<str>,
    /// The number of the partition within it, from 0.
    pub index: i32,
}

impl Partition {
    /// Partition `index` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, index: i32) -> Self {
        Self { topic: topic.into(), index }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.index)
    }
}

/// The place of a record within its partition.
///
/// Kafka's committed offset is that of the *next* record to read; [`Offset::next`] is the only place of this
/// project where one is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(i64);

impl Offset {
    /// The first place of a partition that never lost a record to retention.
    pub const ZERO: Self = Self(0);

    /// The offset as Kafka counts it.
    pub fn new(value: i64) -> Self {
        Self(value)
    }

    /// The number itself.
    pub fn get(self) -> i64 {
        self.0
    }

    /// The offset after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where one record lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The offset of the record itself, not of the one after it.
    pub offset: Offset,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What was read.
    pub record: Record,
    /// Where it was read.
    pub position: Position,
    /// The record's time in milliseconds since 1970, where the broker has one.
    pub timestamp_ms: Option<i64>,
}
