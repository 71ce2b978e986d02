//! The AsyncAPI 3.0 document: topics, who writes and reads them, and their messages.

use schemars::generate::SchemaSettings;
use schemas::{
    Cancellation, DeadLetterReason, Encoding, Failure, Headers, Job, JobResult, MessageKind, Retry,
    TopicNames,
};
use serde_json::{Map, Value, json};

use super::json_schemas::WithoutNull;

const BINDING_VERSION: &str = "0.5.0";

pub(crate) fn document() -> Value {
    // AsyncAPI 3 reads schemas as a superset of draft 7, and keeps them among its components.
    let settings =
        SchemaSettings::draft07().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.with_transform(WithoutNull).into_generator();
    let bodies = [
        generator.subschema_for::<Job>(),
        generator.subschema_for::<JobResult>(),
        generator.subschema_for::<Failure>(),
    ];
    let headers = generator.subschema_for::<Headers>();
    let dead_letter_headers = generator.subschema_for::<DeadLetterReason>();
    let retry_headers = generator.subschema_for::<Retry>();
    let cancellation_headers = generator.subschema_for::<Cancellation>();
    let [job, result, failure] = bodies;
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "millstream",
            "version": "1.0.0",
            "description": "Jobs, results and failures of a millstream pipeline on Kafka. SPEC.md beside this document says \
                how bodies are written; a body of `application/vnd.msgpack` is the map of its schema as MessagePack.",
            "license": { "name": "Apache-2.0 OR MIT" }
        },
        "defaultContentType": Encoding::MessagePack.content_type(),
        "channels": channels(),
        "operations": operations(),
        "components": {
            "messages": {
                "job": message("Job", MessageKind::Job, &job, &headers, &examples::job()),
                "rawJob": {
                    "name": "rawJob",
                    "title": "Raw job",
                    "summary": "Any payload: it reads as one BYTES tensor `payload` of shape [1].",
                    "contentType": "application/octet-stream",
                    "headers": headers,
                    "payload": {},
                    "bindings": { "kafka": { "key": key(), "bindingVersion": BINDING_VERSION } }
                },
                "result": message("Result", MessageKind::Result, &result, &headers, &examples::result()),
                "failure": message("Failure", MessageKind::Failure, &failure, &headers, &examples::failure()),
                "deadLetter": {
                    "name": "deadLetter",
                    "title": "Dead letter",
                    "summary": "The record of a failed job, key, value and headers unchanged, and why it failed.",
                    "headers": { "allOf": [headers, dead_letter_headers] },
                    "payload": {},
                    "bindings": { "kafka": { "key": key(), "bindingVersion": BINDING_VERSION } }
                },
                "retry": {
                    "name": "retry",
                    "title": "Retry",
                    "summary": "A job that failed for a passing reason, key and value unchanged, until it is due again.",
                    "headers": { "allOf": [headers, retry_headers] },
                    "payload": {},
                    "bindings": { "kafka": { "key": key(), "bindingVersion": BINDING_VERSION } }
                },
                "cancellation": cancellation(&cancellation_headers)
            },
            "schemas": generator.take_definitions(true)
        }
    })
}

/// A record of headers alone.
fn cancellation(headers: &impl serde::Serialize) -> Value {
    json!({
        "name": Cancellation::TYPE,
        "title": "Cancellation",
        "summary": "Jobs that have not started end as `cancelled`. The record has no value.",
        "headers": headers,
        "payload": { "type": "null" },
        "bindings": {
            "kafka": {
                "key": { "description": "The id, or the batch." },
                "bindingVersion": BINDING_VERSION
            }
        },
        "examples": [{
            "name": "batch",
            "summary": "All jobs of a batch.",
            "headers": {
                "ce_specversion": "1.0",
                "ce_batchid": "monday",
                "ce_type": Cancellation::TYPE,
                "ce_source": "/millstream/producer/docs",
                "ce_time": "2026-01-31T12:00:00.000000Z"
            },
            "payload": null
        }]
    })
}

/// A channel for each topic: its last part, what it carries, and which messages.
const CHANNELS: [(&str, &str, &[&str]); 9] = [
    ("preprocess", "Jobs with raw payloads.", &["job", "rawJob"]),
    ("inference", "Jobs with model inputs.", &["job", "rawJob"]),
    ("postprocess", "Jobs with model outputs.", &["job", "rawJob"]),
    ("results", "Exactly one terminal record per job: a result or a failure.", &["result", "failure"]),
    ("dead-letters", "The original record of each failed job, and why it failed.", &["deadLetter"]),
    ("retry.5s", "Jobs that wait 5 seconds to be run a second time.", &["retry"]),
    ("retry.1m", "Jobs that wait a minute to be run a third time.", &["retry"]),
    ("retry.10m", "Jobs that wait 10 minutes to be run once more.", &["retry"]),
    ("cancellations", "Which jobs are withdrawn.", &["cancellation"]),
];

fn channels() -> Value {
    let channel = |(name, description, messages): (&str, &str, &[&str])| {
        let messages: Map<String, Value> =
            messages.iter().map(|id| (id.to_string(), component(id))).collect();
        let channel = json!({
            "address": format!("{{prefix}}.{{pipeline}}.{name}"),
            "description": description,
            "messages": messages,
            "parameters": {
                "prefix": { "description": "Common to all topics.", "default": TopicNames::DEFAULT_PREFIX },
                "pipeline": { "description": "The pipeline's name." }
            },
            "bindings": { "kafka": { "bindingVersion": BINDING_VERSION } }
        });
        (camel_case(name), channel)
    };
    CHANNELS.into_iter().map(channel).collect::<Map<_, _>>().into()
}

/// What a millstream deployment does with each topic: it receives jobs and cancellations and sends outcomes; stages send on
/// to each other, and what is to be run again to themselves.
fn operations() -> Value {
    let operation = |(action, name): (&str, &str)| {
        let id = camel_case(&format!("{action}-{name}"));
        let channel = json!({ "$ref": format!("#/channels/{}", camel_case(name)) });
        (id, json!({ "action": action, "channel": channel }))
    };
    let retries = ["retry.5s", "retry.1m", "retry.10m"];
    let receives = ["preprocess", "inference", "postprocess", "cancellations"].into_iter().chain(retries);
    // What is due again goes back to the stage that it came from, the first one too.
    let sends =
        ["preprocess", "inference", "postprocess", "results", "dead-letters"].into_iter().chain(retries);
    let receives = receives.map(|name| ("receive", name));
    receives.chain(sends.map(|name| ("send", name))).map(operation).collect::<Map<_, _>>().into()
}

fn message(
    title: &str,
    kind: MessageKind,
    body: &impl serde::Serialize,
    headers: &impl serde::Serialize,
    example: &Value,
) -> Value {
    json!({
        "name": kind.as_str(),
        "title": title,
        "contentType": Encoding::MessagePack.content_type(),
        "headers": headers,
        "payload": body,
        "bindings": { "kafka": { "key": key(), "bindingVersion": BINDING_VERSION } },
        "examples": [{
            "name": "json",
            "summary": "Written as application/json.",
            "headers": {
                "ce_specversion": "1.0",
                "ce_id": "0198c5a8-7b1e-7c3a-9d52-3f6b1c0e8a41",
                "ce_type": kind.as_str(),
                "ce_source": "/millstream/producer/docs",
                "ce_subject": "digits",
                "ce_time": "2026-01-31T12:00:00.000000Z",
                "content-type": Encoding::Json.content_type()
            },
            "payload": example
        }]
    })
}

fn key() -> Value {
    json!({ "description": "The producer's; kept on every hop. Records of one key keep their order." })
}

fn component(message: &str) -> Value {
    json!({ "$ref": format!("#/components/messages/{message}") })
}

fn camel_case(name: &str) -> String {
    let mut words = name.split(['-', '.']);
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

/// Bodies as this crate writes them in JSON.
mod examples {
    use schemas::{
        Encoding, Failure, FailureCode, Job, JobResult, Outcome, Parameters, Tensor, TimeSheet,
        encode_job_as, encode_outcome,
    };
    use serde_json::Value;

    pub(super) fn job() -> Value {
        let image =
            Tensor::from_elements("image", [1, 2, 2], &[0.0_f32, 0.5, 0.25, 1.0]).expect("four elements");
        parsed(&encode_job_as(&Job::new([image]), Encoding::Json).expect("finite"))
    }

    pub(super) fn result() -> Value {
        let mut parameters = Parameters::new();
        let sheet = TimeSheet {
            queue_us: 900,
            inference_us: 350,
            total_us: 1600,
            batch_size: 8,
            ..TimeSheet::default()
        };
        sheet.write(&mut parameters);
        outcome(&Outcome::Result(JobResult {
            model_name: "digits".into(),
            model_version: "1".into(),
            outputs: vec![Tensor::from_byte_strings("label", [1], ["seven"]).expect("one element")],
            parameters,
        }))
    }

    pub(super) fn failure() -> Value {
        outcome(&Outcome::Failure(Failure {
            stage: "inference".into(),
            code: FailureCode::InvalidInput,
            message: "inputs[0].shape: has more than 8 dimensions".into(),
            attempt: 1,
            retriable: false,
        }))
    }

    fn outcome(outcome: &Outcome) -> Value {
        parsed(&encode_outcome(outcome, Encoding::Json).expect("finite"))
    }

    fn parsed(body: &[u8]) -> Value {
        serde_json::from_slice(body).expect("our own JSON")
    }
}
