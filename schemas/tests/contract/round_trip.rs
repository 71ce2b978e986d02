//! Whatever is written reads back as it was, in every encoding.

use crate::strategies::{self, For};
use bytes::Bytes;
use proptest::prelude::*;
use schemas::{
    DeadLetterReason, EncodeError, Encoding, FailureCode, Headers, Job, Limits, Tensor, Timestamp,
    decode_job, decode_outcome, encode_job, encode_job_as, encode_outcome,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn jobs_in_message_pack(job in strategies::job(For::MessagePack)) {
        let body = encode_job(&job).unwrap();
        prop_assert_eq!(decode_job(Some("application/vnd.msgpack"), &body, &Limits::default()), Ok(job));
    }

    #[test]
    fn jobs_in_json(job in strategies::job(For::Json)) {
        let body = encode_job_as(&job, Encoding::Json).unwrap();
        prop_assert_eq!(decode_job(Some("application/json"), &body, &Limits::default()), Ok(job));
    }

    #[test]
    fn raw_payloads(payload in prop::collection::vec(any::<u8>(), 0..200), content_type in prop::option::of("text/[a-z]{1,9}")) {
        let body = Bytes::from(payload);
        let job = decode_job(content_type.as_deref(), &body, &Limits::default()).unwrap();
        prop_assert_eq!(job.raw_payload(), Some(body));
        // On its next hop the same job travels as MessagePack, and keeps what kind of payload it is.
        let next = decode_job(Some("application/msgpack"), &encode_job(&job).unwrap(), &Limits::default()).unwrap();
        prop_assert_eq!(next, job);
    }

    #[test]
    fn outcomes_in_message_pack(outcome in strategies::outcome(For::MessagePack)) {
        let body = encode_outcome(&outcome, Encoding::MessagePack).unwrap();
        let read = decode_outcome(outcome.kind(), Some("application/vnd.msgpack"), &body, &Limits::default());
        prop_assert_eq!(read, Ok(outcome));
    }

    #[test]
    fn outcomes_in_json(outcome in strategies::outcome(For::Json)) {
        let body = encode_outcome(&outcome, Encoding::Json).unwrap();
        let read = decode_outcome(outcome.kind(), Some("application/json"), &body, &Limits::default());
        prop_assert_eq!(read, Ok(outcome));
    }

    #[test]
    fn headers(headers in strategies::headers()) {
        let written = headers.write();
        let pairs = written.iter().map(|(name, value)| (name.as_ref(), value.as_deref()));
        prop_assert_eq!(Headers::read(pairs), (headers, None));
    }

    #[test]
    fn dead_letters(
        code in prop::sample::select(&FailureCode::ALL[..]),
        (message, stage, topic) in (".{0,40}", ".{0,9}", ".{0,20}"),
        (partition, offset, time) in (any::<i32>(), any::<i64>(), any::<i64>().prop_map(Timestamp::from_unix_micros)),
        headers in strategies::headers(),
    ) {
        let reason = DeadLetterReason { code, message, stage, topic, partition, offset, time };
        let letter = reason.onto(headers.write());
        let pairs = || letter.iter().map(|(name, value)| (name.as_ref(), value.as_deref()));
        prop_assert_eq!(DeadLetterReason::read(pairs()), Ok(Some(reason)));
        prop_assert_eq!(Headers::read(pairs()), (headers, None));
    }
}

fn image() -> Job {
    let pixels: Vec<f32> = (0..3 * 224 * 224).map(|index| index as f32 * 0.5).collect();
    Job::new([Tensor::from_elements("image", [1, 3, 224, 224], &pixels).unwrap()])
}

#[test]
fn data_of_a_decoded_tensor_lies_in_the_record() {
    let body = encode_job(&image()).unwrap();
    let job = decode_job(Some("application/vnd.msgpack"), &body, &Limits::default()).unwrap();
    let (record, data) = (body.as_ptr_range(), job.inputs[0].data().as_ptr_range());
    assert!(record.contains(&data.start) && data.end <= record.end);
    assert_eq!(job.inputs[0].data().len(), 3 * 224 * 224 * 4);
    // The slice keeps the record alive.
    drop(body);
    assert_eq!(job, image());
}

#[test]
fn the_envelope_of_a_job_is_small() {
    assert_eq!(encode_job(&image()).unwrap().len() - 3 * 224 * 224 * 4, 58);
}

#[test]
fn json_says_what_it_cannot_carry() {
    let check = |tensor: Tensor, expect: &str| {
        let job = Job::new([Tensor::from_elements("first", [1], &[1_u8]).unwrap(), tensor]);
        let error = encode_job_as(&job, Encoding::Json).unwrap_err();
        assert_eq!(error.to_string(), format!("inputs[1].data: {expect}; write it as MessagePack"));
    };
    let half = Tensor::new("x", schemas::Datatype::Fp16, [1], vec![0, 0]).unwrap();
    check(half, "FP16 and BF16 have no form in JSON");
    let nan = "NaN and infinities have no form in JSON";
    check(Tensor::from_elements("x", [2], &[1.0, f32::NAN]).unwrap(), nan);
    check(Tensor::from_elements("x", [2], &[1.0, f64::NEG_INFINITY]).unwrap(), nan);
    check(
        Tensor::from_byte_strings("x", [1], [b"\xff"]).unwrap(),
        "BYTES that are not UTF-8 have no form in JSON",
    );

    let mut job = Job::default();
    job.parameters.insert("p".into(), f64::NAN.into());
    let path = "parameters.p".to_owned();
    assert_eq!(encode_job_as(&job, Encoding::Json), Err(EncodeError::NotInJson { path, reason: nan }));
}
