use bytes::Bytes;
use schemas::{Job, Tensor, TraceContext};

use super::*;

fn envelope() -> Envelope {
    Envelope::new(&ClientOptions { name: "a b/ü".to_owned(), ..ClientOptions::new("digits") })
}

fn job() -> Job {
    Job::new([Tensor::from_elements("x", [2], &[1.0_f32, 2.0]).unwrap()])
}

fn sealed(submission: Submission) -> Record {
    envelope().record(&JobId::new("job-1").unwrap(), submission).unwrap()
}

fn value(record: &Record, name: &str) -> Option<String> {
    let mut values = record.headers.iter().filter(|header| header.name == name);
    let value = values.next()?.value.clone().unwrap();
    assert!(values.next().is_none(), "{name} comes twice");
    Some(String::from_utf8(value.to_vec()).unwrap())
}

fn names(record: &Record) -> Vec<&str> {
    record.headers.iter().map(|header| &*header.name).collect()
}

#[test]
fn a_plain_job_has_the_headers_of_the_contract_and_no_others() {
    let before = Timestamp::now();
    let record = sealed(Submission::new(job()));
    let expect = [
        "ce_specversion",
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_subject",
        "ce_time",
        "content-type",
        "traceparent",
    ];
    assert_eq!(names(&record), expect);
    let check =
        |name: &str, expect: &str| assert_eq!(value(&record, name).as_deref(), Some(expect), "{name}");
    check("ce_specversion", "1.0");
    check("ce_id", "job-1");
    check("ce_type", "dev.millstream.job.v1");
    check("ce_source", "/millstream/producer/a%20b%2F%C3%BC");
    check("ce_subject", "digits");
    check("content-type", "application/vnd.msgpack");
    let time: Timestamp = value(&record, "ce_time").unwrap().parse().unwrap();
    assert!(before <= time && time <= Timestamp::now());
    assert!(TraceContext::parse(&value(&record, "traceparent").unwrap()).is_some());
    assert_eq!(record.key, None);
    assert_eq!(record.value, Some(schemas::encode_job(&job()).unwrap()));
}

#[test]
fn everything_that_can_be_said_is_written() {
    let parent = TraceContext::random();
    let submission = Submission {
        deadline: Some("2026-01-31T12:00:00+01:00".parse().unwrap()),
        traceparent: Some(parent.to_string()),
        tracestate: Some("vendor=1".to_owned()),
        ..Submission::raw("image/png", "bytes").with_key("k").with_batch("b").with_header("mine", "1")
    };
    let record = sealed(submission.with_header("mine", "2"));
    let check =
        |name: &str, expect: &str| assert_eq!(value(&record, name).as_deref(), Some(expect), "{name}");
    check("ce_deadline", "2026-01-31T12:00:00+01:00");
    check("ce_batchid", "b");
    check("content-type", "image/png");
    check("tracestate", "vendor=1");
    let child = TraceContext::parse(&value(&record, "traceparent").unwrap()).unwrap();
    assert_eq!(child.trace_id(), parent.trace_id());
    assert_ne!(child.span_id(), parent.span_id());
    let own: Vec<&[u8]> = record
        .headers
        .iter()
        .filter(|header| header.name == "mine")
        .map(|h| h.value.as_deref().unwrap())
        .collect();
    assert_eq!(own, [b"1", b"2"]);
    assert_eq!((record.key, record.value), (Some(Bytes::from("k")), Some(Bytes::from("bytes"))));
}

#[test]
fn the_stage_decides_the_topic() {
    let topic = |stage| sealed(Submission::new(job()).starting_at(stage)).topic.to_string();
    assert_eq!(topic(Stage::Preprocess), "millstream.digits.preprocess");
    assert_eq!(topic(Stage::Inference), "millstream.digits.inference");
    assert_eq!(topic(Stage::Postprocess), "millstream.digits.postprocess");
}

fn check_header(name: &str, is_reserved: bool) {
    let submission = Submission::new(job()).with_header(name, "x");
    let rejected = envelope().record(&JobId::random(), submission).err();
    let expect = is_reserved.then(|| Rejection::ReservedHeader(name.to_owned()));
    assert_eq!(rejected, expect, "{name}");
}

#[test]
fn headers_of_the_contract_are_not_for_the_caller() {
    for name in ["ce_id", "ce_time", "ce_attempt", "content-type", "traceparent", "ms_model"] {
        check_header(name, true);
    }
    for name in ["ms_error_code", "ms_retry_topic", "ms_replay_count", "ms_defaulted"] {
        check_header(name, true);
    }
    for name in ["mine", "ce_extension", "ms_other", "Content-Type"] {
        check_header(name, false);
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    let mut options = ClientOptions::new("digits");
    options.limits.max_record_bytes = 1000;
    let envelope = Envelope::new(&options);
    let record =
        |bytes: usize| envelope.record(&JobId::random(), Submission::raw("text/plain", vec![0; bytes]));
    assert!(record(500).is_ok());
    let Err(Rejection::TooLarge { bytes, limit: 1000 }) = record(1000) else { panic!("taken") };
    assert!(bytes > 1000);
}
