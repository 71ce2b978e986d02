use super::*;
use crate::{DeadLetterReason, FailureCode};

type Pair = (&'static str, Option<&'static [u8]>);

fn check_fault(pairs: &[Pair], expect: &str) -> Headers {
    let (headers, fault) = Headers::read(pairs.iter().copied());
    let fault = fault.expect("a fault");
    assert_eq!((fault.to_string().as_str(), fault.code), (expect, FailureCode::InvalidInput));
    headers
}

fn check_round_trip(pairs: &[Pair]) -> Headers {
    let (headers, fault) = Headers::read(pairs.iter().copied());
    assert_eq!(fault, None);
    let written = headers.write();
    let written: Vec<_> = written.iter().map(|(name, value)| (name.as_ref(), value.as_deref())).collect();
    assert_eq!(written, pairs);
    headers
}

#[test]
fn everything_is_written_as_it_was_read() {
    let headers = check_round_trip(&[
        ("ce_specversion", Some(b"1.0")),
        ("ce_id", Some(b"a")),
        ("ce_type", Some(b"dev.millstream.result.v1")),
        ("ce_source", Some(b"/millstream/digits/inference")),
        ("ce_subject", Some(b"digits")),
        ("ce_time", Some(b"2026-01-01t00:00:00.5+02:00")),
        ("ce_deadline", Some(b"2026-01-01T00:01:00Z")),
        ("ce_batchid", Some(b"b")),
        ("ce_attempt", Some(b"2")),
        ("ce_replyto", Some(b"r")),
        ("ce_priority", Some(b"high")),
        ("content-type", Some(b"application/vnd.msgpack")),
        ("traceparent", Some(b"anything")),
        ("tracestate", Some(b"a=b")),
        ("ms_model", Some(b"digits")),
        ("ms_model_version", Some(b"1")),
        ("ms_model_digest", Some(b"00")),
        ("ms_pipeline_digest", Some(b"ff")),
        ("x", Some(b"\xff")),
        ("x", None),
        ("X-Other", Some(b"")),
    ]);
    assert_eq!(headers.time.unwrap().unix_micros(), 1_767_218_400_500_000);
    assert_eq!(headers.kind, Some(MessageKind::Result));
    assert_eq!(headers.unknown.len(), 3);
}

#[test]
fn none_at_all() {
    assert_eq!(Headers::read([]), (Headers::default(), None));
    assert_eq!(Headers::default().write(), [("ce_specversion".into(), Some(Bytes::from("1.0")))]);
}

#[test]
fn faults() {
    check_fault(&[("ce_specversion", Some(b"0.3"))], "headers.ce_specversion: is \"0.3\", not \"1.0\"");
    check_fault(&[("ce_id", Some(b""))], "headers.ce_id: is empty");
    check_fault(&[("ce_id", Some(&[b'a'; 257]))], "headers.ce_id: has 257 bytes, more than 256");
    check_fault(&[("ce_type", Some(b"x"))], "headers.ce_type: is \"x\", not a type of this contract");
    check_fault(&[("ce_subject", Some(b"\xff"))], "headers.ce_subject: is not UTF-8");
    check_fault(&[("ce_subject", None)], "headers.ce_subject: has no value");
    check_fault(&[("traceparent", Some(b"\xff"))], "headers.traceparent: is not UTF-8");
    let time = "headers.ce_time: is not an RFC 3339 time such as 2026-01-31T12:00:00.5Z";
    check_fault(&[("ce_time", Some(b"yesterday"))], time);
    for attempt in [&b"0"[..], b"-1", b"+1", b"01", b"4294967296", b"1.0", b""] {
        check_fault(&[("ce_attempt", Some(attempt))], "headers.ce_attempt: is not a whole number from 1");
    }
}

#[test]
fn the_first_fault_is_told_and_the_rest_is_read() {
    let pairs: [Pair; 4] =
        [("ce_time", Some(b"x")), ("ce_id", Some(b"\xff")), ("ce_subject", Some(b"p")), ("k", Some(b"v"))];
    let headers =
        check_fault(&pairs, "headers.ce_time: is not an RFC 3339 time such as 2026-01-31T12:00:00.5Z");
    assert_eq!((headers.id, headers.time, headers.subject.as_deref()), (None, None, Some("p")));
    assert_eq!(headers.unknown.len(), 1);
}

#[test]
fn repeated_headers() {
    let twice: [Pair; 3] = [("ce_id", Some(b"a")), ("ce_id", Some(b"b")), ("ce_id", Some(b"c"))];
    assert_eq!(check_fault(&twice, "headers.ce_id: comes twice").id, None);
    let (headers, fault) = Headers::read([("tracestate", Some(&b"a=1"[..])), ("tracestate", Some(b"a=2"))]);
    assert_eq!((headers.tracestate.as_deref(), fault), (Some("a=2"), None));
}

#[test]
fn a_trace_goes_on_or_starts_anew() {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let with = |traceparent: &str| Headers {
        traceparent: Some(traceparent.to_owned()),
        tracestate: Some("a=1".to_owned()),
        ..Headers::default()
    };
    let mut headers = with(traceparent);
    let span = headers.renew_trace("/here");
    assert_eq!(span.trace_id(), TraceContext::parse(traceparent).unwrap().trace_id());
    assert_eq!(headers.traceparent.as_deref(), Some(span.to_string().as_str()));
    assert_eq!(headers.tracestate.as_deref(), Some("a=1"));

    let mut broken = with("00-zz");
    let span = broken.renew_trace("/here");
    assert_eq!(broken.traceparent, Some(span.to_string()));
    assert_eq!(broken.tracestate, None);
}

#[test]
fn a_hop_that_is_repeated_has_the_same_span() {
    let renewed = |id: Option<&str>, traceparent: Option<&str>, hop: &str| {
        let id = id.map(|id| id.parse().unwrap());
        let traceparent = traceparent.map(str::to_owned);
        Headers { id, traceparent, ..Headers::default() }.renew_trace(hop)
    };
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for before in [None, Some(traceparent), Some("broken")] {
        assert_eq!(renewed(Some("a"), before, "/here"), renewed(Some("a"), before, "/here"));
        assert_ne!(renewed(Some("a"), before, "/here"), renewed(Some("a"), before, "/there"));
    }
    // A trace of the caller's is not that of the job, so the id does not matter.
    assert_eq!(
        renewed(Some("a"), Some(traceparent), "/here"),
        renewed(Some("b"), Some(traceparent), "/here")
    );
    assert_ne!(renewed(None, None, "/here"), renewed(None, None, "/here"));
}

#[test]
fn a_dead_letter_replaces_the_reason_of_an_older_one() {
    let reason = DeadLetterReason {
        code: FailureCode::ModelError,
        message: "é".repeat(1000),
        stage: "inference".into(),
        topic: "millstream.digits.inference".into(),
        partition: 3,
        offset: 1 << 40,
        time: Timestamp::from_unix_micros(0),
    };
    let original = [("k", Some(Bytes::from("v"))), ("ms_error_code", Some("x".into())), ("k", None)];
    let letter = reason.onto(original);
    assert_eq!(letter.len(), 9);
    assert_eq!((letter[0].0.as_ref(), letter[1].0.as_ref(), &letter[1].1), ("k", "k", &None));
    let pairs = || letter.iter().map(|(name, value)| (name.as_ref(), value.as_deref()));
    let read = DeadLetterReason::read(pairs()).unwrap().unwrap();
    assert_eq!(read, DeadLetterReason { message: "é".repeat(512), ..reason.clone() });
    assert_eq!(reason.onto(letter.clone()).len(), 9);

    // Submitted again, the record is a job like any other: the old reason does not travel with it.
    let (headers, fault) = Headers::read(pairs());
    assert_eq!((headers.unknown.len(), fault), (2, None));

    assert_eq!(DeadLetterReason::read([("k", None)]), Ok(None));
    let bad = DeadLetterReason::read([("ms_error_code", Some(&b"x"[..]))]).unwrap_err();
    assert_eq!(bad.to_string(), "headers.ms_error_code: unknown failure code \"x\"");
    let bad = DeadLetterReason::read([("ms_error_code", Some(&b"timeout"[..]))]).unwrap_err();
    assert_eq!(bad.to_string(), "headers.ms_error_message: is missing");
}

#[test]
fn headers_of_a_retry_stay_in_the_retry_topic() {
    let pairs: [Pair; 3] =
        [("ms_retry_topic", Some(b"t")), ("ms_retry_due", Some(b"2026-01-01T00:00:00Z")), ("k", Some(b"v"))];
    let (headers, fault) = Headers::read(pairs);
    assert_eq!((headers.unknown, fault), (vec![("k".to_owned(), Some("v".into()))], None));
}
