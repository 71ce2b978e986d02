//! The dead letter of a failed job: the record as it was read, key, value and headers unchanged, with the reason in headers.

use std::sync::Arc;

use schemas::{DeadLetterReason, Failure, Timestamp};
use transport::{Header, Record};

use crate::fetch::Origin;
use crate::publish::fits;

/// Builds the dead letter. One that its topic could not take whole loses its value, and if that is not enough its key and
/// its headers, and says so in `ms_error_message`: a record that can never be written would hold up its partition for ever.
pub(crate) fn record(
    topic: &Arc<str>,
    origin: &Origin,
    failure: &Failure,
    max_record_bytes: usize,
) -> Record {
    let original = &origin.received.record;
    let whole = with_reason(topic, original, &reason(origin, failure, None));
    if fits(&whole, max_record_bytes) {
        return whole;
    }
    let value_bytes = original.value.as_ref().map_or(0, bytes::Bytes::len);
    let left_out = format!("value of {value_bytes} bytes left out");
    let without_value = Record { value: None, ..original.clone() };
    let shortened = with_reason(topic, &without_value, &reason(origin, failure, Some(&left_out)));
    if fits(&shortened, max_record_bytes) {
        return shortened;
    }
    let left_out = format!("value of {value_bytes} bytes, key and headers left out");
    let bare = Record { key: None, value: None, headers: vec![id(origin)], topic: Arc::clone(topic) };
    with_reason(topic, &bare, &reason(origin, failure, Some(&left_out)))
}

/// The identity survives whatever else is left out.
fn id(origin: &Origin) -> Header {
    Header::new("ce_id", origin.id.to_string())
}

fn reason(origin: &Origin, failure: &Failure, left_out: Option<&str>) -> DeadLetterReason {
    let position = &origin.received.position;
    DeadLetterReason {
        code: failure.code,
        message: match left_out {
            // In front, because a long message is cut at its end.
            Some(left_out) => format!("({left_out}: too large for this topic) {}", failure.message),
            None => failure.message.clone(),
        },
        stage: failure.stage.clone(),
        topic: position.partition.topic.to_string(),
        partition: position.partition.index,
        offset: position.offset.get(),
        time: Timestamp::now(),
    }
}

fn with_reason(topic: &Arc<str>, original: &Record, reason: &DeadLetterReason) -> Record {
    let headers = original.headers.iter().map(|header| (&header.name, header.value.clone()));
    Record {
        topic: Arc::clone(topic),
        key: original.key.clone(),
        value: original.value.clone(),
        headers: reason.onto(headers).into_iter().map(|(name, value)| Header { name, value }).collect(),
    }
}
