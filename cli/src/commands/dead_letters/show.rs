//! `millstream dead-letters show`.

use std::fmt::Write;

use anyhow::anyhow;
use bytes::Bytes;
use clap::Args as ClapArgs;
use operations::dead_letters::{self, DeadLetter, Filter, Payload};
use schemas::{JobId, Tensor};
use serde_json::{Value, json};
use transport::Offset;
use workers::Config;

use super::{open, sharing};
use crate::args::Format;
use crate::commands::results::json::tensor as tensor_json;
use crate::commands::results::summary::printable;
use crate::exit::{Exit, ExitWith, Failure, Outcome};
use crate::output;

/// Elements of a tensor that people are shown.
const MAX_ELEMENTS: usize = 8;
/// Bytes of what is not text that they are shown.
const MAX_BYTES: usize = 64;
/// Characters of text that they are shown.
const MAX_CHARACTERS: usize = 2_000;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  millstream dead-letters show digits --id 019b7e5c-…
  millstream dead-letters show digits 3/1024 -o json | jq '.payload.inputs[0].data'

A table shows the first elements of each tensor; -o json holds all of them. The id of a job that came without one is \
the place it was read from, topic/partition/offset.")]
pub(crate) struct ShowArgs {
    /// The pipeline, as declared in the configuration
    pipeline: String,
    /// Where it lies on the topic of dead letters, as `list` says
    #[arg(value_name = "PARTITION/OFFSET", required_unless_present = "id", value_parser = place)]
    position: Option<(i32, Offset)>,
    /// The job; of several dead letters of one job the newest is shown
    #[arg(long, value_name = "ID", conflicts_with = "position")]
    id: Option<JobId>,
}

fn place(text: &str) -> Result<(i32, Offset), String> {
    let wrong = || "expected PARTITION/OFFSET, such as 3/1024".to_owned();
    let (partition, offset) = text.split_once('/').ok_or_else(wrong)?;
    let offset: u32 = offset.parse().map_err(|_| wrong())?;
    Ok((partition.parse().map_err(|_| wrong())?, Offset::new(offset.into())))
}

impl ShowArgs {
    pub(super) async fn run(self, config: &Config, format: Format) -> Outcome {
        let (transport, topics) =
            open(config, &self.pipeline, |topics| vec![topics.dead_letters.clone()]).await?;
        let filter = Filter {
            others: sharing(config, &self.pipeline, &topics).into_iter().collect(),
            ..Filter::of_jobs(self.id)
        };
        let ends = dead_letters::ends(&transport, &topics).await.exit_with(Exit::Unavailable)?;
        let (letter, count) = dead_letters::find(&transport, &topics, &filter, &ends, self.position)
            .await
            .exit_with(Exit::Unavailable)?;
        let Some(letter) = letter else {
            let advice = format!("`millstream dead-letters list {}` says which there are", self.pipeline);
            return Err(Failure::new(Exit::Failed, anyhow!("there is no such dead letter; {advice}")));
        };
        let payload = Payload::of(&letter);
        match format {
            Format::Json => output::pretty_json(&document(&letter, &payload))?,
            Format::Table => print(&letter, &payload)?,
        }
        if count > 1 {
            output::note(&format!("the newest of {count} dead letters of this job"));
        }
        Ok(Exit::Done)
    }
}

fn print(letter: &DeadLetter, payload: &Payload) -> anyhow::Result<()> {
    let reason = &letter.reason;
    let size = letter.record.value.as_ref().map_or(0, Bytes::len);
    let mut rows = vec![
        row("id", letter.id.as_str()),
        row("position", &letter.position.to_string()),
        row("failed at", reason.time.as_str()),
        row("code", reason.code.as_str()),
        row("stage", &reason.stage),
        row("message", &reason.message),
        row("read from", &format!("{}/{}/{}", reason.topic, reason.partition, reason.offset)),
        row("replays", &letter.replays().to_string()),
        row("key", &letter.record.key.as_ref().map_or("none".to_owned(), text_or_hex)),
    ];
    for header in letter.original_headers() {
        let value = header.value.as_ref().map_or("null".to_owned(), text_or_hex);
        rows.push(row(&format!("header {}", header.name), &value));
    }
    rows.push(row("value", &format!("{size} bytes, {}", kind_of(payload))));
    output::line(&output::table(&["WHAT", ""], &rows, usize::MAX))?;
    match payload {
        Payload::Job(job) => {
            let rows: Vec<_> = job.inputs.iter().map(tensor_row).collect();
            output::line("")?;
            output::line(&output::table(&["TENSOR", "DATATYPE", "SHAPE", "ELEMENTS"], &rows, usize::MAX))?;
            for (name, value) in &job.parameters {
                let value = serde_json::to_string(value)?;
                output::line(&format!("parameter {}: {value}", printable(name)))?;
            }
        }
        Payload::Text(text) => {
            output::line("")?;
            output::line(&text.chars().take(MAX_CHARACTERS).collect::<String>())?;
        }
        Payload::Binary(bytes) | Payload::Undecodable(bytes, _) => {
            output::line("")?;
            output::line(&hex(&bytes[..bytes.len().min(MAX_BYTES)]))?;
        }
        Payload::Missing => {}
    }
    Ok(())
}

fn row(name: &str, value: &str) -> Vec<String> {
    vec![printable(name), printable(value)]
}

fn kind_of(payload: &Payload) -> String {
    match payload {
        Payload::Job(job) => format!("a job of {} tensor(s)", job.inputs.len()),
        Payload::Text(_) => "text".to_owned(),
        Payload::Binary(_) => "a raw payload, in hexadecimal below".to_owned(),
        Payload::Undecodable(_, error) => format!("cannot be decoded: {error}"),
        Payload::Missing => "none".to_owned(),
    }
}

fn tensor_row(tensor: &Tensor) -> Vec<String> {
    let written = tensor_json(tensor);
    let elements = match (&written["data"], &written["data_hex"]) {
        (Value::Array(elements), _) => {
            let first = elements.iter().take(MAX_ELEMENTS).map(|element| match element {
                Value::String(text) => text.chars().take(MAX_BYTES).collect(),
                element => element.to_string(),
            });
            let first: Vec<String> = first.collect();
            let more = if elements.len() > MAX_ELEMENTS { ", …" } else { "" };
            format!("{}{more}", first.join(", "))
        }
        (_, Value::String(hex)) => {
            let more = if hex.len() > MAX_BYTES { "…" } else { "" };
            format!("{}{more} (hexadecimal)", hex.chars().take(MAX_BYTES).collect::<String>())
        }
        _ => String::new(),
    };
    let shape: Vec<String> = tensor.shape().iter().map(ToString::to_string).collect();
    vec![
        printable(tensor.name()),
        tensor.datatype().to_string(),
        format!("[{}]", shape.join(",")),
        printable(&elements),
    ]
}

/// Everything, for programs.
fn document(letter: &DeadLetter, payload: &Payload) -> Value {
    let reason = &letter.reason;
    let headers: Vec<Value> = letter
        .original_headers()
        .map(|header| match header.value.as_deref().map(std::str::from_utf8) {
            None => json!({"name": header.name, "value": null}),
            Some(Ok(text)) => json!({"name": header.name, "value": text}),
            Some(Err(_)) => json!({"name": header.name, "hex": header.value.as_deref().map(hex)}),
        })
        .collect();
    let payload = match payload {
        Payload::Job(job) => {
            let inputs: Vec<Value> = job.inputs.iter().map(tensor_json).collect();
            json!({"kind": "job", "inputs": inputs, "parameters": job.parameters})
        }
        Payload::Text(text) => json!({"kind": "text", "text": text}),
        Payload::Binary(bytes) => json!({"kind": "binary", "hex": hex(bytes)}),
        Payload::Undecodable(bytes, error) => {
            json!({"kind": "undecodable", "error": error.to_string(), "hex": hex(bytes)})
        }
        Payload::Missing => json!({"kind": "missing"}),
    };
    let key = letter.record.key.as_deref();
    json!({
        "id": letter.id,
        "position": {
            "topic": &*letter.position.partition.topic,
            "partition": letter.position.partition.index,
            "offset": letter.position.offset.get(),
        },
        "reason": {
            "code": reason.code,
            "message": reason.message,
            "stage": reason.stage,
            "topic": reason.topic,
            "partition": reason.partition,
            "offset": reason.offset,
            "time": reason.time,
        },
        "replays": letter.replays(),
        "truncated": letter.is_truncated(),
        "key": key.and_then(|key| std::str::from_utf8(key).ok()),
        "key_hex": key.map(hex),
        "headers": headers,
        "bytes": letter.record.value.as_ref().map_or(0, Bytes::len),
        "payload": payload,
    })
}

fn text_or_hex(bytes: &Bytes) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{} (hexadecimal)", hex(&bytes[..bytes.len().min(MAX_BYTES)])),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing into a string does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(place("3/1024"), Ok((3, Offset::new(1024))));
        for wrong in ["3", "a/1", "1/", "1/-1", "digits/1/2"] {
            assert!(place(wrong).unwrap_err().contains("PARTITION/OFFSET"), "{wrong}");
        }
    }

    #[test]
    fn tensors_are_shown_by_their_first_elements() {
        let check = |tensor: Tensor, expect: &str| assert_eq!(tensor_row(&tensor)[3], expect);
        check(Tensor::from_elements("x", [2], &[1_i32, -2]).unwrap(), "1, -2");
        check(Tensor::from_elements("x", [9], &[7_u8; 9]).unwrap(), "7, 7, 7, 7, 7, 7, 7, 7, …");
        check(Tensor::from_byte_strings("x", [1], ["text"]).unwrap(), "text");
        check(Tensor::from_byte_strings("x", [1], [b"\xff"]).unwrap(), "01000000ff (hexadecimal)");
    }
}
