use schemas::{Datatype, Failure, FailureCode, Headers};
use transport::{Offset, Partition};

use super::*;

fn check(outcome: Outcome, file: Option<&str>, expect: &Value) {
    let outcome = JobOutcome {
        id: "a\"b".parse().unwrap(),
        outcome,
        headers: match file {
            Some(file) => Headers {
                batch_id: Some(file.to_owned()),
                time: Some("2026-01-31T12:00:00Z".parse().unwrap()),
                unknown: vec![("mine".to_owned(), Some("1".into())), ("null".to_owned(), None)],
                ..Headers::default()
            },
            None => Headers::default(),
        },
        key: file.map(|_| "k".into()),
        position: transport::Position { partition: Partition::new("results", 1), offset: Offset::new(7) },
    };
    let line = line(&outcome, file);
    assert!(line.starts_with(r#"{"id":"#), "{line}");
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), *expect);
}

fn result(outputs: Vec<Tensor>, parameters: Parameters) -> Outcome {
    let (model_name, model_version) = ("digits".to_owned(), "1".to_owned());
    Outcome::Result(JobResult { model_name, model_version, outputs, parameters })
}

fn position() -> Value {
    json!({"topic": "results", "partition": 1, "offset": 7})
}

#[test]
fn results() {
    let label = Tensor::from_byte_strings("label", [1], ["seven"]).unwrap();
    let score = Tensor::from_elements("score", [1], &[0.5_f32]).unwrap();
    let parameters = Parameters::from([("batch_size".to_owned(), 3_i64.into())]);
    let expect = json!({
        "id": "a\"b", "status": "ok", "position": position(),
        "model_name": "digits", "model_version": "1",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["seven"]},
            {"name": "score", "datatype": "FP32", "shape": [1], "data": [0.5]},
        ],
        "parameters": {"batch_size": 3},
    });
    check(result(vec![label, score], parameters), None, &expect);
}

#[test]
fn failures() {
    let failure = Failure {
        stage: "preprocess".to_owned(),
        code: FailureCode::InvalidInput,
        message: "no".to_owned(),
        attempt: 1,
        retriable: false,
    };
    let expect = json!({
        "id": "a\"b", "file": "7.png", "status": "failed", "batch_id": "7.png", "key": "k",
        "submitted": "2026-01-31T12:00:00Z", "headers": {"mine": "1", "null": null}, "position": position(),
        "stage": "preprocess", "code": "invalid_input", "message": "no", "attempt": 1, "retriable": false,
    });
    check(Outcome::Failure(failure), Some("7.png"), &expect);
}

#[test]
fn what_json_cannot_carry() {
    let half = Tensor::new("half", Datatype::Fp16, [1], vec![0x00, 0x3c]).unwrap();
    let label = Tensor::from_byte_strings("label", [1], ["seven"]).unwrap();
    let nan = Tensor::from_elements("nan", [1], &[f32::NAN]).unwrap();
    let parameters = Parameters::from([("score".to_owned(), f64::INFINITY.into())]);
    let expect = json!({
        "id": "a\"b", "status": "ok", "position": position(),
        "model_name": "digits", "model_version": "1",
        "outputs": [
            {"name": "half", "datatype": "FP16", "shape": [1], "data_hex": "003c"},
            {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["seven"]},
            {"name": "nan", "datatype": "FP32", "shape": [1], "data_hex": "0000c07f"},
        ],
        "parameters": {"score": null},
    });
    check(result(vec![half, label, nan], parameters), None, &expect);
}
