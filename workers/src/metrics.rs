//! Every metric of the worker, named once. Each series exists at 0 from the start, so that a rate or an alert never
//! has to tell "nothing happened" from "nobody counted".

use std::sync::Mutex;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use schemas::{FailureCode, Stage};
use stages::StageTimes;
use transport::Status;

use crate::batch::Release;

/// From 0.1 ms to 100 s: a batched digits job takes less than the first, a cold queue more than the last but one.
const SECONDS: [f64; 13] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0, 100.0];
/// From a transaction for one job that nothing else came with to a full one.
const TRANSACTION_SIZES: [f64; 7] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0];
const BATCH_SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// The registry of one process, and the gauges that belong to no single batch.
pub struct Metrics {
    registry: Registry,
    messages: IntCounterVec,
    dead_letters: IntCounterVec,
    stage_duration: HistogramVec,
    queue_age: HistogramVec,
    e2e: HistogramVec,
    batch_size: HistogramVec,
    batches: IntCounterVec,
    /// Records read and not yet settled.
    pub inflight: IntGauge,
    /// Bytes of the records read and not yet settled.
    pub inflight_bytes: IntGauge,
    /// How often the worker began anew after an incident.
    pub restarts: IntCounter,
    /// Records run and not committed: what a crash would repeat.
    pub uncommitted: IntGauge,
    /// 1 while jobs are held back because most of them fail for one reason that is not theirs.
    pub breaker_open: IntGauge,
    /// Commits acknowledged by the group's coordinator.
    pub commits: IntCounter,
    /// Commits that failed for a passing reason and are tried again.
    pub commit_failures: IntCounter,
    /// Transactions, where delivery is exactly once.
    pub(crate) transactions: TransactionMetrics,
    rebalances: IntCounterVec,
    /// Partitions assigned to this worker.
    pub partitions: IntGauge,
    /// 1 while at least one broker answers.
    pub broker_up: IntGauge,
    /// Model sessions that are free.
    pub pool_available: IntGauge,
    lag: IntGaugeVec,
    lag_labels: Mutex<Vec<(String, String)>>,
}

impl Metrics {
    /// A fresh registry with every series at 0.
    pub fn new() -> Self {
        let registry = Registry::new();
        let metrics = Self {
            messages: counters(
                &registry,
                "millstream_messages_total",
                "records answered, by what became of them; one whose publication failed is answered again",
                &["pipeline", "stage", "outcome"],
            ),
            dead_letters: counters(
                &registry,
                "millstream_dlq_total",
                "failures that went to the dead letters, by code",
                &["pipeline", "stage", "reason"],
            ),
            stage_duration: histograms(
                &registry,
                "millstream_stage_duration_seconds",
                "time that a job spent in a stage; in inference the time of its batch",
                &SECONDS,
                &["pipeline", "stage"],
            ),
            queue_age: histograms(
                &registry,
                "millstream_queue_age_seconds",
                "time a job had waited in topics when it was read",
                &SECONDS,
                &["pipeline", "stage"],
            ),
            e2e: histograms(
                &registry,
                "millstream_e2e_duration_seconds",
                "time from submission to result",
                &SECONDS,
                &["pipeline"],
            ),
            batch_size: histograms(
                &registry,
                "millstream_batch_size",
                "entries in a batch",
                &BATCH_SIZES,
                &["pipeline", "stage"],
            ),
            batches: counters(
                &registry,
                "millstream_batches_total",
                "batches, by why they left",
                &["pipeline", "stage", "reason"],
            ),
            inflight: gauge(&registry, "millstream_inflight", "records read and not yet settled"),
            inflight_bytes: gauge(
                &registry,
                "millstream_inflight_bytes",
                "bytes of the records read and not yet settled",
            ),
            restarts: counter(
                &registry,
                "millstream_restarts_total",
                "times that the worker began anew where its group is, after an incident",
            ),
            uncommitted: gauge(
                &registry,
                "millstream_uncommitted_records",
                "records run or running and not committed: what a crash would repeat",
            ),
            breaker_open: gauge(
                &registry,
                "millstream_breaker_open",
                "1 while jobs are held back because most of them fail for one reason that is not theirs",
            ),
            commits: counter(&registry, "millstream_commits_total", "offset commits acknowledged"),
            commit_failures: counter(
                &registry,
                "millstream_commit_failures_total",
                "offset commits that were refused or not answered",
            ),
            transactions: TransactionMetrics::new(&registry),
            rebalances: counters(
                &registry,
                "millstream_rebalances_total",
                "changes of the partition assignment",
                &["kind"],
            ),
            partitions: gauge(
                &registry,
                "millstream_assigned_partitions",
                "partitions assigned to this worker",
            ),
            broker_up: gauge(&registry, "millstream_broker_up", "1 while at least one broker answers"),
            pool_available: gauge(&registry, "millstream_pool_available", "model sessions that are free"),
            lag: gauges(
                &registry,
                "millstream_consumer_lag",
                "records in the topic that are not committed yet",
                &["topic", "partition"],
            ),
            lag_labels: Mutex::default(),
            registry,
        };
        for kind in ["assigned", "revoked", "lost"] {
            metrics.rebalances.with_label_values(&[kind]);
        }
        let build =
            gauges(&metrics.registry, "millstream_build_info", "1; the labels say what runs", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        metrics
    }

    /// The series of one pipeline as run by this worker, created at 0.
    pub fn pipeline(&self, pipeline: &str, stages: &[Stage]) -> PipelineMetrics {
        let first = stages.first().map(ToString::to_string).unwrap_or_default();
        let labels = [pipeline, first.as_str()];
        let outcome = |name: &str| {
            (name.to_owned(), self.messages.with_label_values(&[pipeline, first.as_str(), name]))
        };
        let mut outcomes =
            vec![outcome("result"), outcome("defaulted"), outcome("forwarded"), outcome("retried")];
        outcomes.extend(FailureCode::ALL.iter().map(|code| outcome(code.as_str())));
        let stage = |stage: Stage| {
            stages
                .contains(&stage)
                .then(|| self.stage_duration.with_label_values(&[pipeline, &stage.to_string()]))
        };
        PipelineMetrics {
            outcomes,
            dead_letters: FailureCode::ALL
                .iter()
                .map(|code| {
                    (*code, self.dead_letters.with_label_values(&[pipeline, first.as_str(), code.as_str()]))
                })
                .collect(),
            preprocess: stage(Stage::Preprocess),
            inference: stage(Stage::Inference),
            postprocess: stage(Stage::Postprocess),
            queue_age: self.queue_age.with_label_values(&labels),
            e2e: self.e2e.with_label_values(&[pipeline]),
            batch_size: self.batch_size.with_label_values(&labels),
            batches: Release::ALL.map(|release| {
                (release, self.batches.with_label_values(&[labels[0], labels[1], release.as_str()]))
            }),
        }
    }

    /// Counts a change of assignment: `assigned`, `revoked` or `lost`.
    pub fn rebalanced(&self, kind: &str) {
        self.rebalances.with_label_values(&[kind]).inc();
    }

    /// Takes over what the transport reports; the lag of partitions that moved away disappears.
    pub fn observe(&self, status: &Status) {
        self.broker_up.set(i64::from(status.brokers_up));
        let mut labels = self.lag_labels.lock().expect("no code panics while it holds the labels");
        for (topic, partition) in labels.drain(..) {
            // Already gone is as good as removed.
            self.lag.remove_label_values(&[&topic, &partition]).ok();
        }
        for (partition, lag) in &status.lag {
            let pair = (partition.topic.to_string(), partition.index.to_string());
            self.lag.with_label_values(&[&pair.0, &pair.1]).set(*lag);
            labels.push(pair);
        }
    }

    /// The text that Prometheus scrapes.
    ///
    /// # Errors
    /// When a metric family is inconsistent, which would be a defect of this module.
    pub fn encode(&self) -> prometheus::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Handles to the series of transactions: those with outcomes, and those that send waiting jobs back.
#[derive(Clone)]
pub(crate) struct TransactionMetrics {
    pub(crate) committed: IntCounter,
    pub(crate) aborted: IntCounter,
    /// Those of which nobody was told whether they were committed.
    pub(crate) unanswered: IntCounter,
    pub(crate) duration: Histogram,
    pub(crate) records: Histogram,
}

impl TransactionMetrics {
    fn new(registry: &Registry) -> Self {
        let ended = counters(
            registry,
            "millstream_transactions_total",
            "transactions, by how they ended; an aborted one is tried again, one that was not answered leads to a new beginning",
            &["outcome"],
        );
        Self {
            committed: ended.with_label_values(&["committed"]),
            aborted: ended.with_label_values(&["aborted"]),
            unanswered: ended.with_label_values(&["unanswered"]),
            duration: histogram(
                registry,
                "millstream_transaction_duration_seconds",
                "time from the beginning of a transaction to its end, however it ended",
                &SECONDS,
            ),
            records: histogram(
                registry,
                "millstream_transaction_records",
                "records in a transaction that was committed",
                &TRANSACTION_SIZES,
            ),
        }
    }
}

/// Handles to the series of one pipeline, looked up once.
#[derive(Clone)]
pub struct PipelineMetrics {
    outcomes: Vec<(String, IntCounter)>,
    dead_letters: Vec<(FailureCode, IntCounter)>,
    preprocess: Option<Histogram>,
    inference: Option<Histogram>,
    postprocess: Option<Histogram>,
    pub(crate) queue_age: Histogram,
    pub(crate) e2e: Histogram,
    pub(crate) batch_size: Histogram,
    batches: [(Release, IntCounter); 4],
}

impl PipelineMetrics {
    pub(crate) fn settled(&self, outcome: &str) {
        if let Some((_, counter)) = self.outcomes.iter().find(|(name, _)| name == outcome) {
            counter.inc();
        }
    }

    pub(crate) fn dead_lettered(&self, code: FailureCode) {
        if let Some((_, counter)) = self.dead_letters.iter().find(|(known, _)| *known == code) {
            counter.inc();
        }
    }

    pub(crate) fn ran(&self, times: &StageTimes) {
        let stages = [
            (&self.preprocess, times.preprocess),
            (&self.inference, times.inference),
            (&self.postprocess, times.postprocess),
        ];
        for (histogram, time) in stages {
            if let Some(histogram) = histogram {
                histogram.observe(time.as_secs_f64());
            }
        }
    }

    pub(crate) fn released(&self, release: Release, entries: usize) {
        if let Some((_, counter)) = self.batches.iter().find(|(known, _)| *known == release) {
            counter.inc();
        }
        self.batch_size.observe(entries as f64);
    }
}

fn register<T: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<T>,
) -> T {
    let metric = metric.expect("names and labels of metrics are constants of this file and valid");
    registry.register(Box::new(metric.clone())).expect("each name of this file is registered once");
    metric
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::new(name, help))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::new(name, help))
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    register(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
}

fn histograms(registry: &Registry, name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> HistogramVec {
    register(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_exists_at_zero() {
        let metrics = Metrics::new();
        metrics.pipeline("digits", &Stage::ALL);
        let text = metrics.encode().unwrap();
        for series in [
            "millstream_messages_total{outcome=\"result\",pipeline=\"digits\",stage=\"preprocess\"} 0",
            "millstream_messages_total{outcome=\"expired\",pipeline=\"digits\",stage=\"preprocess\"} 0",
            "millstream_dlq_total{pipeline=\"digits\",reason=\"too_large\",stage=\"preprocess\"} 0",
            "millstream_stage_duration_seconds_count{pipeline=\"digits\",stage=\"inference\"} 0",
            "millstream_e2e_duration_seconds_count{pipeline=\"digits\"} 0",
            "millstream_batches_total{pipeline=\"digits\",reason=\"delay\",stage=\"preprocess\"} 0",
            "millstream_rebalances_total{kind=\"lost\"} 0",
            "millstream_commits_total 0",
            "millstream_transactions_total{outcome=\"aborted\"} 0",
            "millstream_transaction_duration_seconds_count 0",
            "millstream_transaction_records_count 0",
            "millstream_inflight 0",
        ] {
            assert!(text.contains(series), "missing {series} in\n{text}");
        }
    }

    #[test]
    fn lag_of_partitions_that_moved_away_disappears() {
        let metrics = Metrics::new();
        let partition = |index| transport::Partition { topic: "t".into(), index };
        let mut status =
            Status { brokers_up: true, lag: vec![(partition(0), 7), (partition(1), 0)], ..Status::default() };
        metrics.observe(&status);
        assert!(metrics.encode().unwrap().contains("millstream_consumer_lag{partition=\"0\",topic=\"t\"} 7"));
        status.lag.remove(0);
        metrics.observe(&status);
        assert!(!metrics.encode().unwrap().contains("partition=\"0\""));
    }
}
