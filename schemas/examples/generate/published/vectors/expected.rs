//! What a vector means, as JSON that any language can check itself against.

use half::{bf16, f16};
use schemas::{
    Datatype, DeadLetterReason, Headers, JobId, Outcome, Parameters, RETRY_HEADER_PREFIX, Retry, Tensor,
};
use serde_json::{Map, Value, json};

use super::{Meaning, POSITION, Vector};

impl Vector {
    /// The headers in order.
    pub(crate) fn headers_json(&self) -> Value {
        pairs_json(&self.headers)
    }

    /// What reading the record comes to.
    pub(crate) fn expected_json(&self) -> Value {
        let (topic, partition, offset) = POSITION;
        let mut expected = json!({
            "about": self.about,
            "reads_as": self.kind.as_str(),
            "position": { "topic": topic, "partition": partition, "offset": offset },
            "job_id": self.headers().id.unwrap_or_else(|| JobId::from_position(topic, partition, offset)),
        });
        match &self.meaning {
            Meaning::Refused { code, path } => expected["refused"] = json!({ "code": code, "path": path }),
            Meaning::Job { job, canonical } => {
                let message =
                    json!({ "inputs": tensors(&job.inputs), "parameters": parameters(&job.parameters) });
                self.accepted(&mut expected, message, *canonical);
            }
            Meaning::Outcome { outcome: Outcome::Result(result), canonical } => {
                let message = json!({
                    "model_name": result.model_name,
                    "model_version": result.model_version,
                    "outputs": tensors(&result.outputs),
                    "parameters": parameters(&result.parameters),
                });
                self.accepted(&mut expected, message, *canonical);
            }
            Meaning::Outcome { outcome: Outcome::Failure(failure), canonical } => {
                self.accepted(&mut expected, json!(failure), *canonical);
            }
        }
        expected
    }

    fn accepted(&self, expected: &mut Value, message: Value, canonical: bool) {
        expected["message"] = message;
        expected["canonical"] = canonical.into();
        expected["headers"] = headers_meaning(&self.headers());
        let pairs = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        if let Some(reason) = DeadLetterReason::read(pairs).expect("good vectors are good dead letters") {
            expected["dead_letter"] = json!({
                "code": reason.code,
                "message": reason.message,
                "stage": reason.stage,
                "topic": reason.topic,
                "partition": reason.partition,
                "offset": reason.offset,
                "time": reason.time,
            });
        }
        if self.headers.iter().any(|(name, _)| name.starts_with(RETRY_HEADER_PREFIX)) {
            let pairs = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
            let retry = Retry::read(pairs).expect("good vectors have good retries");
            expected["retry"] = json!({ "topic": retry.topic, "due": retry.due, "code": retry.code });
        }
        if self.headers().replay_count() > 0 {
            expected["replay_count"] = self.headers().replay_count().into();
        }
        if let Some(code) = self.headers().defaulted() {
            expected["defaulted"] = json!(code);
        }
    }

    /// The vector's headers as they are read, whatever is wrong with some of them.
    pub(crate) fn headers(&self) -> Headers {
        Headers::read(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()))).0
    }
}

/// Headers in order: `value` is text, `hex` is bytes that are not UTF-8, and `null` is no value.
pub(super) fn pairs_json(headers: &[(String, Option<Vec<u8>>)]) -> Value {
    let header = |(name, value): &(String, Option<Vec<u8>>)| match value.as_deref().map(std::str::from_utf8) {
        None => json!({ "name": name, "value": null }),
        Some(Ok(text)) => json!({ "name": name, "value": text }),
        Some(Err(_)) => json!({ "name": name, "hex": hex(value.as_deref().unwrap_or_default()) }),
    };
    headers.iter().map(header).collect()
}

/// The headers that were read, by their names, and times in microseconds as well.
fn headers_meaning(headers: &Headers) -> Value {
    let mut known = Map::new();
    for (name, value) in headers.write() {
        let is_unknown = headers.unknown.iter().any(|(unknown, _)| unknown.as_str() == name);
        // `write` adds the version where a record has none, which is no part of what was read.
        if !is_unknown && name != "ce_specversion" {
            let text = value.and_then(|value| String::from_utf8(value.to_vec()).ok());
            known.insert(name.into_owned(), text.into());
        }
    }
    let mut meaning = json!({ "known": known, "unknown": headers.unknown.len() });
    if let Some(time) = &headers.time {
        meaning["time_unix_us"] = time.unix_micros().into();
    }
    if let Some(deadline) = &headers.deadline {
        meaning["deadline_unix_us"] = deadline.unix_micros().into();
    }
    meaning
}

fn parameters(parameters: &Parameters) -> Value {
    serde_json::to_value(parameters).expect("vectors have finite parameters")
}

fn tensors(tensors: &[Tensor]) -> Value {
    let tensor = |tensor: &Tensor| {
        json!({
            "name": tensor.name(),
            "datatype": tensor.datatype(),
            "shape": tensor.shape(),
            "elements": elements(tensor),
            "data_hex": hex(tensor.data()),
        })
    };
    tensors.iter().map(tensor).collect()
}

/// The elements, row-major: numbers and booleans as such, NaN and infinities as text, byte strings in hexadecimal.
fn elements(tensor: &Tensor) -> Value {
    const FITS: &str = "the datatype was just looked at";
    match tensor.datatype() {
        Datatype::Bool => tensor.elements::<bool>().expect(FITS).into(),
        Datatype::Uint8 => tensor.elements::<u8>().expect(FITS).into(),
        Datatype::Uint16 => tensor.elements::<u16>().expect(FITS).into(),
        Datatype::Uint32 => tensor.elements::<u32>().expect(FITS).into(),
        Datatype::Uint64 => tensor.elements::<u64>().expect(FITS).into(),
        Datatype::Int8 => tensor.elements::<i8>().expect(FITS).into(),
        Datatype::Int16 => tensor.elements::<i16>().expect(FITS).into(),
        Datatype::Int32 => tensor.elements::<i32>().expect(FITS).into(),
        Datatype::Int64 => tensor.elements::<i64>().expect(FITS).into(),
        Datatype::Fp32 => floats(tensor.elements::<f32>().expect(FITS).into_iter().map(shortest)),
        Datatype::Fp64 => floats(tensor.elements::<f64>().expect(FITS)),
        Datatype::Fp16 => floats(halves(tensor).map(|bits| f16::from_bits(bits).to_f64())),
        Datatype::Bf16 => floats(halves(tensor).map(|bits| bf16::from_bits(bits).to_f64())),
        Datatype::Bytes => tensor.byte_strings().expect(FITS).map(hex).collect(),
    }
}

/// The double that is written with the fewest digits among those that round to this float.
fn shortest(value: f32) -> f64 {
    if value.is_finite() { value.to_string().parse().expect("a number") } else { value.into() }
}

fn halves(tensor: &Tensor) -> impl Iterator<Item = u16> {
    tensor.data().as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes))
}

fn floats(values: impl IntoIterator<Item = f64>) -> Value {
    let float = |value: f64| match value {
        _ if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        _ => json!(value),
    };
    values.into_iter().map(float).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
