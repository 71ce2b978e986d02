//! Golden vectors: bytes and headers of records, and what they mean.
//!
//! What a good vector means is stated here as a message built by hand, never by decoding its own bytes.

mod bad_bodies;
mod bad_headers;
pub(crate) mod cancellations;
mod expected;
mod good_jobs;
mod good_json;
mod good_outcomes;
mod packed;

use schemas::{FailureCode, Job, MessageKind, Outcome};

/// Where the record of every vector lies; the id of one that carries none follows from it.
pub(crate) const POSITION: (&str, i32, i64) = ("millstream.vectors.preprocess", 0, 17);

/// One record and what it means.
#[derive(Clone)]
pub(crate) struct Vector {
    /// The name of its files.
    pub(crate) name: String,
    /// What is to be seen in it.
    pub(crate) about: &'static str,
    /// What it is read as: the topic says whether a job or an outcome is due.
    pub(crate) kind: MessageKind,
    /// The record's headers.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    /// The record's value.
    pub(crate) body: Vec<u8>,
    /// What reading it must come to.
    pub(crate) meaning: Meaning,
}

/// What reading a vector must come to.
#[derive(Clone)]
pub(crate) enum Meaning {
    /// This job; `canonical` if writing it in the encoding of `content-type` gives the body byte for byte.
    Job { job: Job, canonical: bool },
    /// This outcome.
    Outcome { outcome: Outcome, canonical: bool },
    /// A refusal with this code, at this path.
    Refused { code: FailureCode, path: &'static str },
}

/// Every vector.
pub(crate) fn all() -> Vec<Vector> {
    let mut all = Vec::new();
    all.extend(good_jobs::all());
    all.extend(good_json::all());
    all.extend(good_outcomes::all());
    all.extend(bad_bodies::all());
    all.extend(bad_headers::all());
    all
}

/// The headers that a producer writes.
fn producer_headers(kind: MessageKind, content_type: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let pairs = [
        ("ce_specversion", "1.0"),
        ("ce_id", "0198c5a8-7b1e-7c3a-9d52-3f6b1c0e8a41"),
        ("ce_type", kind.as_str()),
        ("ce_source", "/millstream/producer/vectors"),
        ("ce_subject", "vectors"),
        ("ce_time", "2026-01-31T12:00:00.000001Z"),
        ("content-type", content_type),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    pairs.iter().map(|(name, value)| pair(name, value)).collect()
}

fn pair(name: &str, value: impl AsRef<[u8]>) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.as_ref().to_vec()))
}

const MESSAGE_PACK: &str = "application/vnd.msgpack";
const JSON: &str = "application/json";
