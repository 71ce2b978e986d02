//! Gathers the configuration structs of all parts into `millstream.toml`, and checks what they say together.

mod check;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use schemas::{Encoding, Limits, Stage, TopicNames};
use serde::{Deserialize, Serialize};
use stages::{ModelConfig, PostprocessStep, PreprocessStep, RuntimeConfig};
use transport::{KafkaConfig, Setting, TopicSpec};

pub use self::check::ConfigFault;
use crate::batch::BatchLimits;
use crate::exactly_once::TransactionLimits;
use crate::on_failure::OnFailureConfig;
use crate::worker::WorkerLimits;

/// The whole of `millstream.toml`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The brokers and how to talk to them.
    pub kafka: KafkaConfig,
    /// How topics are named and created.
    pub topics: TopicsConfig,
    /// Where ONNX Runtime is.
    pub runtime: RuntimeConfig,
    /// Models by name.
    pub models: BTreeMap<String, ModelConfig>,
    /// Pipelines by name.
    pub pipelines: BTreeMap<String, PipelineConfig>,
    /// How a worker process behaves.
    pub worker: WorkerConfig,
    /// Bounds of what is accepted from a record.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// How topics are named and created. A pipeline can name single topics differently.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TopicsConfig {
    /// Topics are called `<prefix>.<pipeline>.<stage>`.
    pub prefix: String,
    /// Partitions of each topic: the most workers that can share one stage.
    pub partitions: i32,
    /// Copies of each partition. Use 3 in production.
    pub replication: i32,
    /// Copies that must have a record before it counts as written. Use 2 with a replication of 3.
    pub min_insync_replicas: i32,
    /// How long all other records are kept: jobs, results, retries and cancellations, in hours.
    pub retention_hours: u32,
    /// How long dead letters are kept, in hours.
    pub dead_letter_retention_hours: u32,
}

impl Default for TopicsConfig {
    fn default() -> Self {
        Self {
            prefix: "millstream".into(),
            partitions: 4,
            replication: 1,
            min_insync_replicas: 1,
            retention_hours: 7 * 24,
            dead_letter_retention_hours: 30 * 24,
        }
    }
}

/// One pipeline: a model, what is done before and after it, and how its jobs travel.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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
    /// How results are written.
    #[serde(default)]
    pub results: ResultFormat,
    /// What is promised about each job's outcome.
    #[serde(default)]
    pub delivery: DeliveryMode,
    /// Whether a job that failed for a passing reason is run again.
    #[serde(default)]
    pub retry: RetryConfig,
    /// What becomes of a job that failed for good, stage by stage.
    #[serde(default)]
    pub on_failure: OnFailureConfig,
    /// When a batch leaves for the stages.
    #[serde(default)]
    pub batch: BatchConfig,
    /// Names of topics that differ from `<prefix>.<pipeline>.<stage>`.
    #[serde(default)]
    pub topics: TopicOverrides,
}

/// What is promised about each job's outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryMode {
    /// None is lost; after a crash one may come twice, with the same id.
    #[default]
    AtLeastOnce,
    /// None is lost and none comes twice, for whoever reads committed records. Needs a broker with transactions.
    ExactlyOnce,
}

/// Whether a job that failed for a passing reason (the model took too long, memory was short) is run again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// How often a job is run at most. 1: never again. The waits between are 5 s, 1 min, and then 10 min each, and up to a
    /// tenth longer.
    pub max_attempts: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { max_attempts: 4 }
    }
}

/// How results are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResultFormat {
    /// MessagePack with binary tensors.
    #[default]
    Msgpack,
    /// JSON as the Open Inference Protocol has it.
    Json,
}

impl From<ResultFormat> for Encoding {
    fn from(format: ResultFormat) -> Self {
        match format {
            ResultFormat::Msgpack => Self::MessagePack,
            ResultFormat::Json => Self::Json,
        }
    }
}

/// When a batch leaves for the stages.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Jobs in a batch at most.
    pub max_size: usize,
    /// Bytes of records in a batch at most.
    pub max_bytes: usize,
    /// The longest that a job waits for others, in milliseconds. A batch leaves at once when nothing else runs.
    pub max_delay_ms: u64,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { max_size: 64, max_bytes: 8 * 1024 * 1024, max_delay_ms: 5 }
    }
}

/// Names of topics that differ from `<prefix>.<pipeline>.<stage>`. Pipelines may share a topic: then `ce_subject` says
/// whose a record is. The topics of retries and cancellations cannot be named.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TopicOverrides {
    /// Jobs with raw payloads.
    pub preprocess: Option<String>,
    /// Jobs with model inputs.
    pub inference: Option<String>,
    /// Jobs with model outputs.
    pub postprocess: Option<String>,
    /// One terminal record per job.
    pub results: Option<String>,
    /// The original records of failed jobs.
    pub dead_letters: Option<String>,
}

/// How a worker process behaves.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Address of `/healthz`, `/readyz` and `/metrics`. Port 0 takes a free one and logs it.
    pub http: SocketAddr,
    /// Batches that run at once at most. Left out: one more than the processors that this process may use, so that one is
    /// ready when another ends.
    pub max_running_batches: Option<usize>,
    /// Records read and not yet settled at most; beyond it no more are taken. A quarter as many may wait behind them, and
    /// then the partitions are paused.
    pub max_inflight_records: usize,
    /// Bytes of these records at most, as they were read while their jobs run, as they are written while their outcomes
    /// are on their way. The same quarter may wait behind them.
    pub max_inflight_bytes: usize,
    /// Time between commits under load, in milliseconds, where delivery is at least once: after a crash, this much work is
    /// done again.
    pub commit_interval_ms: u64,
    /// Offsets of each partition that may be run ahead of the last commit: what is done again after a crash at most. At half
    /// of it a commit is made without waiting for the interval.
    pub max_uncommitted_records: usize,
    /// Time between transactions under load, in milliseconds, where delivery is exactly once. A transaction leaves at once
    /// when nothing else is going on.
    pub transaction_interval_ms: u64,
    /// How often a record may kill the process that runs it before it is answered with a failure.
    pub max_crashes: u32,
    /// The name of this worker's place, stable over restarts and different for each worker of a stage, such as the name of
    /// its pod: its transactional id and its name as a static member are made of it. Left out: the host's name and the lowest
    /// number that no other worker on the host has.
    pub slot: Option<String>,
    /// Whether the group knows this worker by its slot: then a restart within the session timeout, 45 s, moves no
    /// partitions, and those of a worker that does not come back wait for as long. For a fixed number of workers.
    pub static_membership: bool,
    /// How long running work may take to finish on a rebalance or a stop, in milliseconds. Shorter than the session
    /// timeout.
    pub drain_timeout_ms: u64,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 9464)),
            max_running_batches: None,
            max_inflight_records: 4_096,
            max_inflight_bytes: 64 * 1024 * 1024,
            commit_interval_ms: 500,
            max_uncommitted_records: 4_096,
            transaction_interval_ms: 100,
            max_crashes: 3,
            slot: None,
            static_membership: false,
            drain_timeout_ms: 10_000,
        }
    }
}

/// A transaction of more gains nothing: its fixed cost is spread over enough.
const MAX_TRANSACTION_RECORDS: usize = 4_096;

/// What Kafka puts around a record: the head of its batch, and lengths.
const KAFKA_OVERHEAD: usize = 8 * 1024;

/// What is logged, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Lines for people or objects for machines.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or directives as `RUST_LOG` takes them, which wins over this.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info,ort=warn".into() }
    }
}

/// Lines for people or objects for machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line per event.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Makes the relative paths of files relative to the folder of the configuration file.
    pub fn resolve_paths(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        self.runtime.path.iter_mut().for_each(resolve);
        for model in self.models.values_mut() {
            resolve(&mut model.path);
            model.labels.iter_mut().for_each(resolve);
        }
        self.kafka.security.files_mut().for_each(resolve);
    }

    /// The topics of a pipeline; of one that is not declared, those that it would have.
    pub fn topic_names(&self, pipeline: &str) -> TopicNames {
        let mut names = TopicNames::new(&self.topics.prefix, pipeline);
        if let Some(declared) = self.pipelines.get(pipeline) {
            let TopicOverrides { preprocess, inference, postprocess, results, dead_letters } =
                &declared.topics;
            for (name, other) in [
                (&mut names.preprocess, preprocess),
                (&mut names.inference, inference),
                (&mut names.postprocess, postprocess),
                (&mut names.results, results),
                (&mut names.dead_letters, dead_letters),
            ] {
                if let Some(other) = other {
                    name.clone_from(other);
                }
            }
        }
        names
    }

    /// All topics of all pipelines as they should be, each once, by name.
    pub fn topic_specs(&self) -> Vec<TopicSpec> {
        let mut specs = BTreeMap::new();
        for pipeline in self.pipelines.keys() {
            let names = self.topic_names(pipeline);
            for name in [&names.preprocess, &names.inference, &names.postprocess, &names.results] {
                specs.insert(name.clone(), self.topic_spec(name, self.topics.retention_hours));
            }
            for name in names.retries.iter().chain([&names.cancellations]) {
                specs.insert(name.clone(), self.topic_spec(name, self.topics.retention_hours));
            }
            let dead_letters = self.topic_spec(&names.dead_letters, self.topics.dead_letter_retention_hours);
            specs.insert(names.dead_letters.clone(), dead_letters);
        }
        specs.into_values().collect()
    }

    fn topic_spec(&self, name: &str, retention_hours: u32) -> TopicSpec {
        TopicSpec {
            name: name.to_owned(),
            partitions: self.topics.partitions,
            replication: self.topics.replication,
            min_insync_replicas: self.topics.min_insync_replicas,
            retention: Duration::from_secs(u64::from(retention_hours) * 3600),
            max_message_bytes: self.max_topic_record_bytes(),
        }
    }

    /// The largest record that a topic takes: the largest that is accepted, with room for what a stage adds, and for
    /// what Kafka puts around it.
    pub fn max_topic_record_bytes(&self) -> usize {
        self.limits.of_hops().max_record_bytes + KAFKA_OVERHEAD
    }

    /// The largest outcome that is written; a larger one becomes a failure. Below what the client and the topic take, so
    /// that they never refuse one.
    pub fn max_outcome_bytes(&self) -> usize {
        let client = match self.kafka_for_records().producer.get("message.max.bytes") {
            Some(Setting::Int(bytes)) => usize::try_from(*bytes).unwrap_or(0),
            _ => self.max_topic_record_bytes(),
        };
        client.min(self.max_topic_record_bytes()).saturating_sub(KAFKA_OVERHEAD)
    }

    /// The settings of a worker's Kafka clients: as [`Config::kafka_for_records`], and an outcome that has no broker to go
    /// to waits for one. Giving up would only repeat the work.
    pub fn kafka_for_worker(&self) -> KafkaConfig {
        let mut kafka = self.kafka_for_records();
        kafka.producer.entry("message.timeout.ms".into()).or_insert(Setting::Int(0));
        kafka
    }

    /// The settings of the Kafka clients, made to carry the largest record that the topics take.
    pub fn kafka_for_records(&self) -> KafkaConfig {
        let mut kafka = self.kafka.clone();
        let largest = i64::try_from(self.max_topic_record_bytes()).unwrap_or(i64::MAX);
        kafka.producer.entry("message.max.bytes".into()).or_insert(Setting::Int(largest));
        kafka
    }

    /// The consumer group of a worker whose first stage is `stage`: workers that read one topic share one group, fused or
    /// not, so a job is never read by two of them.
    pub fn group(&self, pipeline: &str, stage: Stage) -> String {
        format!("{}.{pipeline}.{stage}", self.topics.prefix)
    }

    /// The bounds of a worker of this pipeline.
    pub fn worker_limits(&self, pipeline: &PipelineConfig) -> WorkerLimits {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        WorkerLimits {
            batch: BatchLimits {
                max_size: pipeline.batch.max_size,
                max_bytes: pipeline.batch.max_bytes,
                max_delay: Duration::from_millis(pipeline.batch.max_delay_ms),
            },
            max_running_batches: self.worker.max_running_batches.unwrap_or(processors + 1),
            max_inflight_records: self.worker.max_inflight_records,
            max_inflight_bytes: self.worker.max_inflight_bytes,
            commit_interval: Duration::from_millis(self.worker.commit_interval_ms),
            transaction: TransactionLimits {
                interval: Duration::from_millis(self.worker.transaction_interval_ms),
                max_records: MAX_TRANSACTION_RECORDS,
                max_bytes: self.worker.max_inflight_bytes / 4,
            },
            max_uncommitted_records: self.worker.max_uncommitted_records,
            max_crashes: self.worker.max_crashes,
            drain_timeout: Duration::from_millis(self.worker.drain_timeout_ms),
        }
    }

    /// The pipelines whose `stage` reads the same topic as that of `pipeline`, itself included, sorted by name.
    pub fn sharing_topic(&self, pipeline: &str, stage: Stage) -> Vec<String> {
        let topic = self.topic_names(pipeline).of_stage(stage).to_owned();
        let shares = |name: &&String| self.topic_names(name).of_stage(stage) == topic;
        self.pipelines.keys().filter(shares).cloned().collect()
    }
}

impl PipelineConfig {
    /// The part of the declaration that the stages work by.
    pub fn stages(&self) -> stages::PipelineConfig {
        stages::PipelineConfig {
            model: self.model.clone(),
            preprocess: self.preprocess.clone(),
            postprocess: self.postprocess.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
