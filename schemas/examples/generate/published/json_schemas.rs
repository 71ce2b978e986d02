//! JSON Schemas of the bodies and headers, from the Rust types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use schemas::{DeadLetterReason, Failure, Headers, Job, JobResult};

/// Every schema by the name of its file.
pub(crate) fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("job", of::<Job>()),
        ("result", of::<JobResult>()),
        ("failure", of::<Failure>()),
        ("headers", of::<Headers>()),
        ("dead-letter-headers", of::<DeadLetterReason>()),
    ]
}

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}
