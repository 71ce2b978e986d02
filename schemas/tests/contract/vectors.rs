//! The published contract is what the code does: no file has drifted, and every golden vector reads as it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::published;
use crate::published::vectors::{self, Meaning, Vector};
use bytes::Bytes;
use schemas::{
    Cancellation, DecodeError, Encoding, FailureCode, Headers, Job, Limits, MessageKind, Outcome, decode_job,
    decode_outcome, encode_job_as, encode_outcome,
};

#[test]
fn published_files_are_those_of_the_code() {
    const ADVICE: &str = "run `cargo run -p schemas --example generate` and look at what it changes";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = published::files();
    for (path, contents) in &files {
        let found = fs::read(root.join(path)).unwrap_or_default();
        assert!(found == *contents, "schemas/{path} has drifted from the code: {ADVICE}");
    }
    let listed: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    for folder in published::FOLDERS {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = format!("{folder}/{}", entry.unwrap().file_name().display());
            assert!(listed.contains(path.as_str()), "schemas/{path} is not of the code: {ADVICE}");
        }
    }
}

/// A message of either kind.
#[derive(Debug, PartialEq)]
enum Message {
    Job(Job),
    Outcome(Outcome),
}

/// Reads a record as a consumer does: headers first, then the body as they say.
fn read(vector: &Vector) -> Result<Message, DecodeError> {
    let pairs = vector.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
    let (headers, fault) = Headers::read(pairs);
    if let Some(fault) = fault {
        return Err(fault);
    }
    let body = Bytes::from(vector.body.clone());
    let (content_type, limits) = (headers.content_type.as_deref(), Limits::default());
    match vector.kind {
        MessageKind::Job => decode_job(content_type, &body, &limits).map(Message::Job),
        kind => decode_outcome(kind, content_type, &body, &limits).map(Message::Outcome),
    }
}

#[test]
fn every_vector_reads_as_it_says() {
    for vector in vectors::all() {
        let name = &vector.name;
        match (read(&vector), &vector.meaning) {
            (Ok(message), Meaning::Job { job, .. }) => {
                assert_eq!(message, Message::Job(job.clone()), "{name}");
            }
            (Ok(message), Meaning::Outcome { outcome, .. }) => {
                assert_eq!(message, Message::Outcome(outcome.clone()), "{name}");
            }
            (Err(error), Meaning::Refused { code, path }) => {
                assert_eq!((error.code, error.path.as_str()), (*code, *path), "{name}: {error}");
                assert!(error.message.len() < 200, "{name}: {error}");
            }
            (read, _) => panic!("{name} reads as {read:?}"),
        }
    }
}

#[test]
fn every_cancellation_reads_as_it_says() {
    for vector in vectors::cancellations::all() {
        let pairs = vector.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        match (Cancellation::read(pairs), &vector.meaning) {
            (Ok(read), Ok(meaning)) => assert_eq!(read, *meaning, "{}", vector.name),
            (Err(error), Err(path)) => {
                assert_eq!((error.code, error.path.as_str()), (FailureCode::InvalidInput, *path));
            }
            (read, _) => panic!("{} reads as {read:?}", vector.name),
        }
    }
}

#[test]
fn canonical_vectors_are_written_byte_for_byte() {
    let mut compared = 0;
    for vector in vectors::all() {
        let encoding = Encoding::of_content_type(vector.headers().content_type.as_deref());
        let written = match (&vector.meaning, encoding) {
            (Meaning::Job { job, canonical: true }, Some(encoding)) if job.raw_payload().is_none() => {
                encode_job_as(job, encoding).unwrap()
            }
            (Meaning::Job { job, canonical: true }, _) => job.raw_payload().expect("a raw payload"),
            (Meaning::Outcome { outcome, canonical: true }, Some(encoding)) => {
                encode_outcome(outcome, encoding).unwrap()
            }
            _ => continue,
        };
        assert_eq!(written, vector.body, "{}", vector.name);
        compared += 1;
    }
    assert!(compared > 40, "only {compared} vectors are canonical");
}

#[test]
fn vectors_have_names_of_their_own_and_cover_every_datatype() {
    let all = vectors::all();
    let cancellations = vectors::cancellations::all();
    let names = all.iter().map(|vector| vector.name.as_str());
    let names: BTreeSet<&str> = names.chain(cancellations.iter().map(|vector| vector.name)).collect();
    assert_eq!(names.len(), all.len() + cancellations.len());
    let datatypes: BTreeSet<_> = all
        .iter()
        .filter_map(|vector| match &vector.meaning {
            Meaning::Job { job, .. } => Some(job.inputs.iter().map(schemas::Tensor::datatype)),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(datatypes.len(), schemas::Datatype::ALL.len());
}
