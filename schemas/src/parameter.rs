//! Parameters: small named values that ride beside the tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// Named values beside the tensors, in the order of their names.
pub type Parameters = BTreeMap<String, Parameter>;

/// The value of a parameter.
///
/// Floats are equal when their bits are, so that a job is equal to itself whatever it carries.
#[derive(Debug, Clone)]
pub enum Parameter {
    /// A boolean.
    Bool(bool),
    /// An integer of 64 bits; larger ones are refused.
    Int(i64),
    /// A float. MessagePack carries every one, JSON only finite ones.
    Float(f64),
    /// Text.
    Str(String),
}

impl PartialEq for Parameter {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Str(a), Self::Str(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Parameter {}

impl Serialize for Parameter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Str(value) => serializer.serialize_str(value),
        }
    }
}

impl JsonSchema for Parameter {
    fn schema_name() -> Cow<'static, str> {
        "Parameter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A boolean, an integer of 64 bits, a float or text.",
            "type": ["boolean", "integer", "number", "string"]
        })
    }
}

impl From<bool> for Parameter {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Parameter {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Parameter {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<String> for Parameter {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

impl From<&str> for Parameter {
    fn from(value: &str) -> Self {
        Self::Str(value.to_owned())
    }
}
