//! What a record is: a job, a result or a failure.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::quoted;

/// What a record is, as `ce_type` says. `Display` and `FromStr` use the names on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(description = "What a record is.")]
pub enum MessageKind {
    /// A job, on its way through the stages.
    #[serde(rename = "dev.millstream.job.v1")]
    Job,
    /// What a job came to.
    #[serde(rename = "dev.millstream.result.v1")]
    Result,
    /// Why a job came to nothing.
    #[serde(rename = "dev.millstream.failure.v1")]
    Failure,
}

impl MessageKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Job, Self::Result, Self::Failure];

    /// The value of `ce_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "dev.millstream.job.v1",
            Self::Result => "dev.millstream.result.v1",
            Self::Failure => "dev.millstream.failure.v1",
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for MessageKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("is {}, not a type of this contract", quoted(text)))
    }
}
