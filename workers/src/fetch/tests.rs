use bytes::Bytes;
use schemas::Tensor;
use transport::{Header, Offset, Partition, Position, Record};

use super::*;

fn fetcher(pipeline: &str, sharing: &[&str]) -> Fetcher {
    Fetcher {
        pipeline: pipeline.into(),
        stage: Stage::Inference,
        sharing: sharing.iter().map(ToString::to_string).collect(),
        limits: Limits::default(),
    }
}

fn received(headers: &[(&'static str, &[u8])], value: Option<Bytes>) -> Received {
    let headers =
        headers.iter().map(|(name, value)| Header::new(*name, Bytes::copy_from_slice(value))).collect();
    Received {
        record: Record { topic: "jobs".into(), key: None, value, headers },
        position: Position { partition: Partition::new("jobs", 3), offset: Offset::new(41) },
        timestamp_ms: Some(1_800_000_000_000),
    }
}

fn entry(headers: &[(&'static str, &[u8])], value: Option<Bytes>) -> Entry {
    let clock = Timestamp::from_unix_micros(1_800_000_000_250_000);
    fetcher("p", &["p"]).entry(received(headers, value), Instant::now(), &clock)
}

fn check_failure(headers: &[(&'static str, &[u8])], value: Option<Bytes>, code: FailureCode, mentions: &str) {
    let entry = entry(headers, value);
    let Work::Fail(failure) = entry.work else { panic!("expected a failure, got {:?}", entry.work) };
    assert_eq!(failure.code, code, "{}", failure.message);
    assert!(failure.message.contains(mentions), "{:?} does not mention {mentions:?}", failure.message);
    assert_eq!(failure.stage, "inference");
}

#[test]
fn a_record_without_headers_gets_an_id_of_its_position_and_the_time_of_kafka() {
    let entry = entry(&[], Some("hello".into()));
    assert_eq!(entry.origin.id.as_str(), "jobs/3/41");
    assert_eq!(entry.origin.headers.id.as_ref().unwrap().as_str(), "jobs/3/41");
    assert_eq!(entry.origin.headers.time.as_ref().unwrap().unix_micros(), 1_800_000_000_000_000);
    assert_eq!(entry.origin.sheet.queue_us, 250_000);
    let Work::Run(job) = entry.work else { panic!("a raw payload is a job") };
    assert_eq!(job.inputs[0].name(), schemas::PAYLOAD_NAME);
}

#[test]
fn an_implausible_kafka_timestamp_is_not_believed() {
    let mut record = received(&[], Some("x".into()));
    record.timestamp_ms = Some(1234);
    let clock = Timestamp::from_unix_micros(1_800_000_000_250_000);
    let entry = fetcher("p", &["p"]).entry(record, Instant::now(), &clock);
    assert_eq!(entry.origin.sheet.queue_us, 0);
    assert_eq!(entry.origin.headers.time, Some(clock));
}

#[test]
fn waiting_counts_from_where_the_last_stage_left_off() {
    let mut job = Job::new([Tensor::from_elements("x", [1u64], &[1f32]).unwrap()]);
    let sheet =
        TimeSheet { queue_us: 10_000, inference_us: 90_000, total_us: 100_000, ..TimeSheet::default() };
    sheet.write(&mut job.parameters);
    let headers: &[(&str, &[u8])] = &[
        ("content-type", b"application/vnd.msgpack"),
        ("ce_time", b"2027-01-15T08:00:00Z"),
        ("ce_source", b"/millstream/p/preprocess"),
    ];
    let entry = entry(headers, Some(schemas::encode_job(&job).unwrap()));
    // 250 ms after submission, of which the earlier stage accounts for 100.
    assert_eq!(entry.origin.sheet.queue_us, 10_000 + 150_000);
}

#[test]
fn what_is_no_job_is_a_failure_that_says_why() {
    check_failure(&[], None, FailureCode::InvalidInput, "no value");
    check_failure(
        &[("ce_type", b"dev.millstream.result.v1")],
        Some("x".into()),
        FailureCode::InvalidInput,
        "ce_type",
    );
    check_failure(&[("ce_time", b"yesterday")], Some("x".into()), FailureCode::InvalidInput, "ce_time");
    check_failure(
        &[("content-type", b"application/vnd.msgpack")],
        Some(Bytes::from_static(b"\xc1")),
        FailureCode::Undecodable,
        "",
    );
    let large = Bytes::from(vec![0; Limits::default().max_record_bytes + 1]);
    check_failure(&[], Some(large), FailureCode::TooLarge, "4194304");
}

#[test]
fn an_unreadable_id_is_replaced_by_the_position() {
    let entry = entry(&[("ce_id", b"\xff\xfe")], Some("x".into()));
    assert_eq!(entry.origin.id.as_str(), "jobs/3/41");
    assert!(matches!(entry.work, Work::Fail(failure) if failure.code == FailureCode::InvalidInput));
}

#[test]
fn on_a_shared_topic_exactly_one_pipeline_answers() {
    let answers = |subject: Option<&'static str>| {
        let headers: Vec<(&'static str, &[u8])> =
            subject.iter().map(|s| ("ce_subject", s.as_bytes())).collect();
        let ours = |pipeline: &str| {
            let fetcher = fetcher(pipeline, &["a", "b"]);
            let record = received(&headers, Some("x".into()));
            !matches!(fetcher.entry(record, Instant::now(), &Timestamp::now()).work, Work::Pass)
        };
        (ours("a"), ours("b"))
    };
    assert_eq!(answers(None), (true, false));
    assert_eq!(answers(Some("a")), (true, false));
    assert_eq!(answers(Some("b")), (false, true));
    assert_eq!(answers(Some("stranger")), (true, false));
}
