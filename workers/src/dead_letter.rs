//! The dead letter of a failed job: the record as it was read, key, value and headers unchanged, with the reason in headers.

use std::sync::Arc;

use schemas::{DeadLetterReason, Failure, Timestamp};
use transport::{Header, Record};

use crate::fetch::Origin;

/// Builds the dead letter. One that the topic could not take with its reason added loses its value, and says so in
/// `ms_error_message`: a record that can never be written would hold up its partition for ever.
pub(crate) fn record(
    topic: &Arc<str>,
    origin: &Origin,
    failure: &Failure,
    max_record_bytes: usize,
) -> Record {
    let original = &origin.received.record;
    let position = &origin.received.position;
    let mut reason = DeadLetterReason {
        code: failure.code,
        message: failure.message.clone(),
        stage: failure.stage.clone(),
        topic: position.partition.topic.to_string(),
        partition: position.partition.index,
        offset: position.offset.get(),
        time: Timestamp::now(),
    };
    let whole = with_reason(topic, original, &reason);
    if whole.size() <= max_record_bytes {
        return whole;
    }
    let value_bytes = original.value.as_ref().map_or(0, bytes::Bytes::len);
    reason.message =
        format!("(value of {value_bytes} bytes left out: too large for this topic) {}", reason.message);
    Record { value: None, ..with_reason(topic, original, &reason) }
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
