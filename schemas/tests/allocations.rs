//! How much memory reading takes: a small multiple of the record, whatever the record claims, and no copy of tensor data.

use std::fs;
use std::path::Path;

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use schemas::{Headers, Job, Limits, MessageKind, Tensor, decode_job, decode_outcome, encode_job};

/// What may be held at once while a record of so many bytes is read. The constant covers 128 parameters, the most there
/// are by default, and what an error says.
fn bound(record: usize) -> u64 {
    6 * record as u64 + 16_384
}

fn check(name: &str, content_type: &str, body: impl Into<Bytes>) -> AllocationInfo {
    let body = body.into();
    // What is counted is this thread's, so the result is dropped inside as well.
    let info = measure(|| drop(decode_job(Some(content_type), &body, &Limits::default())));
    assert!(
        info.bytes_max <= bound(body.len()),
        "{name}: {} bytes for a record of {}",
        info.bytes_max,
        body.len()
    );
    info
}

const MESSAGE_PACK: &str = "application/vnd.msgpack";
const JSON: &str = "application/json";

#[test]
fn hostile_lengths_reserve_nothing() {
    let max = [0xff; 4];
    for (name, head) in [
        ("array", &b"\x81\xa6inputs\xdd"[..]),
        ("map", b"\xdf"),
        ("name", b"\x81\xa6inputs\x91\x81\xa4name\xdb"),
        ("data", b"\x81\xa6inputs\x91\x81\xa4data\xc6"),
        ("shape", b"\x81\xa6inputs\x91\x81\xa5shape\xdd"),
        ("parameters", b"\x81\xaaparameters\xdf"),
        ("unknown array", b"\x81\xa1u\xdd"),
        ("unknown map", b"\x81\xa1u\xdf"),
        ("unknown ext", b"\x81\xa1u\xc9"),
    ] {
        let info = check(name, MESSAGE_PACK, [head, &max].concat());
        assert!(info.bytes_max < 1024, "{name}: {}", info.bytes_max);
    }
}

#[test]
fn hostile_shapes_reserve_nothing() {
    for datatype in ["FP64", "BYTES", "BOOL"] {
        let tensor =
            format!(r#"{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":[16777216],"data":[1]}}]}}"#);
        check("json shape", JSON, tensor);
    }
}

#[test]
fn dense_records_stay_within_the_bound() {
    let repeat = |piece: &str, count: usize| vec![piece; count].join(",");
    // The most memory for the least bytes: numbers of one digit, empty strings, empty tensors, tiny parameters.
    let doubles = format!(
        r#"{{"inputs":[{{"name":"","datatype":"FP64","shape":[100000],"data":[{}]}}]}}"#,
        repeat("0", 100_000)
    );
    let strings = format!(
        r#"{{"inputs":[{{"name":"","datatype":"BYTES","shape":[100000],"data":[{}]}}]}}"#,
        repeat("\"\"", 100_000)
    );
    let bools = format!(
        r#"{{"inputs":[{{"name":"","datatype":"BOOL","shape":[100000],"data":[{}]}}]}}"#,
        repeat("true", 100_000)
    );
    let tensors =
        format!(r#"{{"inputs":[{}]}}"#, repeat(r#"{"name":"","datatype":"INT8","shape":[0],"data":[]}"#, 64));
    let numbers = format!("[{}]", repeat("0", 100_000));
    for (name, body) in
        [("doubles", doubles), ("strings", strings), ("bools", bools), ("tensors", tensors), ("raw", numbers)]
    {
        check(name, JSON, body);
    }

    let tensors = Job::new(vec![Tensor::from_elements::<u8>("", [0], &[]).unwrap(); 64]);
    check("tensors", MESSAGE_PACK, encode_job(&tensors).unwrap());
    let halves = Job {
        parameters: (0..128).map(|index| (format!("{index}"), true.into())).collect(),
        ..Job::default()
    };
    check("parameters", MESSAGE_PACK, encode_job(&halves).unwrap());
    check("nesting", MESSAGE_PACK, [&b"\x82\xa6inputs\x90\xa1u"[..], &[0x91; 1_000_000]].concat());
    check("nesting", JSON, "[".repeat(1_000_000));
    check("unknown keys", MESSAGE_PACK, [&b"\xde\xff\xff"[..], &b"\xa1u\xc0".repeat(65_535)].concat());
}

#[test]
fn every_vector_stays_within_the_bound_whatever_it_is_read_as() {
    let limits = Limits::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut bodies = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "body") {
            continue;
        }
        bodies += 1;
        let body = Bytes::from(fs::read(&path).unwrap());
        for content_type in [Some(MESSAGE_PACK), Some(JSON), None] {
            for kind in [MessageKind::Result, MessageKind::Failure] {
                let outcome = measure(|| drop(decode_outcome(kind, content_type, &body, &limits)));
                assert!(outcome.bytes_max <= bound(body.len()), "{}: {}", path.display(), outcome.bytes_max);
            }
            let job = measure(|| drop(decode_job(content_type, &body, &limits)));
            assert!(job.bytes_max <= bound(body.len()), "{}: {}", path.display(), job.bytes_max);
        }
    }
    assert!(bodies > 100, "only {bodies} vectors in the folder");
}

#[test]
fn tensor_data_is_not_copied_on_reading_and_once_on_writing() {
    let pixels = vec![0.5_f32; 3 * 224 * 224];
    let job = Job::new([Tensor::from_elements("image", [1, 3, 224, 224], &pixels).unwrap()]);
    let body = encode_job(&job).unwrap();
    let reading = check("image", MESSAGE_PACK, body.clone());
    assert!(reading.bytes_total < 1024, "{} bytes to read", reading.bytes_total);
    let writing = measure(|| drop(encode_job(&job)));
    let envelope = writing.bytes_total - body.len() as u64;
    assert!(envelope < 128, "{envelope} bytes beside the buffer");
}

#[test]
fn common_headers_cost_an_allocation_each_at_most() {
    let pairs: [(&str, Option<&[u8]>); 8] = [
        ("ce_specversion", Some(b"1.0")),
        ("ce_id", Some(b"0198c5a8-7b1e-7c3a-9d52-3f6b1c0e8a41")),
        ("ce_type", Some(b"dev.millstream.job.v1")),
        ("ce_source", Some(b"/millstream/producer/cli")),
        ("ce_subject", Some(b"digits")),
        ("ce_time", Some(b"2026-01-31T12:00:00.000001Z")),
        ("content-type", Some(MESSAGE_PACK.as_bytes())),
        ("traceparent", Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
    ];
    let reading = measure(|| drop(Headers::read(pairs)));
    assert!(reading.count_total <= 6, "{} allocations to read", reading.count_total);
    let (headers, _) = Headers::read(pairs);
    let writing = measure(|| drop(headers.write()));
    assert!(writing.count_total <= 12, "{} allocations to write", writing.count_total);
}
