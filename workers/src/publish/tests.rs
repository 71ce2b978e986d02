use std::time::Instant;

use bytes::Bytes;
use schemas::{DeadLetterReason, Limits, Parameter, Parameters, Tensor, TimeSheet};
use stages::StageTimes;
use transport::{Offset, Partition, Position, Received};

use super::*;
use crate::fetch::{Fetcher, Work};
use crate::metrics::Metrics;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn outbox(next: Option<&str>, digest: Option<&str>) -> Outbox {
    Outbox {
        pipeline: "digits".into(),
        stage: Stage::Inference,
        next: next.map(Into::into),
        results: "results".into(),
        dead_letters: "dead".into(),
        retries: ["5s".into(), "1m".into(), "10m".into()],
        source: "/millstream/digits/inference".into(),
        encoding: Encoding::MessagePack,
        provenance: Provenance {
            model_name: "digits".into(),
            model_version: "2".into(),
            model_digest: digest.map(Into::into),
            pipeline_digest: "pd".into(),
        },
        limits: TopicLimits::new(10_000, Vec::new()),
    }
}

/// A job that came in as MessagePack with an id, a key, a trace and a header of a stranger.
fn origin(value: Option<Bytes>) -> (Origin, Job) {
    let mut job = Job::new([Tensor::from_elements("x", [2u64], &[1f32, 2.0]).unwrap()]);
    TimeSheet { queue_us: 5, total_us: 10, ..TimeSheet::default() }.write(&mut job.parameters);
    job.parameters.insert("user".into(), "kept".into());
    let headers = [
        ("ce_id", "job-1"),
        ("ce_time", "2026-01-01T00:00:00Z"),
        ("content-type", "application/vnd.msgpack"),
        ("traceparent", TRACE),
        ("tenant", "acme"),
        ("ce_source", "/millstream/digits/preprocess"),
    ];
    let received = Received {
        record: Record {
            topic: "jobs".into(),
            key: Some("k".into()),
            value: Some(value.unwrap_or_else(|| schemas::encode_job(&job).unwrap())),
            headers: headers.map(|(name, value)| Header::new(name, value)).to_vec(),
        },
        position: Position { partition: Partition::new("jobs", 1), offset: Offset::new(7) },
        timestamp_ms: None,
    };
    let sharing = vec!["digits".to_owned()];
    let limits = Limits::default();
    let fetcher = Fetcher { pipeline: "digits".into(), stage: Stage::Inference, sharing, limits };
    let entry = fetcher.entry(received, Instant::now(), &Timestamp::now());
    match entry.work {
        Work::Run(job) => (entry.origin, job),
        _ => (entry.origin, job),
    }
}

fn processed(job: Job) -> Processed {
    let times = StageTimes { inference: micros(30), batch_size: 4, ..StageTimes::default() };
    Processed { job, times }
}

fn succeed(outbox: &Outbox) -> Vec<Record> {
    let (mut origin, job) = origin(None);
    let mut records = Vec::new();
    let metrics = Metrics::new().pipeline("digits", &Stage::ALL);
    outbox.succeeded(&mut origin, processed(job), &metrics, &mut records).unwrap();
    records
}

fn headers(record: &Record) -> Headers {
    let (headers, fault) = Headers::read(record.headers.iter().map(|h| (&*h.name, h.value.as_deref())));
    assert!(fault.is_none(), "{fault:?}");
    headers
}

#[test]
fn a_result_keeps_identity_and_names_what_computed_it() {
    let records = succeed(&outbox(None, Some("md")));
    assert_eq!(records.len(), 1);
    assert_eq!(&*records[0].topic, "results");
    assert_eq!(records[0].key.as_deref(), Some(b"k".as_slice()));
    let headers = headers(&records[0]);
    assert_eq!(headers.id.as_ref().unwrap().as_str(), "job-1");
    assert_eq!(headers.time.as_ref().unwrap().as_str(), "2026-01-01T00:00:00Z");
    assert_eq!(headers.kind, Some(MessageKind::Result));
    assert_eq!(headers.subject.as_deref(), Some("digits"));
    assert_eq!(headers.source.as_deref(), Some("/millstream/digits/inference"));
    assert_eq!(headers.attempt, Some(1));
    assert_eq!(headers.model_version.as_deref(), Some("2"));
    assert_eq!(headers.model_digest.as_deref(), Some("md"));
    assert_eq!(headers.pipeline_digest.as_deref(), Some("pd"));
    assert_eq!(headers.unknown, [("tenant".to_owned(), Some(Bytes::from("acme")))]);
    let traceparent = headers.traceparent.unwrap();
    assert_eq!(traceparent[..35], TRACE[..35], "the trace goes on");
    assert_ne!(traceparent, TRACE, "as a new span");

    let body = records[0].value.as_ref().unwrap();
    let outcome = schemas::decode_outcome(
        MessageKind::Result,
        headers.content_type.as_deref(),
        body,
        &Limits::default(),
    );
    let Outcome::Result(result) = outcome.unwrap() else { panic!("a result") };
    assert_eq!(result.outputs[0].elements::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(result.parameters["user"], "kept".into());
    let sheet = TimeSheet::read(&result.parameters);
    assert_eq!((sheet.inference_us, sheet.batch_size), (30, 4));
    assert!(sheet.total_us > 1_000_000 && sheet.queue_us > 1_000_000, "{sheet:?}");
}

/// A result in place of a failure that the model made, of a job with these parameters.
fn default_of(outbox: &Outbox, parameters: Parameters) -> Vec<Record> {
    let (mut origin, _) = origin(None);
    let failure = origin.failure(Stage::Inference, FailureCode::Timeout, "it took too long", true);
    let tensor = Tensor::from_byte_strings("label", [1], ["unknown"]).unwrap();
    let default = Job { inputs: vec![tensor], parameters };
    let mut records = Vec::new();
    let metrics = Metrics::new().pipeline("digits", &Stage::ALL);
    outbox.defaulted(&mut origin, failure, default, &metrics, &mut records);
    records
}

fn result(record: &Record) -> JobResult {
    let content_type = headers(record).content_type;
    let body = record.value.as_ref().unwrap();
    let outcome =
        schemas::decode_outcome(MessageKind::Result, content_type.as_deref(), body, &Limits::default());
    match outcome.unwrap() {
        Outcome::Result(result) => result,
        Outcome::Failure(failure) => panic!("{failure:?}"),
    }
}

#[test]
fn a_default_is_a_result_that_says_what_failed() {
    for encoding in [Encoding::MessagePack, Encoding::Json] {
        let outbox = Outbox { encoding, ..outbox(Some("next"), None) };
        let records = default_of(&outbox, Parameters::from([("user".into(), "kept".into())]));
        let [record] = records.as_slice() else { panic!("one record, not {records:?}") };
        assert_eq!((&*record.topic, record.key.as_deref()), ("results", Some(b"k".as_slice())));
        let headers = headers(record);
        assert_eq!(
            (headers.kind, headers.defaulted()),
            (Some(MessageKind::Result), Some(FailureCode::Timeout))
        );
        assert_eq!((headers.id.unwrap().as_str(), headers.model.as_deref()), ("job-1", Some("digits")));
        let JobResult { outputs, parameters, .. } = result(record);
        assert_eq!(outputs[0].byte_strings().unwrap().collect::<Vec<_>>(), [b"unknown"]);
        let says = |name: &str, value: Parameter| assert_eq!(parameters.get(name), Some(&value), "{name}");
        says("user", "kept".into());
        says("defaulted", true.into());
        says("failure_stage", "inference".into());
        says("failure_code", "timeout".into());
        says("failure_message", "it took too long".into());
        assert!(TimeSheet::read(&parameters).total_us > 1_000_000);
    }
}

#[test]
fn a_default_too_large_for_its_topic_is_a_failure_after_all() {
    let outbox = Outbox { limits: TopicLimits::new(3_000, Vec::new()), ..outbox(None, Some("md")) };
    let records = default_of(&outbox, Parameters::from([("big".into(), "x".repeat(3_000).into())]));
    let [terminal, dead_letter] = records.as_slice() else { panic!("two records, not {records:?}") };
    assert_eq!(headers(terminal).kind, Some(MessageKind::Failure));
    assert_eq!(headers(terminal).defaulted(), None);
    assert_eq!(&*dead_letter.topic, "dead");
}

#[test]
fn an_ordinary_result_is_no_default_whatever_its_producer_says() {
    for next in [None, Some("next")] {
        let outbox = outbox(next, Some("md"));
        let (mut origin, mut job) = origin(None);
        origin.headers.set_defaulted(Some(FailureCode::Timeout));
        job.parameters.extend(DEFAULTED_PARAMETERS.map(|name| (name.to_owned(), "forged".into())));
        let mut records = Vec::new();
        let metrics = Metrics::new().pipeline("digits", &Stage::ALL);
        outbox.succeeded(&mut origin, processed(job), &metrics, &mut records).unwrap();
        let unknown = headers(&records[0]).unknown;
        assert_eq!(unknown, [("tenant".to_owned(), Some(Bytes::from("acme")))]);
        if next.is_none() {
            let parameters = result(&records[0]).parameters;
            assert!(
                DEFAULTED_PARAMETERS.iter().all(|name| !parameters.contains_key(*name)),
                "{parameters:?}"
            );
            assert_eq!(parameters["user"], "kept".into());
        }
    }
}

#[test]
fn between_stages_a_job_goes_on_and_carries_the_models_name_only_past_the_model() {
    let records = succeed(&outbox(Some("next"), Some("md")));
    assert_eq!(&*records[0].topic, "next");
    assert_eq!(headers(&records[0]).kind, Some(MessageKind::Job));
    assert_eq!(headers(&records[0]).model_digest.as_deref(), Some("md"));
    let before_the_model = succeed(&outbox(Some("next"), None));
    assert_eq!(headers(&before_the_model[0]).model, None);
}

#[test]
fn a_failure_is_terminal_and_the_dead_letter_is_the_record_as_it_came() {
    let (mut origin, _) = origin(Some(Bytes::from_static(b"\xc1 broken")));
    let failure = origin.failure(Stage::Inference, FailureCode::Undecodable, "body: why", false);
    let mut records = Vec::new();
    let metrics = Metrics::new().pipeline("digits", &Stage::ALL);
    outbox(None, None).failed(&mut origin, failure.clone(), &metrics, &mut records);
    let [terminal, dead_letter] = records.try_into().unwrap();

    let terminal_headers = headers(&terminal);
    assert_eq!(terminal_headers.kind, Some(MessageKind::Failure));
    let content_type = terminal_headers.content_type.as_deref();
    let body = terminal.value.as_ref().unwrap();
    let outcome = schemas::decode_outcome(MessageKind::Failure, content_type, body, &Limits::default());
    assert_eq!(outcome.unwrap(), Outcome::Failure(failure));

    let original = &origin.received.record;
    assert_eq!(
        (&*dead_letter.topic, &dead_letter.key, &dead_letter.value),
        ("dead", &original.key, &original.value)
    );
    assert_eq!(dead_letter.headers[..original.headers.len()], original.headers[..]);
    let pairs = dead_letter.headers.iter().map(|h| (&*h.name, h.value.as_deref()));
    let reason = DeadLetterReason::read(pairs).unwrap().unwrap();
    assert_eq!((reason.code, reason.message.as_str()), (FailureCode::Undecodable, "body: why"));
    assert_eq!((reason.topic.as_str(), reason.partition, reason.offset), ("jobs", 1, 7));
}

#[test]
fn an_outcome_too_large_for_its_topic_is_a_failure_instead() {
    let outbox = Outbox { limits: TopicLimits::new(300, Vec::new()), ..outbox(None, Some("md")) };
    let (mut origin, job) = origin(None);
    let mut records = Vec::new();
    let metrics = Metrics::new().pipeline("digits", &Stage::ALL);
    let failure = outbox.succeeded(&mut origin, processed(job), &metrics, &mut records).unwrap_err();
    assert_eq!(failure.code, FailureCode::TooLarge);
    assert_eq!(records, []);
}

#[test]
fn a_dead_letter_too_large_for_its_topic_says_that_it_lost_its_value() {
    let (origin, _) = origin(Some(vec![7; 20_000].into()));
    let failure = origin.failure(Stage::Inference, FailureCode::InvalidInput, "why", false);
    let record = dead_letter::record(&"dead".into(), &origin, &failure, 10_000);
    assert_eq!(record.value, None);
    let pairs = record.headers.iter().map(|h| (&*h.name, h.value.as_deref()));
    let reason = DeadLetterReason::read(pairs).unwrap().unwrap();
    assert_eq!(reason.message, "(value of 20000 bytes left out: too large for this topic) why");
}

#[test]
fn a_job_whose_key_and_headers_are_too_large_is_answered_with_its_id_alone() {
    let (mut origin, _) = origin(None);
    origin.headers.unknown.push(("big".into(), Some(vec![1; 20_000].into())));
    origin.received.record.headers.push(Header::new("big", vec![1; 20_000]));
    origin.received.record.key = Some(vec![2; 20_000].into());
    let failure = origin.failure(Stage::Inference, FailureCode::InvalidInput, "why", false);
    let mut records = Vec::new();
    outbox(None, None).failed(
        &mut origin,
        failure,
        &Metrics::new().pipeline("digits", &Stage::ALL),
        &mut records,
    );
    for record in &records {
        assert!(fits(record, 10_000), "{record:?}");
        assert_eq!(headers(record).id.unwrap().as_str(), "job-1");
        assert_eq!(record.key, None);
    }
    let reason = DeadLetterReason::read(records[1].headers.iter().map(|h| (&*h.name, h.value.as_deref())));
    assert!(reason.unwrap().unwrap().message.contains("key and headers left out"));
}
