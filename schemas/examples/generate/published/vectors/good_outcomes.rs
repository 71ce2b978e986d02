//! Results and failures that are read.

use schemas::{
    Encoding, Failure, FailureCode, JobResult, Outcome, Parameters, Tensor, TimeSheet, encode_outcome,
};

use super::packed::{Array, Bin, Bool, Map, Nil, Packed, Str, Uint};
use super::{MESSAGE_PACK, Meaning, Vector, pair, producer_headers};

pub(crate) fn all() -> Vec<Vector> {
    let mut all = vec![
        written("result", "a result with its time sheet", &result(), Encoding::MessagePack),
        written("result-json", "a result as JSON", &result(), Encoding::Json),
        written("result-empty", "a result without outputs and parameters", &empty(), Encoding::MessagePack),
        written(
            "result-json-empty",
            "a result without outputs and parameters as JSON",
            &empty(),
            Encoding::Json,
        ),
        spelled(
            "result-unknown-keys",
            "keys the contract does not know are ignored",
            &unknown_in_result(),
            empty(),
        ),
        spelled(
            "failure-unknown-keys",
            "keys the contract does not know are ignored",
            &unknown_in_failure(),
            failure(FailureCode::Timeout),
        ),
        written("failure-json", "a failure as JSON", &failure(FailureCode::Internal), Encoding::Json),
    ];
    let mut defaulted = written(
        "result-defaulted",
        "a value that the pipeline declares for jobs that fail, in place of a failure",
        &defaulted(),
        Encoding::MessagePack,
    );
    defaulted.headers.push(pair("ms_defaulted", "timeout"));
    all.push(defaulted);
    all.extend(FailureCode::ALL.map(|code| {
        let name = format!("failure-{}", code.as_str().replace('_', "-"));
        written(&name, "a failure with this code", &failure(code), Encoding::MessagePack)
    }));
    all
}

fn written(name: &str, about: &'static str, outcome: &Outcome, encoding: Encoding) -> Vector {
    Vector {
        name: name.to_owned(),
        about,
        kind: outcome.kind(),
        headers: producer_headers(outcome.kind(), encoding.content_type()),
        body: encode_outcome(outcome, encoding).expect("finite").to_vec(),
        // How floats are spelled in JSON is up to the writer.
        meaning: Meaning::Outcome { outcome: outcome.clone(), canonical: encoding == Encoding::MessagePack },
    }
}

fn spelled(name: &str, about: &'static str, body: &Packed, outcome: Outcome) -> Vector {
    Vector {
        name: name.to_owned(),
        about,
        kind: outcome.kind(),
        headers: producer_headers(outcome.kind(), MESSAGE_PACK),
        body: body.bytes(),
        meaning: Meaning::Outcome { outcome, canonical: false },
    }
}

fn result() -> Outcome {
    let mut parameters = Parameters::from([("note".to_owned(), "fine".into())]);
    let sheet = TimeSheet {
        queue_us: 900,
        preprocess_us: 120,
        batch_wait_us: 2000,
        inference_us: 350,
        postprocess_us: 15,
        total_us: 3500,
        batch_size: 8,
    };
    sheet.write(&mut parameters);
    Outcome::Result(JobResult {
        model_name: "digits".into(),
        model_version: "1".into(),
        outputs: vec![
            Tensor::from_elements("probabilities", [1, 3], &[0.7_f32, 0.2, 0.1]).expect("three elements"),
            Tensor::from_byte_strings("labels", [1, 3], ["seven", "one", "nine"]).expect("three elements"),
        ],
        parameters,
    })
}

fn defaulted() -> Outcome {
    let parameters = Parameters::from([
        ("defaulted".to_owned(), true.into()),
        ("failure_code".to_owned(), "timeout".into()),
        ("failure_message".to_owned(), "the model ran for more than 500 ms".into()),
        ("failure_stage".to_owned(), "inference".into()),
    ]);
    Outcome::Result(JobResult {
        model_name: "digits".into(),
        model_version: "1".into(),
        outputs: vec![Tensor::from_byte_strings("label", [1], ["unknown"]).expect("one element")],
        parameters,
    })
}

fn empty() -> Outcome {
    Outcome::Result(JobResult {
        model_name: "digits".into(),
        model_version: String::new(),
        outputs: vec![],
        parameters: Parameters::new(),
    })
}

fn failure(code: FailureCode) -> Outcome {
    Outcome::Failure(Failure {
        stage: "inference".into(),
        code,
        message: "inputs[0].shape: has more than 8 dimensions".into(),
        attempt: 2,
        retriable: code == FailureCode::Timeout,
    })
}

fn unknown_in_result() -> Packed {
    Map(vec![
        ("id", Nil),
        ("outputs", Array(vec![])),
        ("model_version", Str("")),
        ("model_name", Str("digits")),
        ("parameters", Map(vec![])),
        ("extra", Bin(vec![0xff])),
    ])
}

fn unknown_in_failure() -> Packed {
    Map(vec![
        ("retriable", Bool(true)),
        ("stage", Str("inference")),
        ("cause", Map(vec![("line", Uint(3))])),
        ("attempt", Uint(2)),
        ("code", Str("timeout")),
        ("message", Str("inputs[0].shape: has more than 8 dimensions")),
    ])
}
