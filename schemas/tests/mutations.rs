//! Bytes that went wrong on the way: nothing panics, and whatever is still read is a message like any other, which
//! writes and reads back as itself. The cases are the same in every run.

#[path = "../examples/generate/published/mod.rs"]
mod published;

use bytes::Bytes;
use published::vectors::{self, Meaning, Vector};
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
            mutate(&mut body, &mut random, &random.pick(&vectors).body.clone());
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

/// Changes the bytes in one way, now and then with a piece of another record.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random, donor: &[u8]) {
    let at = random.below(bytes.len() + 1);
    match random.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = *random.pick(&INTERESTING),
        2 => bytes.insert(at, *random.pick(&INTERESTING)),
        3 if at < bytes.len() => {
            let end = (at + 1 + random.below(8)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 if !donor.is_empty() => {
            let from = random.below(donor.len());
            let to = (from + 1 + random.below(24)).min(donor.len());
            let end = (at + random.below(24)).min(bytes.len());
            bytes.splice(at..end, donor[from..to].iter().copied());
        }
        5 => edit_length(bytes, random),
        _ => bytes.truncate(at),
    }
}

/// Overwrites what follows a marker that a length or a number follows.
fn edit_length(bytes: &mut [u8], random: &mut Random) {
    let markers: Vec<usize> =
        (0..bytes.len()).filter(|&at| matches!(bytes[at], 0xc4..=0xc9 | 0xcc..=0xd3 | 0xd9..=0xdf)).collect();
    if markers.is_empty() {
        return;
    }
    let at = *random.pick(&markers);
    let value = *random.pick(&[0, 1, 2, 0x7f, 0x80, 0xff]);
    for byte in bytes[at + 1..].iter_mut().take(1 + random.below(8)) {
        *byte = value;
    }
}

/// Markers of MessagePack, the syntax of JSON, and ends of ranges.
const INTERESTING: [u8; 36] = [
    0x00, 0x01, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xa1, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc9,
    0xca, 0xcb, 0xcf, 0xd3, 0xd6, 0xdb, 0xdd, 0xdf, 0xff, b'"', b'\\', b'{', b'}', b'[', b']', b',', b':',
    b'-', b'0',
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
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
