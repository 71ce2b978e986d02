//! Bytes that went wrong on the way: nothing panics, and whatever is still read is a message like any other, which
//! writes and reads back as itself. The cases are the same in every run.

use crate::mutate::{Random, mutate};
use crate::published::vectors::{self, Meaning, Vector};
use bytes::Bytes;
use schemas::{
    Encoding, Headers, Job, Limits, MessageKind, Outcome, decode_job, decode_outcome, encode_job,
    encode_job_as, encode_outcome,
};

const CASES: u64 = 120_000;

#[test]
fn mutated_records_never_panic_and_never_mean_something_else() {
    // One vector has 100,000 bytes of nesting; it is read as it is elsewhere, and would take most of the time here.
    let vectors: Vec<Vector> =
        vectors::all().into_iter().filter(|vector| vector.body.len() < 10_000).collect();
    let mut random = Random(0x6d69_6c6c);
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    for _ in 0..CASES {
        let vector = random.pick(&vectors);
        let mut body = vector.body.clone();
        for _ in 0..=random.below(3) {
            let donor = random.pick(&vectors);
            mutate(&mut body, &mut random, &donor.body);
        }
        if check_body(vector, &Bytes::from(body)) { accepted += 1 } else { refused += 1 }
    }
    // Both happen often enough for the test to mean something.
    assert!(accepted > CASES / 20 && refused > CASES / 4, "{accepted} accepted, {refused} refused");
}

#[test]
fn mutated_headers_never_panic_and_read_back() {
    let vectors = vectors::all();
    let mut random = Random(7);
    for _ in 0..20_000 {
        let mut headers = random.pick(&vectors).headers.clone();
        let donor = random.pick(&vectors).body.clone();
        for (_, value) in &mut headers {
            if let Some(value) = value.as_mut().filter(|_| random.below(3) == 0) {
                mutate(value, &mut random, &donor[..donor.len().min(40)]);
            }
        }
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let (read, _) = Headers::read(pairs);
        let written = read.write();
        let again = Headers::read(written.iter().map(|(name, value)| (name.as_ref(), value.as_deref())));
        assert_eq!(again, (read, None));
    }
}

/// Reads the body as the vector's headers say; true if it was read, and then reads back as itself.
fn check_body(vector: &Vector, body: &Bytes) -> bool {
    let content_type = vector.headers().content_type;
    let (content_type, limits) = (content_type.as_deref(), Limits::default());
    match vector.kind {
        MessageKind::Job => {
            let Ok(job) = decode_job(content_type, body, &limits) else { return false };
            check_job(&job, content_type, &limits);
        }
        kind => {
            let Ok(outcome) = decode_outcome(kind, content_type, body, &limits) else { return false };
            check_outcome(&outcome, content_type, &limits);
        }
    }
    true
}

fn check_job(job: &Job, content_type: Option<&str>, limits: &Limits) {
    let written = encode_job(job).unwrap();
    assert_eq!(decode_job(Some("application/vnd.msgpack"), &written, limits).as_ref(), Ok(job));
    if job.raw_payload().is_none() && Encoding::of_content_type(content_type) == Some(Encoding::Json) {
        let written = encode_job_as(job, Encoding::Json).unwrap();
        assert_eq!(decode_job(Some("application/json"), &written, limits).as_ref(), Ok(job));
    }
}

fn check_outcome(outcome: &Outcome, content_type: Option<&str>, limits: &Limits) {
    let encoding = Encoding::of_content_type(content_type).expect("outcomes are never raw");
    let written = encode_outcome(outcome, encoding).unwrap();
    assert_eq!(decode_outcome(outcome.kind(), content_type, &written, limits).as_ref(), Ok(outcome));
}

#[test]
fn good_vectors_are_accepted_by_this_check() {
    for vector in vectors::all() {
        // A vector that is refused for its headers alone has a good body.
        let refused_for_headers =
            matches!(vector.meaning, Meaning::Refused { path, .. } if path.starts_with("headers."));
        if !refused_for_headers {
            let accepted = check_body(&vector, &Bytes::from(vector.body.clone()));
            assert_eq!(accepted, !matches!(vector.meaning, Meaning::Refused { .. }), "{}", vector.name);
        }
    }
}
