//! An outcome as one line of JSON: who it is, and then its body as the Open Inference Protocol writes it.

use std::fmt::Write;

use producer::JobOutcome;
use schemas::{Encoding, JobResult, Outcome, Parameters, Tensor};
use serde::Serialize;
use serde_json::{Value, json};

/// What stands before the body.
#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<&'a str>,
    position: Position<'a>,
}

#[derive(Serialize)]
struct Position<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

pub(super) fn line(outcome: &JobOutcome, file: Option<&str>) -> String {
    let partition = &outcome.position.partition;
    let head = Head {
        id: outcome.id.as_str(),
        file,
        status: match &outcome.outcome {
            Outcome::Result(_) => "ok",
            Outcome::Failure(_) => "failed",
        },
        batch_id: outcome.headers.batch_id.as_deref(),
        position: Position {
            topic: &partition.topic,
            partition: partition.index,
            offset: outcome.position.offset.get(),
        },
    };
    let head = serde_json::to_string(&head).expect("texts and numbers are always JSON");
    let body = body(&outcome.outcome);
    // Both are objects and neither is empty; joining their texts keeps the body's numbers digit for digit.
    format!("{},{}", &head[..head.len() - 1], &body[1..])
}

fn body(outcome: &Outcome) -> String {
    if let Some(text) = encoded(outcome) {
        return text;
    }
    match outcome {
        Outcome::Result(result) => {
            let JobResult { model_name, model_version, outputs, parameters } = result;
            let outputs: Vec<Value> = outputs.iter().map(tensor).collect();
            // A number that JSON does not have is written as null.
            json!({"model_name": model_name, "model_version": model_version, "outputs": outputs, "parameters": parameters})
                .to_string()
        }
        Outcome::Failure(failure) => json!(failure).to_string(),
    }
}

/// The body as the contract writes it in JSON, where JSON can carry it.
fn encoded(outcome: &Outcome) -> Option<String> {
    let bytes = schemas::encode_outcome(outcome, Encoding::Json).ok()?;
    String::from_utf8(bytes.to_vec()).ok()
}

/// One tensor, with its bytes in hexadecimal where JSON cannot carry its elements.
fn tensor(tensor: &Tensor) -> Value {
    let alone = Outcome::Result(JobResult {
        model_name: String::new(),
        model_version: String::new(),
        outputs: vec![tensor.clone()],
        parameters: Parameters::new(),
    });
    let written = encoded(&alone).and_then(|text| serde_json::from_str::<Value>(&text).ok());
    if let Some(written) = written {
        return written["outputs"][0].clone();
    }
    let hexadecimal = tensor.data().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing into a string does not fail");
        text
    });
    json!({"name": tensor.name(), "datatype": tensor.datatype().to_string(), "shape": tensor.shape(), "data_hex": hexadecimal})
}

#[cfg(test)]
mod tests;
