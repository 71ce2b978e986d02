use schemas::Encoding;
use transport::{Header, Offset, Partition, Record};

use super::*;
use crate::answers::{RESULTS, failed, labelled, terminal_of};

fn reader(filter: ResultFilter) -> OutcomeReader {
    OutcomeReader { pipeline: "digits".to_owned(), filter, limits: Limits::default() }
}

fn position() -> Position {
    Position { partition: Partition::new(RESULTS, 2), offset: Offset::new(41) }
}

fn read(filter: ResultFilter, record: Record) -> Option<Result<JobOutcome, UndecodableResult>> {
    reader(filter).read(Received { record, position: position(), timestamp_ms: None })
}

fn fault(record: Record) -> (Option<String>, String) {
    let undecodable = read(ResultFilter::all(), record).expect("wanted").expect_err("undecodable");
    assert_eq!(undecodable.position, position());
    assert!(undecodable.to_string().contains("millstream.digits.results/2/41"), "{undecodable}");
    (undecodable.id.map(|id| id.to_string()), undecodable.fault.path)
}

fn without(mut record: Record, name: &str) -> Record {
    record.headers.retain(|header| header.name != name);
    record
}

fn with(record: Record, name: &'static str, value: &'static [u8]) -> Record {
    let mut record = without(record, name);
    record.headers.push(Header::new(name, value));
    record
}

#[test]
fn results_and_failures_are_read() {
    for outcome in [labelled("seven"), failed("no image")] {
        let record = terminal_of("a", &outcome).with_key("k").with_header("mine", "1");
        let read = read(ResultFilter::all(), record).unwrap().unwrap();
        assert_eq!((read.id.as_str(), &read.outcome), ("a", &outcome));
        assert_eq!(read.key.as_deref(), Some(b"k".as_slice()));
        assert_eq!(read.position, position());
        assert_eq!(read.headers.unknown, [("mine".to_owned(), Some(Bytes::from("1")))]);
    }
}

#[test]
fn json_results_are_read_too() {
    let body = schemas::encode_outcome(&labelled("seven"), Encoding::Json).unwrap();
    let record = Record { value: Some(body), ..terminal_of("a", &labelled("seven")) };
    let read = read(ResultFilter::all(), with(record, "content-type", b"application/json")).unwrap().unwrap();
    assert_eq!(read.outcome, labelled("seven"));
}

#[test]
fn what_is_broken_says_where() {
    let good = || terminal_of("a", &labelled("seven"));
    let id = Some("a".to_owned());
    assert_eq!(fault(without(good(), "ce_id")), (None, "headers.ce_id".to_owned()));
    assert_eq!(fault(with(good(), "ce_id", b"\xff")), (None, "headers.ce_id".to_owned()));
    assert_eq!(fault(without(good(), "ce_type")), (id.clone(), "headers.ce_type".to_owned()));
    assert_eq!(fault(without(good(), "content-type")), (id.clone(), "headers.content-type".to_owned()));
    assert_eq!(fault(Record { value: None, ..good() }), (id.clone(), "body".to_owned()));
    assert_eq!(fault(Record { value: Some(Bytes::new()), ..good() }).0, id);
    assert_eq!(fault(with(good(), "ce_type", b"dev.millstream.job.v1")).0, id);
}

fn check(filter: &ResultFilter, record: Record, is_wanted: bool) {
    assert_eq!(read(filter.clone(), record).is_some(), is_wanted);
}

#[test]
fn other_pipelines_of_the_topic_are_not_ours() {
    let good = || terminal_of("a", &labelled("seven"));
    let all = ResultFilter::all();
    check(&all, with(good(), "ce_subject", b"letters"), false);
    check(&all, without(good(), "ce_subject"), true);
}

#[test]
fn filters() {
    let good = || terminal_of("a", &labelled("seven"));
    let of_jobs = ResultFilter::of_jobs(["a".parse().unwrap(), "b".parse().unwrap()]);
    check(&of_jobs, good(), true);
    check(&of_jobs, terminal_of("c", &labelled("seven")), false);
    let of_batch = ResultFilter::of_batch("monday");
    check(&of_batch, with(good(), "ce_batchid", b"monday"), true);
    check(&of_batch, with(good(), "ce_batchid", b"tuesday"), false);
    check(&of_batch, good(), false);
    // What cannot be read cannot be ruled out.
    check(&of_jobs, with(good(), "ce_id", b"\xff"), true);
    check(&of_batch, with(good(), "ce_batchid", b"\xff"), true);
}
