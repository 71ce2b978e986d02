//! JSON Schemas of the bodies and headers, from the Rust types.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use schemas::{Cancellation, DeadLetterReason, Failure, Headers, Job, JobResult, Retry};
use serde_json::Value;

/// Every schema by the name of its file.
pub(crate) fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("job", of::<Job>()),
        ("result", of::<JobResult>()),
        ("failure", of::<Failure>()),
        ("headers", of::<Headers>()),
        ("dead-letter-headers", of::<DeadLetterReason>()),
        ("retry-headers", of::<Retry>()),
        ("cancellation-headers", of::<Cancellation>()),
    ]
}

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().with_transform(WithoutNull).into_generator().into_root_schema_for::<T>()
}

/// What is absent on the wire is left out, never null, so no schema allows null for an `Option`.
#[derive(Clone)]
pub(crate) struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                schema.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.retain(|choice| choice["type"] != "null");
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                schema.remove("anyOf");
                only.into_iter().for_each(|(key, value)| drop(schema.insert(key, value)));
            }
        }
        transform_subschemas(self, schema);
    }
}
