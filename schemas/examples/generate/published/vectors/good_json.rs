//! Jobs that are read from JSON.

use schemas::{Encoding, Job, MessageKind, Parameters, Tensor, encode_job_as};

use super::good_jobs::row;
use super::{JSON, Meaning, Vector, producer_headers};

pub(crate) fn all() -> Vec<Vector> {
    let mut all = written();
    all.extend(spelled());
    all
}

fn vector(name: &str, about: &'static str, body: Vec<u8>, job: Job, canonical: bool) -> Vector {
    Vector {
        name: format!("json-{name}"),
        about,
        kind: MessageKind::Job,
        headers: producer_headers(MessageKind::Job, JSON),
        body,
        meaning: Meaning::Job { job, canonical },
    }
}

/// Jobs as this crate writes them. How floats are spelled is up to the writer, so bytes are not compared.
fn written() -> Vec<Vector> {
    let tensors = [
        ("bool", row(&[true, false])),
        ("uint8", row(&[0_u8, u8::MAX])),
        ("uint16", row(&[0_u16, u16::MAX])),
        ("uint32", row(&[0_u32, u32::MAX])),
        ("uint64", row(&[0_u64, u64::MAX])),
        ("int8", row(&[i8::MIN, i8::MAX])),
        ("int16", row(&[i16::MIN, i16::MAX])),
        ("int32", row(&[i32::MIN, i32::MAX])),
        ("int64", row(&[i64::MIN, i64::MAX])),
        ("fp32", row(&[0.1_f32, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45])),
        ("fp64", row(&[0.1_f64, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324])),
        ("bytes", Tensor::from_byte_strings("x", [3], ["süß", "", "\"\n\u{1f600}"]).expect("three elements")),
        ("empty", row::<f32>(&[])),
    ];
    let one = |(name, tensor)| {
        let mut job = Job::new([tensor]);
        job.parameters =
            Parameters::from([("float".to_owned(), 2.0.into()), ("int".to_owned(), (-3_i64).into())]);
        let body = encode_job_as(&job, Encoding::Json).expect("finite, and UTF-8").to_vec();
        vector(name, "one tensor of this datatype, data flat", body, job, false)
    };
    tensors.map(one).into()
}

fn spelled() -> Vec<Vector> {
    let of = |shape: &[u64], elements: &[f32]| {
        Tensor::from_elements("x", shape, elements).expect("a shape that fits")
    };
    let job = |tensor: Tensor| Job::new([tensor]);
    let text = |name: &str, about, body: &str, job| vector(name, about, body.as_bytes().to_vec(), job, false);
    vec![
        text(
            "nested",
            "data nested as the shape says",
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[2,2,1],"data":[[[1],[2.5]],[[-3],[4e0]]]}]}"#,
            job(of(&[2, 2, 1], &[1.0, 2.5, -3.0, 4.0])),
        ),
        text(
            "nested-empty",
            "nested data of a shape that ends in 0",
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[2,0],"data":[[],[]]}]}"#,
            job(of(&[2, 0], &[])),
        ),
        text(
            "scalar",
            "rank 0: an array of one element",
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[],"data":[5]}]}"#,
            job(of(&[], &[5.0])),
        ),
        text(
            "data-first",
            "data before the datatype and shape that say how to read it, with white space",
            "{ \"inputs\" : [ { \"data\" : [ 1 ,\t2 ] ,\r\n \"shape\":[2],\"datatype\":\"FP32\",\"name\":\"x\" } ] }\n",
            job(of(&[2], &[1.0, 2.0])),
        ),
        text(
            "open-inference",
            "a request of the Open Inference Protocol: id, outputs and parameters of a tensor are ignored",
            r#"{"id":"42","outputs":[{"name":"y"}],"inputs":[{"name":"x","datatype":"FP32","parameters":{"binary_data_size":8},"shape":[1],"data":[1]}]}"#,
            job(of(&[1], &[1.0])),
        ),
        text(
            "escapes",
            "escaped keys and text",
            r#"{"inp\u0075ts":[{"name":"\u0078","datatype":"BYTES","shape":[2],"data":["\ud83d\ude00","a\/\"\\"]}]}"#,
            job(Tensor::from_byte_strings("x", [2], ["\u{1f600}", "a/\"\\"]).expect("two elements")),
        ),
        text(
            "minus-zero",
            "an integer may be spelled -0",
            r#"{"inputs":[{"name":"x","datatype":"UINT8","shape":[1],"data":[-0]}]}"#,
            job(row(&[0_u8])),
        ),
        text("no-tensors", "an empty list of inputs", r#"{"inputs":[]}"#, Job::default()),
    ]
}
