//! The three stages a job passes, in order.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stage of a pipeline; ordered as jobs pass them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Raw payload to model inputs.
    Preprocess,
    /// Model inputs to model outputs.
    Inference,
    /// Model outputs to a result.
    Postprocess,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 3] = [Self::Preprocess, Self::Inference, Self::Postprocess];

    /// The name in topics, headers, configuration and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preprocess => "preprocess",
            Self::Inference => "inference",
            Self::Postprocess => "postprocess",
        }
    }

    /// The stage that follows, or `None` after the last one.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Preprocess => Some(Self::Inference),
            Self::Inference => Some(Self::Postprocess),
            Self::Postprocess => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is not the name of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown stage; the stages are preprocess, inference and postprocess")]
pub struct UnknownStage;

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text).ok_or(UnknownStage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_in_order() {
        for stage in Stage::ALL {
            assert_eq!(stage.to_string().parse(), Ok(stage));
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
        }
        assert!(Stage::ALL.is_sorted());
        assert_eq!(Stage::Preprocess.next().and_then(Stage::next), Some(Stage::Postprocess));
        assert_eq!("all".parse::<Stage>(), Err(UnknownStage));
    }
}
