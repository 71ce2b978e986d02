//! A record leaves librdkafka's memory: everything into one buffer of its own.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message};

use crate::record::{Header, Offset, Partition, Position, Received, Record};

/// Stands in for a header name that is not UTF-8, which Kafka's protocol forbids but no broker checks.
const UNREADABLE_NAME: &str = "\u{fffd}";

/// Room for the values of the headers, in bytes; more is made where it is needed.
const HEADERS_EXPECTED: usize = 512;

/// Remembers topic names, so that a record carries a counted reference rather than a copy.
#[derive(Debug, Default)]
pub(crate) struct TopicNames(Vec<Arc<str>>);

impl TopicNames {
    fn of(&mut self, topic: &str) -> Arc<str> {
        if let Some(name) = self.0.iter().find(|name| ***name == *topic) {
            return name.clone();
        }
        let name: Arc<str> = topic.into();
        self.0.push(name.clone());
        name
    }
}

/// Copies a record out of librdkafka's memory.
///
/// A borrowed message keeps the whole fetched batch alive, so this is done at once. Key, value and header values share
/// one allocation.
pub(crate) fn detach(message: &BorrowedMessage<'_>, names: &mut TopicNames) -> Received {
    let topic = names.of(message.topic());
    let expected = message.key_len() + message.payload_len() + HEADERS_EXPECTED;
    let mut copies = Copies { buffer: BytesMut::with_capacity(expected) };
    let key = message.key().map(|key| copies.add(key));
    let value = message.payload().map(|value| copies.add(value));
    let headers: Vec<(Cow<'static, str>, Option<Span>)> = message
        .headers()
        .map(|headers| {
            (0..headers.count())
                .map(|at| {
                    read_header(headers, at, |name, value| {
                        (Cow::Owned(name.to_owned()), value.map(|value| copies.add(value)))
                    })
                    .unwrap_or((Cow::Borrowed(UNREADABLE_NAME), None))
                })
                .collect()
        })
        .unwrap_or_default();
    let buffer = copies.buffer.freeze();
    let bytes = |span: Span| span.of(&buffer);
    let record = Record {
        topic: topic.clone(),
        key: key.map(bytes),
        value: value.map(bytes),
        headers: headers.into_iter().map(|(name, value)| Header { name, value: value.map(bytes) }).collect(),
    };
    Received {
        record,
        position: Position {
            partition: Partition { topic, index: message.partition() },
            offset: Offset::new(message.offset()),
        },
        timestamp_ms: message.timestamp().to_millis(),
    }
}

// rdkafka panics on a header name that is not UTF-8, and a stranger's record must not end the poll thread.
fn read_header<T>(
    headers: &BorrowedHeaders,
    at: usize,
    read: impl FnOnce(&str, Option<&[u8]>) -> T,
) -> Option<T> {
    let header = catch_unwind(AssertUnwindSafe(|| headers.try_get(at))).ok().flatten()?;
    Some(read(header.key, header.value))
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn of(self, buffer: &Bytes) -> Bytes {
        buffer.slice(self.start..self.end)
    }
}

struct Copies {
    buffer: BytesMut,
}

impl Copies {
    fn add(&mut self, bytes: &[u8]) -> Span {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        Span { start, end: self.buffer.len() }
    }
}
