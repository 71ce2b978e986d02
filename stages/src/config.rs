//! What is declared in the configuration file about models and pipelines. Each operation's own parameters stand in its
//! file under `preprocess/` and `postprocess/`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::postprocess::{Postprocess, PostprocessStep};
use crate::preprocess::{Preprocess, PreprocessStep};

/// A wrong value in the configuration, with the path of its field relative to the section that was checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct StageConfigError {
    /// The field, as in `preprocess[1].width`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl StageConfigError {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// Where ONNX Runtime is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeConfig {
    /// The ONNX Runtime library to load (`libonnxruntime.so`, version 1.24 or newer). Left out, it is looked for in
    /// `ORT_DYLIB_PATH`, beside the executable, in the user's cache, in Python's packages and where the system's
    /// loader looks.
    pub path: Option<PathBuf>,
}

/// One model: its file and how it is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The ONNX file.
    pub path: PathBuf,
    /// The version that results are stamped with.
    #[serde(default = "ModelConfig::default_version")]
    pub version: String,
    /// A text file with one label per line, in the order of the model's classes. `arg-max` and `top-k` add the labels to
    /// their output when this is set.
    #[serde(default)]
    pub labels: Option<PathBuf>,
    /// How many sessions of the model run at once. Batching gains more than sessions do; more than 2 seldom pays.
    #[serde(default = "ModelConfig::default_sessions")]
    #[schemars(range(min = 1, max = 64))]
    pub sessions: usize,
    /// Threads that one session uses within one operator. Left out: the cores that this process may use, divided among
    /// the sessions.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub intra_threads: Option<usize>,
    /// Whether jobs are run together along the first axis.
    #[serde(default)]
    pub batch_axis: BatchAxis,
    /// How long one run of the model may take, in milliseconds: one batch, or each part of it where its jobs do not fit
    /// each other. A run that takes longer is ended, and its jobs fail with `timeout`, to be run again later. ONNX Runtime
    /// ends a run between two operators. Left out: as long as it takes.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
}

/// Whether a model takes several jobs in one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BatchAxis {
    /// As the model's file says: the first axis, where it is dynamic in every input and every output.
    #[default]
    Auto,
    /// Jobs are run one by one, whatever the file says. For models whose first axis is dynamic but is no batch, or whose
    /// rows influence each other.
    None,
}

impl ModelConfig {
    /// A model from a file, everything else as it is by default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            version: Self::default_version(),
            labels: None,
            sessions: Self::default_sessions(),
            intra_threads: None,
            batch_axis: BatchAxis::Auto,
            timeout_ms: None,
        }
    }

    fn default_version() -> String {
        "1".to_owned()
    }

    fn default_sessions() -> usize {
        1
    }

    /// Everything that is wrong with the values themselves; the files are looked at when the model is loaded.
    pub fn check(&self) -> Vec<StageConfigError> {
        let mut errors = Vec::new();
        if self.path.as_os_str().is_empty() {
            errors.push(StageConfigError::new("path", "must name the ONNX file"));
        }
        if self.version.is_empty() || self.version.len() > 128 || self.version.chars().any(char::is_control) {
            errors.push(StageConfigError::new(
                "version",
                "must be 1 to 128 characters without control characters",
            ));
        }
        if !(1..=64).contains(&self.sessions) {
            errors.push(StageConfigError::new("sessions", format!("must be 1 to 64, not {}", self.sessions)));
        }
        if let Some(threads) = self.intra_threads.filter(|threads| !(1..=1024).contains(threads)) {
            errors.push(StageConfigError::new("intra_threads", format!("must be 1 to 1024, not {threads}")));
        }
        if self.timeout_ms == Some(0) {
            errors
                .push(StageConfigError::new("timeout_ms", "must be at least 1; left out, there is no limit"));
        }
        errors
    }

    /// How long one run may take.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// Threads of one session: sessions times threads stays within the cores that this process may use, which on Linux
    /// includes the limit of its cgroup.
    pub(crate) fn threads_per_session(&self) -> usize {
        self.intra_threads.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            (cores / self.sessions.max(1)).max(1)
        })
    }
}

/// One pipeline: a model and what is done before and after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// The name of the model, as declared under `models`.
    pub model: String,
    /// What is done to a job before the model, in order. Empty: its tensors go to the model as they are.
    #[serde(default)]
    pub preprocess: Vec<PreprocessStep>,
    /// What is done to the model's outputs, in order. Empty: they are the result.
    #[serde(default)]
    pub postprocess: Vec<PostprocessStep>,
}

impl PipelineConfig {
    /// A pipeline that hands tensors to a model and its outputs back.
    pub fn pass_through(model: impl Into<String>) -> Self {
        Self { model: model.into(), preprocess: Vec::new(), postprocess: Vec::new() }
    }

    /// Everything that is wrong with the values themselves.
    pub fn check(&self) -> Vec<StageConfigError> {
        let mut errors = Vec::new();
        if self.model.is_empty() {
            errors.push(StageConfigError::new("model", "must name a model"));
        }
        errors.extend(Preprocess::check(&self.preprocess));
        errors.extend(Postprocess::check(&self.postprocess));
        errors
    }
}

#[cfg(test)]
mod tests;
