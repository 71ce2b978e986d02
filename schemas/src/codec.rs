//! Bodies: bytes to messages and back.
//!
//! `messages` says which maps make a job, a result and a failure, once for both encodings. It reads through the trait
//! [`Reader`](reader::Reader), of which `msgpack_reader` and `json_reader` are the two implementations; `msgpack_writer`
//! and `json_writer` go the other way.
//!
//! Both readers walk the bytes themselves instead of going through serde: serde's own messages quote the offending value
//! (`invalid type: string "…"`), which would put payloads into logs; a struct may come as an array, a `str` that is not
//! UTF-8 is handed over as bytes, and trailing bytes pass unless asked after. The markers of MessagePack come from `rmp`,
//! which lies under rmp-serde.

mod json_elements;
mod json_reader;
mod json_writer;
mod messages;
mod msgpack_reader;
mod msgpack_writer;
mod reader;

use bytes::Bytes;

use crate::error::quoted;
use crate::{DecodeError, EncodeError, Encoding, Job, Limits, MessageKind, Outcome};
use json_reader::JsonReader;
use msgpack_reader::MessagePackReader;

/// Reads a job from the value of a record; `content_type` is its header of that name.
///
/// Data of MessagePack tensors is a slice of `body`, not a copy, and keeps `body` alive. Whatever the bytes, no more than
/// six times their number is allocated, plus some 100 bytes for each parameter that the limits allow.
///
/// ```
/// use bytes::Bytes;
/// use schemas::{Limits, decode_job};
///
/// let body = Bytes::from_static(br#"{"inputs": [{"name": "x", "datatype": "INT32", "shape": [2], "data": [1]}]}"#);
/// let error = decode_job(Some("application/json"), &body, &Limits::default()).unwrap_err();
/// assert_eq!(error.to_string(), "inputs[0].data: has 1 elements where the shape makes 2");
///
/// let text = Bytes::from_static(b"a line of text");
/// let job = decode_job(Some("text/plain"), &text, &Limits::default())?;
/// assert_eq!(job.raw_payload(), Some(text));
/// # Ok::<(), schemas::DecodeError>(())
/// ```
///
/// # Errors
///
/// `undecodable`, `invalid_input` or `too_large`, with the path of what is wrong.
pub fn decode_job(content_type: Option<&str>, body: &Bytes, limits: &Limits) -> Result<Job, DecodeError> {
    check_size(body, limits)?;
    match Encoding::of_content_type(content_type) {
        Some(Encoding::MessagePack) => {
            messages::whole(&MessagePackReader::new(body), |reader| messages::read_job(reader, limits))
        }
        Some(Encoding::Json) => {
            let json = JsonReader::new(body).map_err(DecodeError::of_body)?;
            if json.is_object_with("inputs").map_err(DecodeError::of_body)? {
                messages::whole(&json, |reader| messages::read_job(reader, limits))
            } else {
                Job::from_raw(content_type, body)
            }
        }
        None => Job::from_raw(content_type, body),
    }
}

/// Reads a result or a failure, whichever `kind` (the header `ce_type`) says, from the value of a record.
///
/// # Errors
///
/// `undecodable`, `invalid_input` or `too_large`, with the path of what is wrong.
pub fn decode_outcome(
    kind: MessageKind,
    content_type: Option<&str>,
    body: &Bytes,
    limits: &Limits,
) -> Result<Outcome, DecodeError> {
    check_size(body, limits)?;
    match Encoding::of_content_type(content_type) {
        Some(Encoding::MessagePack) => messages::whole(&MessagePackReader::new(body), |reader| {
            messages::read_outcome(kind, reader, limits)
        }),
        Some(Encoding::Json) => {
            let json = JsonReader::new(body).map_err(DecodeError::of_body)?;
            messages::whole(&json, |reader| messages::read_outcome(kind, reader, limits))
        }
        None => Err(DecodeError::invalid(
            "headers.content-type",
            format!("is {}; an outcome is MessagePack or JSON", content_type.map_or("absent".into(), quoted)),
        )),
    }
}

/// Writes a job as MessagePack.
///
/// # Errors
///
/// If it is 4 GiB or larger.
pub fn encode_job(job: &Job) -> Result<Bytes, EncodeError> {
    encode_job_as(job, Encoding::MessagePack)
}

/// Writes a job in either encoding.
///
/// # Errors
///
/// If it is 4 GiB or larger, or is to be JSON and holds what JSON cannot carry: FP16, BF16, NaN, infinities, or BYTES that
/// are not UTF-8.
pub fn encode_job_as(job: &Job, encoding: Encoding) -> Result<Bytes, EncodeError> {
    match encoding {
        Encoding::MessagePack => msgpack_writer::job(job),
        Encoding::Json => json_writer::job(job),
    }
}

/// Writes a result or a failure in either encoding.
///
/// # Errors
///
/// As [`encode_job_as`].
pub fn encode_outcome(outcome: &Outcome, encoding: Encoding) -> Result<Bytes, EncodeError> {
    match encoding {
        Encoding::MessagePack => msgpack_writer::outcome(outcome),
        Encoding::Json => json_writer::outcome(outcome),
    }
}

fn check_size(body: &Bytes, limits: &Limits) -> Result<(), DecodeError> {
    if body.len() <= limits.max_record_bytes {
        return Ok(());
    }
    let (length, most) = (body.len(), limits.max_record_bytes);
    Err(DecodeError::too_large("body", format!("has {length} bytes, more than {most}")))
}
