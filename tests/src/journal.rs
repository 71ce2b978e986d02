//! What the Python scripts report: what was submitted, what came of it, and what should have.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What a producer submitted. An id that was submitted several times stands there as often.
#[derive(Debug, Clone, Deserialize)]
pub struct Journal {
    /// Every job.
    pub jobs: Vec<Job>,
    /// How long submitting took.
    pub seconds: f64,
    /// The `tracestate` of every job.
    pub state: String,
}

/// A submitted job.
#[derive(Debug, Clone, Deserialize)]
pub struct Job {
    /// Its `ce_id`.
    pub id: String,
    /// The record's key.
    pub key: Option<String>,
    /// Its place among the jobs of its key.
    pub sequence: u64,
    /// The image that it asks about.
    pub image: String,
    /// The partition that it was written to.
    pub partition: i32,
    /// Its `ce_time`.
    pub time: String,
    /// Its `traceparent`.
    pub traceparent: String,
    /// Whether the brokers have said that they have it. Otherwise they may have it all the same.
    #[serde(default = "yes")]
    pub acknowledged: bool,
}

fn yes() -> bool {
    true
}

/// A record on `results`.
#[derive(Debug, Clone, Deserialize)]
pub struct Terminal {
    /// Where it stands.
    pub partition: i32,
    /// Where it stands.
    pub offset: i64,
    /// When it was written.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<String>,
    /// Its `ce_id`.
    pub id: Option<String>,
    /// All its headers in their order; a value that is not UTF-8 in hexadecimal, after `hex:`. None in a lean reading.
    #[serde(default)]
    pub headers: Vec<(String, Option<String>)>,
    /// A result or a failure.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What came of a job.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Answer {
    /// A result.
    Result {
        /// The elements of each output.
        outputs: BTreeMap<String, Vec<Value>>,
        /// The time sheet among others. None in a lean reading.
        #[serde(default)]
        parameters: BTreeMap<String, Value>,
        /// Name and version. None in a lean reading.
        #[serde(default)]
        model: BTreeMap<String, String>,
    },
    /// A failure.
    Failure {
        /// Its body.
        failure: Failure,
    },
}

/// The body of a failure.
#[derive(Debug, Clone, Deserialize)]
pub struct Failure {
    /// Where it failed.
    pub stage: String,
    /// Why.
    pub code: String,
    /// In words.
    pub message: String,
    /// Which run it was.
    pub attempt: u32,
    /// Whether another run may succeed.
    pub retriable: bool,
}

/// A record on `dead-letters`.
#[derive(Debug, Clone, Deserialize)]
pub struct DeadLetter {
    /// A digest of the record without its `ms_error_…` headers.
    pub original: String,
    /// The `ms_error_…` headers.
    pub reason: BTreeMap<String, Option<String>>,
}

/// A record of the hostile producer, or one of the good ones among them.
#[derive(Debug, Clone, Deserialize)]
pub struct HostileRecord {
    /// What is wrong with it.
    pub kind: String,
    /// The codes that its failure may have; none for a good one.
    pub codes: Vec<String>,
    /// The image, of a good one.
    pub image: Option<String>,
    /// The id that its outcome must have.
    pub id: String,
    /// The stage that it was submitted to.
    pub stage: String,
    /// The record's key.
    pub key: Option<String>,
    /// A digest of the whole record.
    pub original: String,
    /// Where it was written.
    pub topic: String,
    /// Where it was written.
    pub partition: i32,
    /// Where it was written.
    pub offset: i64,
}

/// What ONNX Runtime says by itself.
#[derive(Debug, Clone, Deserialize)]
pub struct Reference {
    /// By image.
    pub answers: BTreeMap<String, Labelled>,
    /// SHA-256 of the model's file.
    pub model_digest: String,
}

/// The best classes of an image, best first.
#[derive(Debug, Clone, Deserialize)]
pub struct Labelled {
    /// Their labels.
    pub labels: Vec<String>,
    /// Their probabilities.
    pub scores: Vec<f64>,
}
