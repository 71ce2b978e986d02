//! Asks a cluster how it is: for people who look for what is wrong.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;

use super::errors::{client_error, read_advice};
use super::settings::Settings;
use crate::config::KafkaConfig;
use crate::error::TransportError;

/// How many reasons a message holds.
const REASONS: usize = 3;

/// What a cluster says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterReport {
    /// The cluster's id, where it has one.
    pub cluster_id: Option<String>,
    /// Its brokers, as they want to be addressed.
    pub brokers: Vec<BrokerReport>,
    /// The topics asked for, in that order.
    pub topics: Vec<TopicReport>,
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerReport {
    /// Its number.
    pub id: i32,
    /// `host:port`, which clients must be able to reach.
    pub address: String,
}

/// One topic that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReport {
    /// Its name.
    pub name: String,
    /// Its partitions, or why it cannot be used and what to do.
    pub partitions: Result<Vec<PartitionReport>, String>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReport {
    /// Its number.
    pub index: i32,
    /// The broker that serves it; without one it can be neither read nor written.
    pub leader: Option<i32>,
    /// Copies that there should be.
    pub replicas: usize,
    /// Copies that are up to date.
    pub in_sync: usize,
}

/// Asks the cluster for its brokers and for these topics; takes at most about twice `limit`.
pub async fn probe(
    config: &KafkaConfig,
    topics: &[String],
    limit: Duration,
) -> Result<ClusterReport, TransportError> {
    let settings = Settings::admin(config)?;
    let brokers = config.brokers.clone();
    let topics = topics.to_vec();
    tokio::task::spawn_blocking(move || ask(&settings, &brokers, &topics, limit)).await.map_err(|error| {
        TransportError::Fatal { what: "cannot ask the brokers".into(), reason: error.to_string() }
    })?
}

fn ask(
    settings: &Settings,
    brokers: &str,
    topics: &[String],
    limit: Duration,
) -> Result<ClusterReport, TransportError> {
    let client: BaseConsumer<ProbeContext> = settings
        .client_config()
        .create_with_context(ProbeContext::default())
        .map_err(|error| client_error("cannot ask the brokers", &error))?;
    let metadata =
        client.fetch_metadata(None, limit).map_err(|error| unreachable(&client, brokers, &error, limit))?;
    let found = metadata.topics();
    let report = |name: &String| TopicReport {
        name: name.clone(),
        partitions: found
            .iter()
            .find(|topic| topic.name() == name)
            .ok_or_else(|| "it does not exist; create it".to_owned())
            .and_then(partitions),
    };
    Ok(ClusterReport {
        cluster_id: client.client().fetch_cluster_id(limit),
        brokers: metadata
            .brokers()
            .iter()
            .map(|broker| BrokerReport {
                id: broker.id(),
                address: format!("{}:{}", broker.host(), broker.port()),
            })
            .collect(),
        topics: topics.iter().map(report).collect(),
    })
}

fn partitions(topic: &MetadataTopic) -> Result<Vec<PartitionReport>, String> {
    if let Some(error) = topic.error() {
        let code = RDKafkaErrorCode::from(error);
        return Err(format!("{code}{}", read_advice(code)));
    }
    let mut reports: Vec<PartitionReport> = topic
        .partitions()
        .iter()
        .map(|partition| PartitionReport {
            index: partition.id(),
            leader: Some(partition.leader()).filter(|leader| *leader >= 0),
            replicas: partition.replicas().len(),
            in_sync: partition.isr().len(),
        })
        .collect();
    reports.sort_by_key(|report| report.index);
    Ok(reports)
}

// The error itself says only "timed out"; the reasons were reported on the way.
fn unreachable(
    client: &BaseConsumer<ProbeContext>,
    brokers: &str,
    error: &KafkaError,
    limit: Duration,
) -> TransportError {
    // Each poll serves one report; there are a few per broker and attempt.
    for _ in 0..100 {
        drop(client.poll(Duration::ZERO));
    }
    let reports = client.context().take();
    let reasons = match (reports.reasons.is_empty(), reports.lines.is_empty()) {
        (false, _) => join(reports.reasons),
        (true, false) => join(reports.lines),
        (true, true) => error.to_string(),
    };
    let what = format!("no broker of `{brokers}` answered within {} ms", limit.as_millis());
    match reports.fault {
        Some(code @ (RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)) => {
            TransportError::Fatal { what, reason: format!("{reasons}{}", read_advice(code)) }
        }
        Some(code) => TransportError::Unavailable { what, reason: format!("{reasons}{}", read_advice(code)) },
        None => {
            let advice = "check that a broker runs there, that `kafka.brokers` names it, and that \
                          `kafka.security.protocol` is the one it speaks";
            TransportError::Unavailable { what, reason: format!("{reasons}; {advice}") }
        }
    }
}

fn join(reasons: BTreeSet<String>) -> String {
    reasons.into_iter().take(REASONS).collect::<Vec<_>>().join("; ")
}

#[derive(Default)]
struct ProbeContext(Mutex<Reports>);

#[derive(Default)]
struct Reports {
    reasons: BTreeSet<String>,
    // Log lines about failed connections: sometimes the only ones that say why.
    lines: BTreeSet<String>,
    // The one that says most about what to do.
    fault: Option<RDKafkaErrorCode>,
}

impl ProbeContext {
    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.0.lock().expect("no holder of the reports panics")
    }

    fn take(&self) -> Reports {
        std::mem::take(&mut *self.reports())
    }
}

impl ClientContext for ProbeContext {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(target: "librdkafka", client = "probe", facility, "{line}");
        if facility == "FAIL" {
            let line = line.split_once("]: ").map_or(line, |(_thread, line)| line);
            self.reports().lines.insert(without_timing(line).to_owned());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::AllBrokersDown)
        else {
            return;
        };
        let mut reports = self.reports();
        reports.reasons.insert(without_timing(reason).to_owned());
        if !read_advice(code).is_empty() {
            reports.fault = Some(code);
        }
    }
}

impl ConsumerContext for ProbeContext {}

// Each attempt ends in `(after 3ms in state CONNECT, 1 identical error(s) suppressed)`.
fn without_timing(reason: &str) -> &str {
    reason.rfind(" (after ").map_or(reason, |at| &reason[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_told_once() {
        let check = |reason, expect| assert_eq!(without_timing(reason), expect);
        check("refused (after 0ms in state CONNECT)", "refused");
        check("refused (after 3ms in state CONNECT, 1 identical error(s) suppressed)", "refused");
        check("refused", "refused");
    }
}
