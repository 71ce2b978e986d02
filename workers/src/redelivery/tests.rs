use schemas::{DeadLetterReason, Encoding, Headers, Limits, Outcome, Stage};
use stages::Provenance;
use transport::{Offset, Position};

use super::*;
use crate::metrics::Metrics;
use crate::topic_limits::TopicLimits;

/// What becomes of a record of 1,000 bytes in a retry topic, where topics take so many.
fn answer(headers: Vec<Header>, max_bytes: usize) -> (Received, Vec<Record>) {
    let metrics = Metrics::new();
    let returns = Returns {
        targets: vec!["p.preprocess".into(), "p.inference".into()],
        outbox: Outbox {
            pipeline: "p".into(),
            stage: Stage::Inference,
            next: None,
            results: "p.results".into(),
            dead_letters: "p.dead-letters".into(),
            retries: ["p.retry.5s".into(), "p.retry.1m".into(), "p.retry.10m".into()],
            source: "/millstream/p/postprocess".into(),
            encoding: Encoding::MessagePack,
            provenance: Provenance {
                model_name: "m".into(),
                model_version: "1".into(),
                model_digest: None,
                pipeline_digest: "pd".into(),
            },
            limits: TopicLimits::new(max_bytes, Vec::new()),
        },
        metrics: metrics.pipeline("p", &[Stage::Inference]),
    };
    let mut record = Record::new("p.retry.5s", vec![7; 1_000]).with_key("k");
    record.headers = headers;
    let position = Position { partition: Partition::new("p.retry.5s", 1), offset: Offset::new(7) };
    let received = Received { record, position, timestamp_ms: None };
    let mut records = Vec::new();
    returns.answer(received.clone(), &mut records);
    (received, records)
}

fn waiting(topic: &str) -> Vec<Header> {
    let retry = Retry { topic: topic.into(), due: Timestamp::now(), code: FailureCode::Timeout };
    let added = retry.write().into_iter().map(|(name, value)| Header { name, value });
    [Header::new("ce_id", "job-1"), Header::new("ce_attempt", "2")].into_iter().chain(added).collect()
}

#[test]
fn a_job_goes_back_to_its_topic_without_what_was_added() {
    let (received, records) = answer(waiting("p.inference"), 10_000);
    let [back] = &records[..] else { panic!("{records:?}") };
    assert_eq!(&*back.topic, "p.inference");
    assert_eq!((&back.key, &back.value), (&received.record.key, &received.record.value));
    let names: Vec<&str> = back.headers.iter().map(|header| &*header.name).collect();
    assert_eq!(names, ["ce_id", "ce_attempt"]);
}

#[test]
fn what_cannot_go_back_ends_as_a_failure_and_a_dead_letter() {
    let check = |headers: Vec<Header>, max_bytes, code: FailureCode, id: &str, mentions: &str| {
        let (received, records) = answer(headers, max_bytes);
        let [terminal, dead_letter] = &records[..] else { panic!("{records:?}") };
        assert_eq!((&*terminal.topic, &*dead_letter.topic), ("p.results", "p.dead-letters"));
        let pairs = terminal.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
        let (headers, fault) = Headers::read(pairs);
        assert_eq!((headers.id.unwrap().as_str(), fault), (id, None));
        let (kind, body) = (headers.kind.unwrap(), terminal.value.as_ref().unwrap());
        let content_type = headers.content_type.as_deref();
        let outcome = schemas::decode_outcome(kind, content_type, body, &Limits::default());
        let Ok(Outcome::Failure(failure)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((failure.code, failure.retriable), (code, false));
        assert!(failure.message.contains(mentions), "{}", failure.message);
        let pairs = dead_letter.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
        let reason = DeadLetterReason::read(pairs).unwrap().unwrap();
        assert_eq!((reason.code, reason.topic.as_str(), reason.offset), (code, "p.retry.5s", 7));
        if max_bytes > 1_000 {
            assert_eq!(dead_letter.value, received.record.value);
        }
    };
    let invalid = FailureCode::InvalidInput;
    check(Vec::new(), 10_000, invalid, "p.retry.5s/1/7", "headers.ms_retry_topic: is missing");
    check(waiting("other.secrets"), 10_000, invalid, "job-1", "no topic of a stage of this pipeline");
    check(waiting("p.inference"), 900, FailureCode::TooLarge, "job-1", "more than p.inference takes");
}
