//! A record enters librdkafka's memory.

use rdkafka::message::{Header as NativeHeader, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::util::IntoOpaque;

use crate::record::Record;

/// The record as librdkafka wants it; `opaque` comes back with its delivery report.
pub(crate) fn attach<O: IntoOpaque>(record: &Record, opaque: O) -> BaseRecord<'_, [u8], [u8], O> {
    let mut native = BaseRecord::<[u8], [u8], O>::with_opaque_to(&record.topic, opaque);
    native.key = record.key.as_deref();
    native.payload = record.value.as_deref();
    if !record.headers.is_empty() {
        native.headers = Some(headers(record));
    }
    native
}

fn headers(record: &Record) -> OwnedHeaders {
    record.headers.iter().fold(OwnedHeaders::new_with_capacity(record.headers.len()), |headers, header| {
        headers.insert(NativeHeader { key: &header.name, value: header.value.as_deref() })
    })
}
