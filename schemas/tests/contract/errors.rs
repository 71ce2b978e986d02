//! What refusals say, and what they never say.

use bytes::Bytes;
use schemas::{Limits, MessageKind, decode_job, decode_outcome};

fn json(body: &str) -> String {
    let body = Bytes::copy_from_slice(body.as_bytes());
    decode_job(Some("application/json"), &body, &Limits::default()).unwrap_err().to_string()
}

fn packed(body: &[u8]) -> String {
    decode_job(Some("application/msgpack"), &Bytes::copy_from_slice(body), &Limits::default())
        .unwrap_err()
        .to_string()
}

fn check_json(body: &str, expect: &str) {
    assert_eq!(json(body), expect, "{body}");
}

fn check_packed(body: &[u8], expect: &str) {
    assert_eq!(packed(body), expect);
}

fn check_tensor(datatype: &str, shape: &str, data: &str, expect: &str) {
    let body =
        format!(r#"{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":{shape},"data":{data}}}]}}"#);
    check_json(&body, expect);
}

#[test]
fn of_json() {
    check_json("", "body: is empty");
    check_json("hello", "body: is not JSON from byte 0");
    check_json("{\"inputs\":[]", "body: ends too early");
    check_json("{\"inputs\":[]} x", "body: 1 bytes follow the JSON value");
    check_json("{\"inputs\":7}", "inputs: must be an array, is a number");
    check_json("{\"inputs\":[true]}", "inputs[0]: must be an object, is a boolean");
    check_json("{\"inputs\":[{}]}", "inputs[0].name: is missing");
    check_json(
        "{\"inputs\":[],\"parameters\":{\"k\":[]}}",
        "parameters.k: must be a boolean, a number or a string, is an array",
    );
    check_tensor(
        "FP8",
        "[1]",
        "[1]",
        "inputs[0].datatype: is \"FP8\": unknown datatype; known are BOOL, UINT8 to UINT64, \
        INT8 to INT64, FP16, BF16, FP32, FP64 and BYTES",
    );
    check_tensor(
        "FP16",
        "[1]",
        "[1]",
        "inputs[0].data: is FP16, which has no form in JSON: send it as MessagePack",
    );
    check_tensor(
        "FP32",
        "[1.5]",
        "[1]",
        "inputs[0].shape[0]: must be an integer from 0 to 2^64 - 1, is another number",
    );
    check_tensor("FP32", "[3]", "[1,2]", "inputs[0].data: has 2 elements where the shape makes 3");
    check_tensor("FP32", "[1]", "[1,2]", "inputs[0].data: has more elements than the 1 of the shape");
    check_tensor("FP32", "[2,1]", "[[1],2]", "inputs[0].data: is not nested as the shape says");
    check_tensor("INT8", "[2]", "[1,128]", "inputs[0].data: element 1 is not a INT8");
    check_tensor("FP32", "[1,1,1,1,1,1,1,1,1]", "[1]", "inputs[0].shape: has more than 8 dimensions");
    check_tensor("FP32", "[99999999]", "[1]", "inputs[0].shape: multiplies to more than 16777216 elements");
}

#[test]
fn of_message_pack() {
    check_packed(b"", "body: is empty");
    check_packed(b"\x90", "body: must be a map, is an array");
    check_packed(b"\xc1", "body: byte 0xc1 begins no value of MessagePack");
    check_packed(
        b"\x81\xa6inputs\xdd\xff\xff\xff\xff",
        "inputs: ends too early: 4294967295 bytes are due at byte 13, and 0 are left",
    );
    check_packed(b"\x81\xa6inputs\x90\xc0", "body: 1 bytes follow the map");
    check_packed(b"\x81\x01\x90", "body: has a key that is an int, not a str");
    check_packed(b"\x80", "inputs: is missing");
    check_packed(b"\x81\xa6inputs\x91\x81\xa4data\xa1x", "inputs[0].data: must be a bin, is a str");
    check_packed(b"\x81\xa6inputs\x91\x82\xa4name\xa0\xa4name\xa0", "inputs[0].name: comes twice");
}

#[test]
fn limits_are_those_given() {
    let limits =
        Limits { max_record_bytes: 8, max_tensors: 0, max_rank: 0, max_elements: 0, max_parameters: 0 };
    let check = |content_type, body: &'static [u8], expect: &str| {
        let error = decode_job(content_type, &Bytes::from_static(body), &limits).unwrap_err();
        assert_eq!(error.to_string(), expect);
    };
    check(None, b"123456789", "body: has 9 bytes, more than 8");
    check(Some("application/json"), b"123456789", "body: has 9 bytes, more than 8");
    let limits = Limits { max_record_bytes: 999, ..limits };
    let check = |body: &'static str, expect: &str| {
        let body = Bytes::from_static(body.as_bytes());
        assert_eq!(decode_job(Some("application/json"), &body, &limits).unwrap_err().to_string(), expect);
    };
    check("{\"inputs\":[{}]}", "inputs: has more than 0 tensors");
    check("{\"inputs\":[],\"parameters\":{\"a\":1}}", "parameters.a: has more than 0 parameters before it");
}

#[test]
fn outcomes_are_no_jobs_and_never_raw() {
    let check = |kind, content_type, expect: &str| {
        let error =
            decode_outcome(kind, content_type, &Bytes::from_static(b"\x80"), &Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), expect);
    };
    check(MessageKind::Result, None, "headers.content-type: is absent; an outcome is MessagePack or JSON");
    check(
        MessageKind::Failure,
        Some("text/plain"),
        "headers.content-type: is \"text/plain\"; an outcome is MessagePack or JSON",
    );
    check(MessageKind::Job, Some("application/msgpack"), "headers.ce_type: is a job, not an outcome");
    check(MessageKind::Failure, Some("application/msgpack"), "stage: is missing");
}

#[test]
fn payloads_are_never_quoted() {
    const SECRET: &str = "S3CR3T-S3CR3T";
    let check = |message: String| assert!(!message.contains("S3CR3T"), "{message}");
    for value in [
        format!("\"{SECRET}\""),
        format!("[\"{SECRET}\"]"),
        format!("{{\"a\":\"{SECRET}\""),
        format!("[[\"{SECRET}\""),
        format!("\"{SECRET}\\x\""),
        SECRET.to_owned(),
    ] {
        check(json(&value[..value.len() - 1]));
        check(json(&format!("{{\"inputs\":{value}}}")));
        check(json(&format!("{{\"inputs\":[],\"parameters\":{{\"k\":[{value}]}}}}")));
        check(json(&format!("{{\"inputs\":[],\"parameters\":{value}}}")));
        check(json(&format!("{{\"inputs\":[],\"unknown\":{value}x}}")));
        for datatype in ["FP32", "INT8", "BOOL", "FP16"] {
            let tensor =
                format!("{{\"name\":\"x\",\"datatype\":\"{datatype}\",\"shape\":[1],\"data\":{value}}}");
            check(json(&format!("{{\"inputs\":[{tensor}]}}")));
        }
        let shape = format!("{{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[{value}],\"data\":[1]}}");
        check(json(&format!("{{\"inputs\":[{shape}]}}")));
    }
    let str_value = [&[0xa0 | 13], SECRET.as_bytes()].concat();
    let bin_value = [&[0xc4, 13], SECRET.as_bytes()].concat();
    for value in [str_value, bin_value] {
        check(packed(&value));
        check(packed(&[b"\x81\xa6inputs", &value[..]].concat()));
        check(packed(&[b"\x81\xa6inputs\x91", &value[..]].concat()));
        check(packed(&[b"\x81\xa6inputs\x91\x81\xa5shape", &value[..]].concat()));
        check(packed(&[b"\x81\xa6inputs\x91\x81\xa5shape\x91", &value[..]].concat()));
        check(packed(&[b"\x82\xa6inputs\x90\xaaparameters", &value[..]].concat()));
        check(packed(&[b"\x82\xa6inputs\x90\xaaparameters\x81\xa1k\x91", &value[..]].concat()));
        check(packed(&[b"\x81\xa6inputs\x90", &value[..]].concat()));
    }
}

#[test]
fn names_are_quoted_short() {
    let long = "n".repeat(5000);
    let message = json(&format!("{{\"inputs\":[],\"parameters\":{{\"{long}\":null}}}}"));
    assert_eq!(
        message.len(),
        "parameters.: must be a boolean, a number or a string, is null".len() + 40 + "…".len()
    );
    assert!(json(&format!("{{\"inputs\":[{{\"datatype\":\"{long}\"}}]}}")).len() < 250);
}
