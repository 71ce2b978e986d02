//! What the values of the configuration say against themselves and against each other. Pure: neither files nor brokers
//! are looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::TopicNames;
use transport::ConsumerOptions;

use super::{Config, PipelineConfig};
use crate::name;
use crate::slot::Slot;

/// A value that cannot work, with the path of its key in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ConfigFault {
    /// The key, as in `pipelines.digits.preprocess[1].width`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ConfigFault {
    /// The fault of the key at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl Config {
    /// Everything that is wrong with the values, each by itself and against the others. Files and brokers are not looked
    /// at.
    pub fn check(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        self.check_topics(&mut faults);
        self.check_worker(&mut faults);
        for (name, model) in &self.models {
            check_name(&format!("models.{name}"), name, &mut faults);
            let inside = model.check().into_iter();
            faults.extend(inside.map(|e| ConfigFault::new(format!("models.{name}.{}", e.path), e.message)));
        }
        for (name, pipeline) in &self.pipelines {
            check_name(&format!("pipelines.{name}"), name, &mut faults);
            self.check_pipeline(name, pipeline, &mut faults);
        }
        self.check_roles(&mut faults);
        faults
    }

    fn check_topics(&self, faults: &mut Vec<ConfigFault>) {
        let topics = &self.topics;
        check_name("topics.prefix", &topics.prefix, faults);
        for (key, value) in [
            ("topics.partitions", topics.partitions),
            ("topics.replication", topics.replication),
            ("topics.min_insync_replicas", topics.min_insync_replicas),
        ] {
            if value < 1 {
                faults.push(ConfigFault::new(key, format!("must be at least 1, not {value}")));
            }
        }
        if topics.min_insync_replicas > topics.replication {
            let message = format!(
                "{} copies can never be in sync where replication = {}; lower it or raise replication",
                topics.min_insync_replicas, topics.replication
            );
            faults.push(ConfigFault::new("topics.min_insync_replicas", message));
        }
    }

    fn check_worker(&self, faults: &mut Vec<ConfigFault>) {
        for (key, value) in [
            ("worker.max_running_batches", self.worker.max_running_batches.unwrap_or(1)),
            ("worker.max_inflight_records", self.worker.max_inflight_records),
            ("worker.max_inflight_bytes", self.worker.max_inflight_bytes),
            ("worker.max_uncommitted_records", self.worker.max_uncommitted_records),
            ("worker.max_crashes", self.worker.max_crashes as usize),
            ("limits.max_record_bytes", self.limits.max_record_bytes),
        ] {
            if value == 0 {
                faults.push(ConfigFault::new(key, "must be at least 1"));
            }
        }
        if let Some(Err(error)) = self.worker.slot.as_deref().map(Slot::named) {
            faults.push(ConfigFault::new("worker.slot", error.to_string()));
        }
        let options = ConsumerOptions {
            drain_timeout: Duration::from_millis(self.worker.drain_timeout_ms),
            // Whichever: that there is one decides how long a session lasts.
            instance_id: self.worker.static_membership.then(|| "any".to_owned()),
            ..ConsumerOptions::default()
        };
        if let Err(error) = self.kafka.check(&options) {
            let key = if error.key == "drain_timeout" { "worker.drain_timeout_ms" } else { &error.key };
            faults.push(ConfigFault::new(key, error.problem));
        }
    }

    fn check_pipeline(&self, name: &str, pipeline: &PipelineConfig, faults: &mut Vec<ConfigFault>) {
        let path = |key: &str| format!("pipelines.{name}.{key}");
        if !self.models.contains_key(&pipeline.model) {
            let known = self.models.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let known =
                if known.is_empty() { "none is declared".to_owned() } else { format!("declared: {known}") };
            let message = format!("there is no model `{}` under [models] ({known})", pipeline.model);
            faults.push(ConfigFault::new(path("model"), message));
        }
        let inside = pipeline.stages().check();
        faults.extend(inside.into_iter().map(|e| ConfigFault::new(path(&e.path), e.message)));
        if pipeline.retry.max_attempts == 0 {
            faults.push(ConfigFault::new(path("retry.max_attempts"), "must be at least 1, the first run"));
        }
        let of_failures = pipeline.on_failure.check(&self.limits).into_iter();
        faults.extend(of_failures.map(|fault| ConfigFault::new(path(&fault.path), fault.message)));
        if pipeline.batch.max_size == 0 {
            faults.push(ConfigFault::new(path("batch.max_size"), "must be at least 1"));
        }
    }

    /// A topic that pipelines share must mean the same to each of them: what one writes as results is no job to another.
    fn check_roles(&self, faults: &mut Vec<ConfigFault>) {
        let mut roles: BTreeMap<String, (&str, &str)> = BTreeMap::new();
        for name in self.pipelines.keys() {
            let TopicNames {
                preprocess,
                inference,
                postprocess,
                results,
                dead_letters,
                retries,
                cancellations,
            } = self.topic_names(name);
            let [soon, later, last] = retries;
            for (role, topic) in [
                // These cannot be named in the configuration; what clashes with them can.
                ("retry.5s", soon),
                ("retry.1m", later),
                ("retry.10m", last),
                ("cancellations", cancellations),
                ("preprocess", preprocess),
                ("inference", inference),
                ("postprocess", postprocess),
                ("results", results),
                ("dead_letters", dead_letters),
            ] {
                let path = format!("pipelines.{name}.topics.{role}");
                check_name(&path, &topic, faults);
                let (owner, first_role) = *roles.entry(topic.clone()).or_insert((name, role));
                if first_role != role {
                    let message = format!(
                        "`{topic}` is the topic of {first_role} of pipeline {owner} already; name another"
                    );
                    faults.push(ConfigFault::new(path, message));
                }
            }
        }
    }
}

fn check_name(path: &str, name: &str, faults: &mut Vec<ConfigFault>) {
    if !name::is_name(name) {
        faults.push(ConfigFault::new(path, format!("a name is {}", name::RULE)));
    }
}
