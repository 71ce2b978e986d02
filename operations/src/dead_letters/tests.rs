//! Dead letters on the in-memory transport.

use bytes::Bytes;
use schemas::{DeadLetterReason, FailureCode, Job, JobId, Retry, Stage, Tensor, Timestamp, TopicNames};
use transport::{Header, Memory, Offset, PublishErrorKind, Publisher, Record, Transport};

use super::*;

const BEGIN_MS: i64 = 1_767_225_600_000;

/// A pipeline's topics, and dead letters on them.
struct Fixture {
    transport: Memory,
    topics: TopicNames,
    count: i64,
}

/// What is special about a dead letter.
#[derive(Clone, Copy, Default)]
struct Special<'a> {
    code: Option<FailureCode>,
    topic: Option<&'a str>,
    headers: &'a [(&'static str, &'a str)],
    without_value: bool,
    message: &'a str,
}

impl Fixture {
    fn new() -> Self {
        let (transport, topics) = (Memory::new(), TopicNames::new("millstream", "digits"));
        let all = [&topics.preprocess, &topics.inference, &topics.postprocess, &topics.dead_letters];
        for topic in all.into_iter().chain(&topics.retries) {
            transport.create_topic(topic, 2);
        }
        Self { transport, topics, count: 0 }
    }

    /// One a minute.
    async fn letter(&mut self, special: Special<'_>) {
        let Special { code, topic, headers, without_value, message } = special;
        let reason = DeadLetterReason {
            code: code.unwrap_or(FailureCode::ModelError),
            message: message.to_owned(),
            stage: Stage::Inference.to_string(),
            topic: topic.unwrap_or(&self.topics.inference).to_owned(),
            partition: 1,
            offset: 40 + self.count,
            time: minute(self.count),
        };
        self.count += 1;
        let mut record = Record::new(&*self.topics.dead_letters, "payload").with_key("k");
        record.headers =
            headers.iter().map(|(name, value)| Header::new(*name, (*value).to_owned())).collect();
        record.headers.extend(reason.write().into_iter().map(|(name, value)| Header { name, value }));
        if without_value {
            record.value = None;
        }
        let publisher = self.transport.publisher().await.unwrap();
        publisher.publish(vec![record]).await.unwrap();
    }

    async fn ends(&self) -> Ends {
        ends(&self.transport, &self.topics).await.unwrap()
    }

    async fn list(&self, filter: &Filter, limit: usize) -> Listing {
        list(&self.transport, &self.topics, filter, &self.ends().await, limit).await.unwrap()
    }

    async fn replay(&self, options: &Replay) -> Replayed {
        let ends = self.ends().await;
        replay(&self.transport, &self.topics, &Filter::default(), &ends, options).await.unwrap()
    }

    fn jobs(&self, topic: &str) -> Vec<Record> {
        self.transport.records(topic).into_iter().map(|received| received.record).collect()
    }
}

fn minute(number: i64) -> Timestamp {
    Timestamp::from_unix_millis(BEGIN_MS + number * 60_000)
}

fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let header = record.headers.iter().find(|header| header.name == name)?;
    std::str::from_utf8(header.value.as_deref()?).ok()
}

const A: Special<'_> =
    Special { code: None, topic: None, headers: &[("ce_id", "a")], without_value: false, message: "m" };

#[tokio::test]
async fn the_newest_come_first_and_all_are_counted() {
    let mut fixture = Fixture::new();
    for _ in 0..5 {
        fixture.letter(Special { headers: &[], ..A }).await;
    }
    fixture.letter(Special { code: Some(FailureCode::Timeout), ..A }).await;
    let listing = fixture.list(&Filter::default(), 2).await;
    let ids: Vec<&str> = listing.letters.iter().map(|letter| letter.id.as_str()).collect();
    assert_eq!(ids, ["a", "millstream.digits.inference/1/44"]);
    assert_eq!((listing.matching, listing.by_code["model_error"], listing.by_code["timeout"]), (6, 5, 1));
    assert_eq!(listing.by_stage["inference"], 6);
}

#[tokio::test]
async fn filters_let_through_what_they_say() {
    let mut fixture = Fixture::new();
    for code in [FailureCode::ModelError, FailureCode::Timeout, FailureCode::Expired] {
        fixture.letter(Special { code: Some(code), headers: &[("ce_subject", "digits")], ..A }).await;
    }
    fixture.letter(Special { topic: Some("another.pipeline.inference"), ..A }).await;
    let fixture = &fixture;
    let check = async |filter: Filter, expect: u64| {
        assert_eq!(fixture.list(&filter, 10).await.matching, expect, "{filter:?}");
    };
    check(Filter::default(), 3).await;
    check(Filter { codes: [FailureCode::Timeout].into(), ..Filter::default() }, 1).await;
    check(Filter { stages: [Stage::Preprocess].into(), ..Filter::default() }, 0).await;
    check(Filter { stages: [Stage::Inference].into(), ..Filter::default() }, 3).await;
    check(Filter { since: Some(minute(1)), ..Filter::default() }, 2).await;
    check(Filter { until: Some(minute(1)), ..Filter::default() }, 1).await;
    check(Filter::of_jobs([JobId::new("millstream.digits.inference/1/41").unwrap()]), 1).await;
    check(Filter { others: ["digits".to_owned()].into(), ..Filter::default() }, 0).await;
}

#[tokio::test]
async fn one_is_found_by_its_id_and_by_its_place() {
    let mut fixture = Fixture::new();
    fixture.letter(A).await;
    fixture.letter(Special { message: "newer", ..A }).await;
    let ends = fixture.ends().await;
    let find = async |filter: Filter, at| {
        find(&fixture.transport, &fixture.topics, &filter, &ends, at).await.unwrap()
    };
    let (letter, count) = find(Filter::of_jobs([JobId::new("a").unwrap()]), None).await;
    let letter = letter.unwrap();
    assert_eq!((letter.reason.message.as_str(), count), ("newer", 2));
    let place = (letter.position.partition.index, Offset::ZERO);
    assert_eq!(find(Filter::default(), Some(place)).await.0.unwrap().reason.message, "m");
    assert_eq!(find(Filter::default(), Some((place.0, Offset::new(9)))).await.0, None);
}

#[tokio::test]
async fn a_replay_begins_anew() {
    let mut fixture = Fixture::new();
    let headers = [
        ("ce_id", "a"),
        ("ce_source", "/millstream/digits/preprocess"),
        ("ce_attempt", "4"),
        ("tenant", "t"),
        ("ce_deadline", "2026-01-01T00:00:00Z"),
    ];
    fixture.letter(Special { headers: &headers, ..A }).await;
    let replayed = fixture.replay(&Replay::default()).await;
    assert_eq!((replayed.matching, replayed.sent, replayed.expired), (1, 1, 1));
    let jobs = fixture.jobs(&fixture.topics.inference);
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!((job.key.as_deref(), job.value.as_deref()), (Some(&b"k"[..]), Some(&b"payload"[..])));
    let check = |name, expect| assert_eq!(header(job, name), expect, "{name}");
    check("ce_id", Some("a"));
    check("tenant", Some("t"));
    check("ce_attempt", None);
    check("ce_source", Some("/millstream/producer/replay"));
    check("ms_error_code", None);
    check(REPLAY_COUNT, Some("1"));
    check("ce_deadline", Some("2026-01-01T00:00:00Z"));
    let reset =
        fixture.replay(&Replay { reset_deadline: true, to: ReplayTo::Start, ..Replay::default() }).await;
    assert_eq!((reset.expired, reset.deadlines_reset), (0, 1));
    assert_eq!(header(&fixture.jobs(&fixture.topics.preprocess)[0], "ce_deadline"), None);
}

#[tokio::test]
async fn a_job_without_an_id_keeps_the_one_by_which_it_failed() {
    let mut fixture = Fixture::new();
    fixture.letter(Special { headers: &[], ..A }).await;
    fixture.letter(Special { headers: &[("ce_id", "")], ..A }).await;
    fixture.replay(&Replay::default()).await;
    let jobs = fixture.jobs(&fixture.topics.inference);
    let ids: Vec<_> = jobs.iter().map(|job| header(job, "ce_id").unwrap()).collect();
    assert_eq!(ids, ["millstream.digits.inference/1/40", "millstream.digits.inference/1/41"]);
    let count = |job: &Record| job.headers.iter().filter(|header| header.name == "ce_id").count();
    assert!(jobs.iter().all(|job| count(job) == 1));
}

#[tokio::test]
async fn one_that_waited_to_be_run_again_goes_back_to_its_stage() {
    let mut fixture = Fixture::new();
    let retry =
        Retry { topic: fixture.topics.postprocess.clone(), due: minute(0), code: FailureCode::Timeout };
    let written: Vec<(&'static str, String)> = vec![
        ("ce_id", "a".to_owned()),
        ("ms_retry_topic", retry.topic.clone()),
        ("ms_retry_due", retry.due.to_string()),
        ("ms_retry_code", "timeout".to_owned()),
    ];
    let headers: Vec<_> = written.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let topic = fixture.topics.retries[0].clone();
    fixture.letter(Special { headers: &headers, topic: Some(&topic), ..A }).await;
    fixture.letter(Special { headers: &[("ce_id", "b")], topic: Some(&topic), ..A }).await;
    let replayed = fixture.replay(&Replay::default()).await;
    assert_eq!(replayed.by_topic[&fixture.topics.postprocess], 1);
    assert_eq!(replayed.by_topic[&fixture.topics.inference], 1, "the stage that gave up on it");
    assert_eq!(header(&fixture.jobs(&fixture.topics.postprocess)[0], "ms_retry_due"), None);
}

#[tokio::test]
async fn what_cannot_be_sent_is_counted_with_its_reason() {
    let mut fixture = Fixture::new();
    fixture.letter(Special { headers: &[("ce_id", "a"), (REPLAY_COUNT, "3")], ..A }).await;
    let left_out = "(value of 9 bytes left out: too large for this topic) m";
    fixture.letter(Special { headers: &[("ce_id", "b")], without_value: true, message: left_out, ..A }).await;
    fixture.letter(Special { headers: &[("ce_id", "c")], without_value: true, ..A }).await;
    fixture.letter(Special { headers: &[("ce_id", "d")], ..A }).await;
    let publisher = fixture.transport.publisher().await.unwrap();
    publisher.publish(vec![Record::new(&*fixture.topics.dead_letters, "stray")]).await.unwrap();
    fixture.transport.fail_publishes(&fixture.topics.inference, PublishErrorKind::TooLarge, 1);
    let replayed = fixture.replay(&Replay::default()).await;
    assert_eq!((replayed.sent, replayed.skipped_count()), (0, 5));
    for skip in
        [Skip::OverLimit, Skip::Truncated, Skip::WithoutValue, Skip::NotAcknowledged, Skip::Unreadable]
    {
        assert_eq!(replayed.skipped[&skip], 1, "{skip:?}");
    }
    // The limit can be raised.
    let replayed = fixture.replay(&Replay { max_replays: 4, ..Replay::default() }).await;
    assert_eq!(replayed.sent, 2);
    assert!(fixture.jobs(&fixture.topics.inference).iter().any(|job| header(job, REPLAY_COUNT) == Some("4")));
}

#[tokio::test]
async fn only_the_newest_of_a_job_is_sent_and_never_what_comes_later() {
    let mut fixture = Fixture::new();
    fixture.letter(A).await;
    fixture.letter(Special { headers: &[("ce_id", "a"), (REPLAY_COUNT, "1")], ..A }).await;
    let ends = fixture.ends().await;
    fixture.letter(Special { headers: &[("ce_id", "late")], ..A }).await;
    let options = Replay::default();
    let replayed =
        replay(&fixture.transport, &fixture.topics, &Filter::default(), &ends, &options).await.unwrap();
    assert_eq!((replayed.matching, replayed.superseded, replayed.sent), (2, 1, 1));
    assert_eq!(header(&fixture.jobs(&fixture.topics.inference)[0], REPLAY_COUNT), Some("2"));
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let mut fixture = Fixture::new();
    fixture.letter(A).await;
    let replayed = fixture.replay(&Replay { dry_run: true, ..Replay::default() }).await;
    assert_eq!((replayed.sent, replayed.by_topic[&fixture.topics.inference]), (1, 1));
    assert!(fixture.jobs(&fixture.topics.inference).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_never_exceeded() {
    let mut fixture = Fixture::new();
    for number in 0..5 {
        let id = format!("job-{number}");
        fixture.letter(Special { headers: &[("ce_id", &id)], ..A }).await;
    }
    let begin = tokio::time::Instant::now();
    fixture.replay(&Replay { rate: Some(2.0), ..Replay::default() }).await;
    assert_eq!(begin.elapsed().as_millis(), 2_000, "four pauses of half a second");
}

#[tokio::test]
async fn a_purge_keeps_what_is_newer() {
    let mut fixture = Fixture::new();
    for _ in 0..4 {
        fixture.letter(A).await;
    }
    let ends = fixture.ends().await;
    let plan = async |before: Option<Timestamp>| {
        plan_purge(&fixture.transport, &fixture.topics, &ends, before.as_ref()).await.unwrap()
    };
    let purge = plan(Some(minute(3))).await;
    assert_eq!((purge.records, purge.kept), (3, 1));
    assert_eq!(purge.below.iter().map(|(_, below)| below.get()).collect::<Vec<_>>(), [3]);
    assert_eq!(plan(Some(minute(0))).await, Purge { kept: 4, ..Purge::default() });
    assert_eq!(plan(None).await.records, 4);
}

#[test]
fn payloads_are_decoded() {
    let check = |content_type: Option<&str>, value: Option<Bytes>, expect: fn(&Payload) -> bool| {
        let mut record = Record { value, ..Record::new("d", "") };
        if let Some(content_type) = content_type {
            record.headers.push(Header::new("content-type", content_type.to_owned()));
        }
        let reason = DeadLetterReason {
            code: FailureCode::Internal,
            message: String::new(),
            stage: "inference".into(),
            topic: "t".into(),
            partition: 0,
            offset: 0,
            time: minute(0),
        };
        record.headers.extend(reason.write().into_iter().map(|(name, value)| Header { name, value }));
        let partition = transport::Partition::new("d", 0);
        let position = transport::Position { partition, offset: Offset::ZERO };
        let received = transport::Received { record, position, timestamp_ms: None };
        let payload = Payload::of(&DeadLetter::read(received).unwrap());
        assert!(expect(&payload), "{content_type:?}: {payload:?}");
    };
    let tensor = Tensor::from_elements("x", [1], &[1_i32]).unwrap();
    let job = schemas::encode_job(&Job::new([tensor])).unwrap();
    let msgpack = Some("application/vnd.msgpack");
    check(msgpack, Some(job), |payload| matches!(payload, Payload::Job(job) if job.inputs.len() == 1));
    check(msgpack, Some("\u{1}".into()), |payload| matches!(payload, Payload::Undecodable(..)));
    check(Some("text/plain"), Some("a\nb".into()), |payload| *payload == Payload::Text("a\nb".into()));
    check(Some("application/json"), Some("[1]".into()), |payload| *payload == Payload::Text("[1]".into()));
    check(None, Some(Bytes::from_static(b"\x89PNG")), |payload| matches!(payload, Payload::Binary(_)));
    check(None, None, |payload| *payload == Payload::Missing);
}
