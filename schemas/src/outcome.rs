//! How a job ended: a result or a failure.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{MessageKind, Parameters, Tensor};

/// The terminal record of a job; every job has exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran through.
    Result(JobResult),
    /// It did not.
    Failure(Failure),
}

impl Outcome {
    /// What the header `ce_type` says of it.
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Result(_) => MessageKind::Result,
            Self::Failure(_) => MessageKind::Failure,
        }
    }
}

/// What a job came to.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "Result")]
pub struct JobResult {
    /// The model that computed it.
    pub model_name: String,
    /// The model's version.
    pub model_version: String,
    /// The tensors it came to.
    pub outputs: Vec<Tensor>,
    /// The time sheet and other small named values.
    #[schemars(default)]
    pub parameters: Parameters,
}

/// Why a job came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// The stage that gave up on it.
    pub stage: String,
    /// What kind of failure it is.
    pub code: FailureCode,
    /// What went wrong, where and why, in words; without contents of the payload.
    pub message: String,
    /// How often the job had been run: 1 for the first time.
    pub attempt: u32,
    /// Whether the same job may succeed when it is submitted again.
    pub retriable: bool,
}

/// What kind of failure it is. `Display` and `FromStr` use the names on the wire (`invalid_input`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(description = "What kind of failure it is.")]
pub enum FailureCode {
    /// Well-formed, but not what the contract, the pipeline or the model asks for.
    InvalidInput,
    /// The bytes are broken: not the encoding that the content type names.
    Undecodable,
    /// Over a limit.
    TooLarge,
    /// The model refused it or broke on it.
    ModelError,
    /// It took longer than it may.
    Timeout,
    /// It was past its deadline before it ran.
    Expired,
    /// It was withdrawn.
    Cancelled,
    /// A fault of this project or of the machine it runs on.
    Internal,
}

impl FailureCode {
    /// Every code.
    pub const ALL: [Self; 8] = [
        Self::InvalidInput,
        Self::Undecodable,
        Self::TooLarge,
        Self::ModelError,
        Self::Timeout,
        Self::Expired,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::Undecodable => "undecodable",
            Self::TooLarge => "too_large",
            Self::ModelError => "model_error",
            Self::Timeout => "timeout",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is not the name of a failure code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown failure code")]
pub struct UnknownFailureCode;

impl FromStr for FailureCode {
    type Err = UnknownFailureCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|code| code.as_str() == text).ok_or(UnknownFailureCode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_names_read_back_and_serde_agrees() {
        for code in FailureCode::ALL {
            assert_eq!(code.to_string().parse(), Ok(code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
        assert_eq!("Internal".parse::<FailureCode>(), Err(UnknownFailureCode));
    }
}
