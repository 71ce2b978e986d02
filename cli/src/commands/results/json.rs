//! An outcome as one line of JSON: who it is, and then its body as the Open Inference Protocol writes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use producer::JobOutcome;
use schemas::{Encoding, JobResult, Outcome, Parameters, Tensor, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::print::status_of;

/// What stands before the body.
#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    submitted: Option<&'a str>,
    /// Those of the producer's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, Option<Cow<'a, str>>>,
    position: Position<'a>,
}

#[derive(Serialize)]
struct Position<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

pub(super) fn line(outcome: &JobOutcome, file: Option<&str>) -> String {
    let (headers, partition) = (&outcome.headers, &outcome.position.partition);
    let head = Head {
        id: outcome.id.as_str(),
        file,
        status: status_of(outcome),
        batch_id: headers.batch_id.as_deref(),
        key: outcome.key.as_deref().map(String::from_utf8_lossy),
        submitted: headers.time.as_ref().map(Timestamp::as_str),
        headers: headers.unknown.iter().map(header).collect(),
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

fn header((name, value): &(String, Option<Bytes>)) -> (&str, Option<Cow<'_, str>>) {
    (name, value.as_deref().map(String::from_utf8_lossy))
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
