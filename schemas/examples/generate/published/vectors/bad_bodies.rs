//! Bodies that are refused, each for one reason.

use schemas::FailureCode::{self, InvalidInput, TooLarge, Undecodable};
use schemas::{Job, MessageKind, encode_job};

use super::good_jobs::row;
use super::packed::{
    Array, Bin, Bool, Bytes, F64, Int, Map, Nil, Packed, Str, Uint, job, job_beside, tensor, tensor_with,
};
use super::{JSON, MESSAGE_PACK, Meaning, Vector, pair, producer_headers};

pub(crate) fn all() -> Vec<Vector> {
    let mut all = broken_bytes();
    all.extend(wrong_maps());
    all.extend(wrong_tensors());
    all.extend(over_limits());
    all.extend(json());
    all.extend(outcomes());
    all
}

fn bad(
    name: &str,
    about: &'static str,
    body: impl Into<Vec<u8>>,
    code: FailureCode,
    path: &'static str,
) -> Vector {
    Vector {
        name: format!("bad-{name}"),
        about,
        kind: MessageKind::Job,
        headers: producer_headers(MessageKind::Job, MESSAGE_PACK),
        body: body.into(),
        meaning: Meaning::Refused { code, path },
    }
}

fn broken_bytes() -> Vec<Vector> {
    let good = encode_job(&Job::new([row(&[1.0_f32, -2.0])])).expect("small");
    let of = |name, about, body: Vec<u8>, path| bad(name, about, body, Undecodable, path);
    let mut reserved = good.to_vec();
    reserved[0] = 0xc1;
    let in_tensor = |value: &[u8]| job(vec![tensor_with("data", Bytes(value.to_vec()))]).bytes();
    vec![
        of("empty", "no bytes", vec![], "body"),
        of("truncated-in-key", "the body ends inside a key", good[..4].to_vec(), "body"),
        of(
            "truncated-in-data",
            "the body ends inside data",
            good[..good.len() - 3].to_vec(),
            "inputs[0].data",
        ),
        of(
            "truncated-in-shape",
            "the body ends inside a shape",
            b"\x81\xa6inputs\x91\x81\xa5shape\x92\x02".to_vec(),
            "inputs[0].shape",
        ),
        of("trailing", "a byte follows the map", [&good[..], &[0xc0]].concat(), "body"),
        of("trailing-job", "a second job follows", [&good[..], &good[..]].concat(), "body"),
        of("reserved", "0xc1 begins no value", reserved, "body"),
        of("not-utf8-key", "a str that is not UTF-8", b"\x81\xa1\xff\xc0".to_vec(), "body"),
        of(
            "not-utf8-name",
            "a str that is not UTF-8",
            job(vec![tensor_with("name", Bytes(vec![0xa2, 0xc3, 0x28]))]).bytes(),
            "inputs[0].name",
        ),
        of(
            "array-length",
            "an array that claims 4,294,967,295 items",
            b"\x81\xa6inputs\xdd\xff\xff\xff\xff\x80".to_vec(),
            "inputs",
        ),
        of(
            "map-length",
            "a map that claims 4,294,967,295 entries",
            b"\xdf\xff\xff\xff\xff\xa6inputs\x90".to_vec(),
            "body",
        ),
        of(
            "bin-length",
            "a bin that claims 4,294,967,295 bytes",
            in_tensor(b"\xc6\xff\xff\xff\xff\x00"),
            "inputs[0].data",
        ),
        of(
            "str-length",
            "a str that claims 4,294,967,295 bytes",
            b"\x81\xdb\xff\xff\xff\xffinputs".to_vec(),
            "body",
        ),
        of("text", "text under the content type of MessagePack", b"{\"inputs\": []}".to_vec(), "body"),
    ]
}

fn wrong_maps() -> Vec<Vector> {
    let of = |name, about, body: Packed, path| bad(name, about, body.bytes(), InvalidInput, path);
    let tensors = || Array(vec![Map(tensor())]);
    let positional = Array(tensor().into_iter().map(|(_, value)| value).collect());
    let mut twice = tensor();
    twice.push(("name", Str("y")));
    let without = |index: usize| {
        let mut entries = tensor();
        entries.remove(index);
        job(vec![Map(tensor()), Map(entries)])
    };
    let parameter = |value| job_beside("parameters", Map(vec![("a", Uint(1)), ("p", value)]));
    vec![
        of("array-form", "a job as an array of its values", Array(vec![tensors()]), "body"),
        of("array-form-tensor", "a tensor as an array of its values", job(vec![positional]), "inputs[0]"),
        of("nil", "no map at all", Nil, "body"),
        of("int-key", "a key that is no str", Bytes(vec![0x81, 1, 0x90]), "body"),
        of("bin-key", "a key that is bin", Bytes(b"\x81\xc4\x06inputs\x90".to_vec()), "body"),
        of("int-key-tensor", "a key that is no str", job(vec![Bytes(vec![0x81, 1, 0x90])]), "inputs[0]"),
        of(
            "duplicate-inputs",
            "a key of the contract comes twice",
            Map(vec![("inputs", tensors()), ("inputs", tensors())]),
            "inputs",
        ),
        of("duplicate-name", "a key of the contract comes twice", job(vec![Map(twice)]), "inputs[0].name"),
        of(
            "duplicate-parameter",
            "a parameter comes twice",
            job_beside("parameters", Map(vec![("p", Uint(1)), ("p", Uint(1))])),
            "parameters.p",
        ),
        of("no-inputs", "inputs are missing", Map(vec![("input", tensors())]), "inputs"),
        of("no-name", "a key of a tensor is missing", without(0), "inputs[1].name"),
        of("no-datatype", "a key of a tensor is missing", without(1), "inputs[1].datatype"),
        of("no-shape", "a key of a tensor is missing", without(2), "inputs[1].shape"),
        of("no-data", "a key of a tensor is missing", without(3), "inputs[1].data"),
        of("inputs-map", "inputs are a map", Map(vec![("inputs", Map(vec![]))]), "inputs"),
        of("inputs-nil", "inputs are nil", Map(vec![("inputs", Nil)]), "inputs"),
        of("parameters-nil", "parameters are nil", job_beside("parameters", Nil), "parameters"),
        of("parameter-nil", "a parameter is nil", parameter(Nil), "parameters.p"),
        of("parameter-array", "a parameter is an array", parameter(Array(vec![])), "parameters.p"),
        of("parameter-bin", "a parameter is bin", parameter(Bin(vec![1])), "parameters.p"),
        of(
            "parameter-uint64",
            "an integer beyond 64 bits with sign",
            parameter(Uint(1 << 63)),
            "parameters.p",
        ),
    ]
}

fn wrong_tensors() -> Vec<Vector> {
    let of = |name, about, key, value, path| {
        bad(name, about, job(vec![tensor_with(key, value)]).bytes(), InvalidInput, path)
    };
    let as_type = |name, about, datatype, count, data: &[u8]| {
        let entries = vec![
            ("name", Str("x")),
            ("datatype", Str(datatype)),
            ("shape", Array(vec![Uint(count)])),
            ("data", Bin(data.to_vec())),
        ];
        bad(name, about, job(vec![Map(entries)]).bytes(), InvalidInput, "inputs[0].data")
    };
    vec![
        of("data-str", "data is str", "data", Str("01234567"), "inputs[0].data"),
        of(
            "data-array",
            "data is a list of floats",
            "data",
            Array(vec![F64(1.0), F64(-2.0)]),
            "inputs[0].data",
        ),
        of("data-nil", "data is nil", "data", Nil, "inputs[0].data"),
        of("name-bin", "a name is bin", "name", Bin(b"x".to_vec()), "inputs[0].name"),
        of("name-int", "a name is an int", "name", Uint(1), "inputs[0].name"),
        of("datatype-unknown", "no datatype of the contract", "datatype", Str("FP8"), "inputs[0].datatype"),
        of("datatype-case", "datatypes are upper case", "datatype", Str("fp32"), "inputs[0].datatype"),
        of("datatype-int", "a datatype is an int", "datatype", Uint(32), "inputs[0].datatype"),
        of("shape-int", "a shape is an int", "shape", Uint(2), "inputs[0].shape"),
        of(
            "shape-negative",
            "a dimension is negative",
            "shape",
            Array(vec![Int(-1), Uint(2)]),
            "inputs[0].shape[0]",
        ),
        of(
            "shape-float",
            "a dimension is a float",
            "shape",
            Array(vec![Uint(1), F64(2.0)]),
            "inputs[0].shape[1]",
        ),
        of("shape-str", "a dimension is a str", "shape", Array(vec![Str("2")]), "inputs[0].shape[0]"),
        of("data-short", "fewer bytes than the shape makes", "data", Bin(vec![0; 7]), "inputs[0].data"),
        of("data-long", "more bytes than the shape makes", "data", Bin(vec![0; 9]), "inputs[0].data"),
        of("data-none", "no bytes where the shape makes some", "data", Bin(vec![]), "inputs[0].data"),
        of("shape-scalar", "rank 0 is one element, not two", "shape", Array(vec![]), "inputs[0].data"),
        of("shape-zero", "no elements, but data", "shape", Array(vec![Uint(0)]), "inputs[0].data"),
        as_type("wrong-datatype", "data of another datatype's size", "FP64", 2, &[0; 8]),
        as_type("bool-two", "a BOOL that is neither 0 nor 1", "BOOL", 3, &[0, 1, 2]),
        as_type(
            "bytes-truncated",
            "a BYTES element that is longer than the data",
            "BYTES",
            1,
            &[2, 0, 0, 0, 65],
        ),
        as_type("bytes-prefix", "a BYTES length that is cut", "BYTES", 1, &[2, 0, 0]),
        as_type("bytes-count", "fewer BYTES elements than the shape makes", "BYTES", 2, &[0, 0, 0, 0]),
        as_type("bytes-left-over", "bytes after the last BYTES element", "BYTES", 1, &[0, 0, 0, 0, 0]),
        as_type("bytes-huge", "a BYTES length of 4,294,967,295", "BYTES", 1, &[255, 255, 255, 255, 0]),
    ]
}

fn over_limits() -> Vec<Vector> {
    let of = |name, about, body: Packed, path| bad(name, about, body.bytes(), TooLarge, path);
    let shape = |dimensions: Vec<u64>| {
        job(vec![tensor_with("shape", Array(dimensions.into_iter().map(Uint).collect()))])
    };
    let names: Vec<&'static str> = (0..129).map(|index| &*format!("p{index:03}").leak()).collect();
    let parameters = Map(names.into_iter().map(|name| (name, Uint(1))).collect());
    let nested = |depth: usize| Bytes([vec![0x91; depth - 1], vec![0x90]].concat());
    vec![
        of("rank-9", "nine dimensions", shape(vec![1; 9]), "inputs[0].shape"),
        of("shape-huge", "more elements than the limit", shape(vec![4096, 4097]), "inputs[0].shape"),
        of(
            "shape-overflow",
            "a product that overflows 64 bits",
            shape(vec![1 << 32, 1 << 32]),
            "inputs[0].shape",
        ),
        of(
            "shape-overflow-zero",
            "a 0 does not excuse huge dimensions",
            shape(vec![1 << 32, 1 << 32, 0]),
            "inputs[0].shape",
        ),
        of("shape-max", "the largest dimension there is", shape(vec![u64::MAX]), "inputs[0].shape"),
        of("tensors-65", "65 tensors", job(vec![Map(tensor()); 65]), "inputs"),
        of("parameters-129", "129 parameters", job_beside("parameters", parameters), "parameters.p128"),
        of(
            "deep",
            "33 arrays inside each other under an unknown key",
            job_beside("unknown", nested(33)),
            "unknown",
        ),
        of(
            "deep-100000",
            "100,000 arrays inside each other",
            job_beside("unknown", nested(100_000)),
            "unknown",
        ),
    ]
}

fn json() -> Vec<Vector> {
    let of = |name: &str, about, body: &str, code, path| Vector {
        headers: producer_headers(MessageKind::Job, JSON),
        ..bad(&format!("json-{name}"), about, body, code, path)
    };
    let tensor = |name: &str, about, datatype: &str, shape: &str, data: &str| {
        let body =
            format!(r#"{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":{shape},"data":{data}}}]}}"#);
        of(name, about, &body, InvalidInput, "inputs[0].data")
    };
    let deep = format!(r#"{{"unknown":{}{},"inputs":[]}}"#, "[".repeat(33), "]".repeat(33));
    let not_utf8 = [&b"{\"inputs\":[],\"a\":\""[..], &[0xff], b"\"}"].concat();
    vec![
        of("empty", "no bytes", "", Undecodable, "body"),
        of("not-json", "text under the content type of JSON", "hello", Undecodable, "body"),
        of(
            "truncated",
            "the body ends inside a tensor",
            r#"{"inputs":[{"name":"x""#,
            Undecodable,
            "inputs[0]",
        ),
        of("trailing", "something follows the object", r#"{"inputs":[]} x"#, Undecodable, "body"),
        of("trailing-comma", "a comma too many", r#"{"inputs":[],}"#, Undecodable, "body"),
        of(
            "escape",
            "half of a surrogate pair",
            r#"{"inputs":[{"name":"\ud800"}]}"#,
            Undecodable,
            "inputs[0].name",
        ),
        Vector { body: not_utf8, ..of("not-utf8", "JSON is UTF-8", "", Undecodable, "body") },
        of("inputs-null", "inputs are null", r#"{"inputs":null}"#, InvalidInput, "inputs"),
        of("inputs-object", "inputs are an object", r#"{"inputs":{}}"#, InvalidInput, "inputs"),
        of(
            "array-form",
            "a tensor as an array of its values",
            r#"{"inputs":[["x","FP32",[1],[1]]]}"#,
            InvalidInput,
            "inputs[0]",
        ),
        of(
            "duplicate",
            "a key of the contract comes twice",
            r#"{"inputs":[],"inputs":[]}"#,
            InvalidInput,
            "inputs",
        ),
        of(
            "no-data",
            "a binary tensor of the Open Inference Protocol, whose data is elsewhere",
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}"#,
            InvalidInput,
            "inputs[0].data",
        ),
        of(
            "shape-negative",
            "a dimension is negative",
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[-1],"data":[1]}]}"#,
            InvalidInput,
            "inputs[0].shape[0]",
        ),
        of(
            "shape-float",
            "a dimension is no integer",
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1.0],"data":[1]}]}"#,
            InvalidInput,
            "inputs[0].shape[0]",
        ),
        of(
            "shape-huge",
            "more elements than the limit",
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[99999999],"data":[1]}]}"#,
            TooLarge,
            "inputs[0].shape",
        ),
        of(
            "rank-9",
            "nine dimensions",
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1,1,1,1,1,1,1,1],"data":[1]}]}"#,
            TooLarge,
            "inputs[0].shape",
        ),
        of("deep", "33 arrays inside each other under an unknown key", &deep, TooLarge, "unknown"),
        of(
            "parameter-null",
            "a parameter is null",
            r#"{"inputs":[],"parameters":{"p":null}}"#,
            InvalidInput,
            "parameters.p",
        ),
        of(
            "parameter-large",
            "an integer beyond 64 bits with sign",
            r#"{"inputs":[],"parameters":{"p":9223372036854775808}}"#,
            InvalidInput,
            "parameters.p",
        ),
        tensor("fp16", "FP16 has no form in JSON", "FP16", "[1]", "[1]"),
        tensor("bf16", "BF16 has no form in JSON", "BF16", "[1]", "[1]"),
        tensor("data-object", "data is an object", "FP32", "[1]", "{}"),
        tensor("data-number", "data is a number", "FP32", "[]", "1"),
        tensor("data-short", "fewer elements than the shape makes", "FP32", "[3]", "[1,2]"),
        tensor("data-long", "more elements than the shape makes", "FP32", "[1]", "[1,2]"),
        tensor(
            "nested-otherwise",
            "nested otherwise than the shape says",
            "FP32",
            "[2,3]",
            "[[1,2],[3,4],[5,6]]",
        ),
        tensor("nested-ragged", "rows of unequal length", "FP32", "[2,2]", "[[1,2,3],[4]]"),
        tensor("nested-deeper", "nested deeper than the shape", "FP32", "[2]", "[[1],[2]]"),
        tensor("nested-mixed", "numbers beside arrays", "FP32", "[2]", "[1,[2]]"),
        tensor("float-range", "beyond the range of the datatype", "FP32", "[1]", "[1e39]"),
        tensor("float-null", "null is no number", "FP32", "[1]", "[null]"),
        tensor("float-string", "a number in quotes", "FP32", "[1]", "[\"1\"]"),
        tensor("int-fraction", "an integer with a fraction", "INT32", "[1]", "[1.0]"),
        tensor("int-exponent", "an integer with an exponent", "INT32", "[1]", "[1e2]"),
        tensor("int-range", "beyond the range of the datatype", "INT8", "[1]", "[128]"),
        tensor("uint-negative", "a negative number of an unsigned datatype", "UINT8", "[1]", "[-1]"),
        tensor("bool-number", "a BOOL is true or false", "BOOL", "[1]", "[1]"),
        tensor("bytes-number", "BYTES are strings", "BYTES", "[1]", "[1]"),
    ]
}

fn outcomes() -> Vec<Vector> {
    let result = |name: &str, about, body: Packed, path| Vector {
        kind: MessageKind::Result,
        headers: producer_headers(MessageKind::Result, MESSAGE_PACK),
        ..bad(&format!("result-{name}"), about, body.bytes(), InvalidInput, path)
    };
    let failure_with = |key: &str, value: Option<Packed>| {
        let entries = vec![
            ("stage", Str("inference")),
            ("code", Str("timeout")),
            ("message", Str("late")),
            ("attempt", Uint(1)),
            ("retriable", Bool(true)),
        ];
        let replaced =
            |(name, old)| if name == key { value.clone().map(|new| (name, new)) } else { Some((name, old)) };
        Map(entries.into_iter().filter_map(replaced).collect())
    };
    let failure = |name: &str, about, body: Packed, path| Vector {
        kind: MessageKind::Failure,
        headers: producer_headers(MessageKind::Failure, MESSAGE_PACK),
        ..bad(&format!("failure-{name}"), about, body.bytes(), InvalidInput, path)
    };
    let raw = Vector {
        headers: vec![pair("ce_type", MessageKind::Result.as_str()), pair("content-type", "text/plain")],
        ..result("raw", "an outcome is never a raw payload", Nil, "headers.content-type")
    };
    vec![
        raw,
        result(
            "no-outputs",
            "outputs are missing",
            Map(vec![("model_name", Str("m")), ("model_version", Str("1"))]),
            "outputs",
        ),
        result(
            "no-version",
            "the version is missing",
            Map(vec![("model_name", Str("m")), ("outputs", Array(vec![]))]),
            "model_version",
        ),
        result(
            "version-int",
            "a version is text",
            Map(vec![("model_name", Str("m")), ("model_version", Uint(1)), ("outputs", Array(vec![]))]),
            "model_version",
        ),
        failure("no-attempt", "a key is missing", failure_with("attempt", None), "attempt"),
        failure("code", "no code of the contract", failure_with("code", Some(Str("oops"))), "code"),
        failure(
            "attempt-negative",
            "an attempt is negative",
            failure_with("attempt", Some(Int(-1))),
            "attempt",
        ),
        failure(
            "attempt-large",
            "an attempt beyond 32 bits",
            failure_with("attempt", Some(Uint(1 << 32))),
            "attempt",
        ),
        failure(
            "retriable-int",
            "retriable is a bool",
            failure_with("retriable", Some(Uint(1))),
            "retriable",
        ),
    ]
}
