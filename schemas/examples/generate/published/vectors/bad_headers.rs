//! Headers of ours that cannot be read. The body is a good job; the record is refused for its headers.

use schemas::{FailureCode, Job, MessageKind, encode_job};

use super::good_jobs::row;
use super::{MESSAGE_PACK, Meaning, Vector, producer_headers};

pub(crate) fn all() -> Vec<Vector> {
    let long = [b'a'; 257];
    vec![
        bad(
            "id-not-utf8",
            "ce_id is not UTF-8: the id is that of the position",
            "ce_id",
            Some(b"\xff"),
            "headers.ce_id",
        ),
        bad("id-empty", "ce_id is empty", "ce_id", Some(b""), "headers.ce_id"),
        bad("id-long", "ce_id has 257 bytes", "ce_id", Some(&long), "headers.ce_id"),
        bad("id-control", "ce_id holds a control character", "ce_id", Some(b"a\nb"), "headers.ce_id"),
        bad("id-null", "ce_id has no value", "ce_id", None, "headers.ce_id"),
        bad("time", "ce_time is no time", "ce_time", Some(b"yesterday"), "headers.ce_time"),
        bad("time-number", "ce_time is a number", "ce_time", Some(b"1767225600"), "headers.ce_time"),
        bad(
            "time-day",
            "ce_time is no day of the calendar",
            "ce_time",
            Some(b"2026-02-30T00:00:00Z"),
            "headers.ce_time",
        ),
        bad("time-zone", "ce_time has no offset", "ce_time", Some(b"2026-02-03T00:00:00"), "headers.ce_time"),
        bad(
            "subject-not-utf8",
            "ce_subject is not UTF-8",
            "ce_subject",
            Some(b"\xc3\x28"),
            "headers.ce_subject",
        ),
        bad(
            "specversion",
            "another version of CloudEvents",
            "ce_specversion",
            Some(b"0.3"),
            "headers.ce_specversion",
        ),
        bad("type", "no type of the contract", "ce_type", Some(b"dev.millstream.job.v2"), "headers.ce_type"),
        bad(
            "trace-not-utf8",
            "traceparent is not UTF-8",
            "traceparent",
            Some(b"\xff"),
            "headers.traceparent",
        ),
        added("deadline", "ce_deadline is no time", "ce_deadline", b"soon", "headers.ce_deadline"),
        added("attempt-zero", "attempts are counted from 1", "ce_attempt", b"0", "headers.ce_attempt"),
        added("attempt-text", "ce_attempt is no number", "ce_attempt", b"two", "headers.ce_attempt"),
        added(
            "attempt-spelling",
            "ce_attempt is spelled with a leading 0",
            "ce_attempt",
            b"02",
            "headers.ce_attempt",
        ),
        added(
            "id-twice",
            "ce_id comes twice: the id is that of the position",
            "ce_id",
            b"another",
            "headers.ce_id",
        ),
        added(
            "content-type-twice",
            "content-type comes twice",
            "content-type",
            b"text/plain",
            "headers.content-type",
        ),
    ]
}

fn added(name: &str, about: &'static str, header: &str, value: &[u8], path: &'static str) -> Vector {
    let mut headers = producer_headers(MessageKind::Job, MESSAGE_PACK);
    headers.push((header.to_owned(), Some(value.to_vec())));
    Vector {
        name: format!("bad-headers-{name}"),
        about,
        kind: MessageKind::Job,
        headers,
        body: encode_job(&Job::new([row(&[1.0_f32, -2.0])])).expect("small").to_vec(),
        meaning: Meaning::Refused { code: FailureCode::InvalidInput, path },
    }
}

fn bad(name: &str, about: &'static str, header: &str, value: Option<&[u8]>, path: &'static str) -> Vector {
    let mut vector = added(name, about, header, b"", path);
    vector.headers.pop();
    vector.headers.iter_mut().find(|(name, _)| name == header).expect("a producer writes it").1 =
        value.map(<[u8]>::to_vec);
    vector
}
