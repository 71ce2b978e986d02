//! Jobs that are read, as MessagePack and as raw payloads.

use half::{bf16, f16};
use schemas::{
    Datatype, DeadLetterReason, Element, FailureCode, Job, MessageKind, Parameter, Parameters, Tensor,
    encode_job,
};

use super::packed::{Array, Bin, Bool, Bytes, F32, Int, Map, Nil, Packed, Str, job_beside, tensor};
use super::{JSON, MESSAGE_PACK, Meaning, Vector, pair, producer_headers};

pub(crate) fn all() -> Vec<Vector> {
    let mut all = datatypes();
    all.extend(shapes());
    all.extend(parameters());
    all.extend(other_spellings());
    all.extend(headers());
    all.extend(raw());
    all
}

fn written(name: &str, about: &'static str, job: &Job) -> Vector {
    Vector {
        name: format!("job-{name}"),
        about,
        kind: MessageKind::Job,
        headers: producer_headers(MessageKind::Job, MESSAGE_PACK),
        body: encode_job(job).expect("small").to_vec(),
        meaning: Meaning::Job { job: job.clone(), canonical: true },
    }
}

/// A job that this crate writes otherwise.
fn spelled(name: &str, about: &'static str, body: &Packed, job: Job) -> Vector {
    Vector {
        body: body.bytes(),
        meaning: Meaning::Job { job, canonical: false },
        ..written(name, about, &Job::default())
    }
}

/// One tensor of these elements, in one dimension.
pub(crate) fn row<T: Element>(elements: &[T]) -> Tensor {
    Tensor::from_elements("x", [elements.len() as u64], elements).expect("the shape is that of the elements")
}

/// The job of `packed::tensor`.
fn plain() -> Job {
    Job::new([row(&[1.0_f32, -2.0])])
}

fn datatypes() -> Vec<Vector> {
    let halves = [f16::ONE, f16::from_f32(-0.333), f16::MAX, f16::from_bits(1), f16::INFINITY, f16::NAN];
    let brains =
        [bf16::ONE, bf16::from_f32(-0.333), bf16::MAX, bf16::from_bits(1), bf16::NEG_INFINITY, bf16::NAN];
    let half_data: Vec<u8> = halves.iter().flat_map(|value| value.to_le_bytes()).collect();
    let brain_data: Vec<u8> = brains.iter().flat_map(|value| value.to_le_bytes()).collect();
    let singles = [1.5, -0.0, f32::MIN_POSITIVE, f32::MAX, 0.1, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let doubles = [1.5, -0.0, f64::MIN_POSITIVE, f64::MAX, 0.1, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let tensors = [
        ("bool", row(&[true, false, true])),
        ("uint8", row(&[0_u8, 1, u8::MAX])),
        ("uint16", row(&[0_u16, 1, u16::MAX])),
        ("uint32", row(&[0_u32, 1, u32::MAX])),
        ("uint64", row(&[0_u64, 1, u64::MAX])),
        ("int8", row(&[i8::MIN, -1, i8::MAX])),
        ("int16", row(&[i16::MIN, -1, i16::MAX])),
        ("int32", row(&[i32::MIN, -1, i32::MAX])),
        ("int64", row(&[i64::MIN, -1, i64::MAX])),
        ("fp16", Tensor::new("x", Datatype::Fp16, [6], half_data).expect("six elements")),
        ("bf16", Tensor::new("x", Datatype::Bf16, [6], brain_data).expect("six elements")),
        ("fp32", row(&singles)),
        ("fp64", row(&doubles)),
        ("bytes", Tensor::from_byte_strings("x", [3], ["abc", "", "süß"]).expect("three elements")),
    ];
    tensors.map(|(name, tensor)| written(name, "one tensor of this datatype", &Job::new([tensor]))).into()
}

fn shapes() -> Vec<Vector> {
    let of = |shape: &[u64], elements: &[i32]| {
        Tensor::from_elements("x", shape, elements).expect("a shape that fits")
    };
    let not_utf8: [&[u8]; 3] = [b"\xff\xfe", b"\x00", b"\xc3\x28"];
    let no_bytes: [&[u8]; 0] = [];
    let bytes = |shape: &[u64], items: &[&[u8]]| {
        Tensor::from_byte_strings("b", shape, items).expect("a shape that fits")
    };
    let many = (0..20).map(|index| of(&[1], &[index]).renamed(format!("input {index}"))).collect::<Vec<_>>();
    let elements: Vec<i32> = (0..6).collect();
    vec![
        written(
            "scalar",
            "rank 0: no dimensions, one element",
            &Job::new([of(&[], &[7]), bytes(&[], &[b"s"])]),
        ),
        written(
            "empty-tensor",
            "a dimension is 0: no elements",
            &Job::new([of(&[0], &[]), of(&[2, 0, 3], &[]), bytes(&[0], &no_bytes)]),
        ),
        written(
            "rank-8",
            "as many dimensions as there can be",
            &Job::new([of(&[1, 1, 2, 1, 1, 3, 1, 1], &elements)]),
        ),
        written("bytes-not-utf8", "BYTES hold any bytes", &Job::new([bytes(&[3], &not_utf8)])),
        written(
            "bytes-matrix",
            "BYTES in two dimensions",
            &Job::new([bytes(&[2, 2], &[b"a", b"bb", b"ccc", b""])]),
        ),
        written("many-tensors", "twenty tensors, more than a fixarray holds", &Job::new(many)),
        written("no-tensors", "an empty list of inputs", &Job::default()),
        written("long-data", "data long enough for bin 16", &Job::new([row(&vec![0.25_f32; 300])])),
        written(
            "names",
            "names are any text",
            &Job::new([of(&[1], &[1]).renamed(""), of(&[1], &[2]).renamed("Größe \"x\"\n")]),
        ),
    ]
}

fn parameters() -> Vec<Vector> {
    let parameters = Parameters::from([
        ("bool".to_owned(), true.into()),
        ("float".to_owned(), 0.1.into()),
        ("float-whole".to_owned(), 2.0.into()),
        ("int".to_owned(), 1_i64.into()),
        ("int-max".to_owned(), i64::MAX.into()),
        ("int-min".to_owned(), i64::MIN.into()),
        ("str".to_owned(), "wört".into()),
        (String::new(), "".into()),
    ]);
    let sheet = Parameters::from([
        ("queue_us".to_owned(), 1200_i64.into()),
        ("preprocess_us".to_owned(), 35_i64.into()),
    ]);
    vec![
        written("parameters", "every kind of parameter, sorted by name", &Job { parameters, ..plain() }),
        written("time-sheet", "between stages, the time sheet so far", &Job { parameters: sheet, ..plain() }),
        spelled(
            "parameters-empty",
            "an empty map of parameters is none",
            &job_beside("parameters", Map(vec![])),
            plain(),
        ),
        spelled(
            "parameter-float32",
            "a float 32 is the same number as a double",
            &job_beside("parameters", Map(vec![("p", F32(0.5))])),
            Job { parameters: Parameters::from([("p".to_owned(), Parameter::Float(0.5))]), ..plain() },
        ),
    ]
}

fn other_spellings() -> Vec<Vector> {
    let nested =
        Map(vec![("deep", Array(vec![Nil, Bool(true), Int(-5), Map(vec![("a", Bin(vec![1, 2]))])]))]);
    let extension = Bytes(vec![0xd6, 5, 1, 2, 3, 4]);
    let mut unknown_in_tensor = tensor();
    unknown_in_tensor.insert(1, ("parameters", nested.clone()));
    let unknown = Map(vec![
        ("id", Str("ignored")),
        ("nested", nested),
        ("inputs", Array(vec![Map(unknown_in_tensor)])),
        ("extension", extension),
        ("inputs ", Nil),
        ("id", Str("twice")),
    ]);
    let mut reversed = tensor();
    reversed.reverse();
    // str 8, array 32, uint 64, bin 32 and map 16 where shorter forms would do.
    let wide = Bytes(
        [
            &[0xde, 0, 1, 0xd9, 6][..],
            b"inputs",
            &[0xdd, 0, 0, 0, 1, 0xdf, 0, 0, 0, 4, 0xda, 0, 4],
            b"name",
            &[0xdb, 0, 0, 0, 1, b'x', 0xa8],
            b"datatype",
            &[0xd9, 4],
            b"FP32",
            &[0xa5],
            b"shape",
            &[0xdc, 0, 1, 0xcf, 0, 0, 0, 0, 0, 0, 0, 2, 0xa4],
            b"data",
            &[0xc6, 0, 0, 0, 8, 0, 0, 128, 63, 0, 0, 0, 192],
        ]
        .concat(),
    );
    let mut signed = tensor();
    signed[2].1 = Array(vec![Bytes(vec![0xd0, 2])]);
    let mut all = vec![
        spelled(
            "unknown-keys",
            "keys the contract does not know are ignored, whatever they hold",
            &unknown,
            plain(),
        ),
        spelled(
            "key-order",
            "keys come in any order",
            &Map(vec![("inputs", Array(vec![Map(reversed)]))]),
            plain(),
        ),
        spelled("wide-forms", "lengths and integers in longer forms than they need", &wide, plain()),
        spelled(
            "signed-dimension",
            "a positive integer in a signed form",
            &Map(vec![("inputs", Array(vec![Map(signed)]))]),
            plain(),
        ),
    ];
    for (name, content_type) in [
        ("msgpack", "application/msgpack"),
        ("x-msgpack", "application/x-msgpack"),
        ("case", "Application/VND.MsgPack; v=1"),
    ] {
        let mut vector = written(&format!("content-type-{name}"), "other names of MessagePack", &plain());
        vector.headers = producer_headers(MessageKind::Job, content_type);
        all.push(vector);
    }
    all
}

fn headers() -> Vec<Vector> {
    let with = |name: &str, about, headers: Vec<(String, Option<Vec<u8>>)>| Vector {
        headers,
        ..written(&format!("headers-{name}"), about, &plain())
    };
    let mut every = producer_headers(MessageKind::Job, MESSAGE_PACK);
    every.extend([
        pair("ce_deadline", "2026-01-31T13:00:00+01:00"),
        pair("ce_batchid", "batch 7"),
        pair("ce_attempt", "3"),
        pair("ce_replyto", "millstream.replies"),
        pair("ce_priority", "high"),
        pair("tracestate", "vendor=1"),
        pair("ms_model", "digits"),
        pair("ms_model_version", "2"),
        pair("ms_model_digest", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        pair("ms_pipeline_digest", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ]);
    let mut unknown = producer_headers(MessageKind::Job, MESSAGE_PACK);
    unknown.extend([pair("x-tenant", "a"), ("x-flag".to_owned(), None), pair("x-tenant", [0xff, 0])]);
    let mut untraced = producer_headers(MessageKind::Job, MESSAGE_PACK);
    untraced.retain(|(name, _)| name != "traceparent");
    untraced.push(pair("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
    let reason = DeadLetterReason {
        code: FailureCode::ModelError,
        message: "the model refused it".to_owned(),
        stage: "inference".to_owned(),
        topic: "millstream.vectors.inference".to_owned(),
        partition: 3,
        offset: 4_294_967_296,
        time: "2026-01-31T12:00:01.000000Z".parse().expect("a time"),
    };
    let mut dead = producer_headers(MessageKind::Job, MESSAGE_PACK);
    dead.extend(
        reason
            .write()
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.map(|value| value.to_vec()))),
    );
    let mut retry = producer_headers(MessageKind::Job, MESSAGE_PACK);
    retry.extend([
        pair("ce_attempt", "2"),
        pair("ms_retry_topic", "millstream.vectors.inference"),
        pair("ms_retry_due", "2026-01-31T12:00:05.25Z"),
        pair("ms_retry_code", "timeout"),
    ]);
    let mut replayed = producer_headers(MessageKind::Job, MESSAGE_PACK);
    replayed.push(pair("ms_replay_count", "2"));
    vec![
        with("every", "every header of the contract", every),
        with(
            "retry",
            "a job that waits to be run again: where it goes back to, when, and why it waits",
            retry,
        ),
        with(
            "replayed",
            "a job that came back from the dead letters twice: the count is passed on",
            replayed,
        ),
        with("unknown", "other headers pass through in order, repeated, without value, not UTF-8", unknown),
        with("bad-trace", "a traceparent that names no trace is no fault: the trace starts anew", untraced),
        with("dead-letter", "a dead letter: the record and why it failed", dead),
        with(
            "content-type-alone",
            "no ce_ headers: a job, named by its position",
            vec![pair("content-type", MESSAGE_PACK)],
        ),
    ]
}

fn raw() -> Vec<Vector> {
    let vector = |name: &str, about, content_type: Option<&str>, payload: &[u8]| Vector {
        name: format!("raw-{name}"),
        about,
        kind: MessageKind::Job,
        headers: content_type.map(|value| pair("content-type", value)).into_iter().collect(),
        body: payload.to_vec(),
        meaning: Meaning::Job { job: raw_job(content_type, payload), canonical: true },
    };
    let png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR";
    vec![
        vector("text", "a line of text", Some("text/plain; charset=utf-8"), "grüße\n".as_bytes()),
        vector("none", "no headers at all", None, b"just bytes"),
        vector("binary", "an image, not UTF-8", Some("image/png"), png),
        vector("empty", "a payload of no bytes", None, b""),
        vector(
            "looks-like-msgpack",
            "the content type decides, not the bytes",
            Some("application/octet-stream"),
            b"\x81\xa6inputs\x90",
        ),
        vector("json-array", "JSON that is no object with inputs", Some(JSON), b"[1, {\"inputs\": 2}]"),
        vector(
            "json-object",
            "a JSON object without inputs",
            Some(JSON),
            b"{\"prompt\": \"hi\", \"outputs\": []}",
        ),
        vector("json-scalar", "a JSON number", Some(JSON), b" 12.5e-1 "),
    ]
}

/// What a raw payload means, spelled out.
fn raw_job(content_type: Option<&str>, payload: &[u8]) -> Job {
    let tensor = Tensor::from_byte_strings("payload", [1], [payload]).expect("one element");
    let parameters = content_type.map(|value| ("content_type".to_owned(), value.into()));
    Job { inputs: vec![tensor], parameters: parameters.into_iter().collect() }
}
