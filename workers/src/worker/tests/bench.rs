//! A worker on the in-memory transport with a model that the test controls.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use schemas::{
    Datatype, DeadLetterReason, DecodeError, Failure, Headers, Job, Limits, MessageKind, Outcome, Stage,
    Tensor,
};
use stages::fake::{FakeModel, concatenated};
use stages::{Model, ModelConfig, ModelError, Pipeline, PipelineSpec, RuntimeConfig, Signature, TensorSpec};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transport::{Memory, Publisher, Received, Record, Transport};

use crate::config::Config;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::start;
use crate::worker::WorkerError;

pub(super) const JOBS: &str = "millstream.p.inference";
pub(super) const RESULTS: &str = "millstream.p.results";
pub(super) const DEAD: &str = "millstream.p.dead-letters";
pub(super) const RETRIES: [&str; 3] =
    ["millstream.p.retry.5s", "millstream.p.retry.1m", "millstream.p.retry.10m"];
pub(super) const CANCELLATIONS: &str = "millstream.p.cancellations";
pub(super) const GROUP: &str = "millstream.p.inference";
pub(super) const RETRY_GROUP: &str = "millstream.p.retry";

/// The end of a bench's settings in each mode of delivery; keys of `[worker]` may follow.
pub(super) const AT_LEAST: &str = "delivery = 'at-least-once'\n[worker]\n";
pub(super) const EXACTLY: &str = "delivery = 'exactly-once'\n[worker]\nslot = 's'\n";

/// Longer than anything here takes; reached only when something hangs.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// What the runs of the model do: wait, fail, or go through. Not for 0: warming up runs on that.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    closed_for: Vec<f32>,
    fails_for: Vec<(f32, ModelError)>,
    waiting: usize,
    passed: Vec<Vec<f32>>,
}

impl Gate {
    /// Holds up every run with one of these values, until it is opened.
    pub(super) fn close_for(&self, values: impl IntoIterator<Item = f32>) {
        self.state().closed_for.extend(values);
    }

    pub(super) fn open(&self) {
        self.state().closed_for.clear();
        self.0.1.notify_all();
    }

    /// Lets every run with one of these values fail, until it is mended.
    pub(super) fn fail_for(&self, values: impl IntoIterator<Item = f32>, error: &ModelError) {
        self.state().fails_for.extend(values.into_iter().map(|value| (value, error.clone())));
    }

    pub(super) fn mend(&self) {
        self.state().fails_for.clear();
    }

    /// Runs that are held up.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Runs that came through, failed ones too.
    pub(super) fn passed(&self) -> usize {
        self.state().passed.len()
    }

    /// Whether a run with this value came through.
    pub(super) fn has_run(&self, value: f32) -> bool {
        self.state().passed.iter().any(|run| run.contains(&value))
    }

    fn pass(&self, values: &[f32]) -> Result<(), ModelError> {
        let mut state = self.state();
        state.waiting += 1;
        let is_closed = |state: &mut GateState| values.iter().any(|value| state.closed_for.contains(value));
        let mut state = self.0.1.wait_while(state, is_closed).unwrap();
        state.waiting -= 1;
        state.passed.push(values.to_vec());
        match state.fails_for.iter().find(|(value, _)| values.contains(value)) {
            Some((_, error)) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.0.lock().unwrap()
    }
}

pub(super) struct Bench {
    pub(super) memory: Memory,
    config: Config,
    pub(super) gate: Gate,
    pub(super) health: Arc<Health>,
    pub(super) metrics: Arc<Metrics>,
}

/// A worker that runs, and how to stop it.
pub(super) struct Started {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), WorkerError>>,
}

impl Started {
    pub(super) async fn stop(self) -> Result<(), WorkerError> {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.ended).await.expect("the worker stops").unwrap()
    }

    /// Ends as a process does that is killed: nothing more is published or committed.
    pub(super) async fn crash(self) {
        self.ended.abort();
        assert!(self.ended.await.unwrap_err().is_cancelled(), "it ran until then");
    }

    pub(super) async fn ends_by_itself(self) -> WorkerError {
        tokio::time::timeout(DEADLINE, self.ended).await.expect("the worker ends").unwrap().unwrap_err()
    }
}

impl Bench {
    pub(super) fn new(settings: &str) -> Self {
        let memory = Memory::new();
        for topic in [JOBS, RESULTS, DEAD, CANCELLATIONS].iter().chain(&RETRIES) {
            memory.create_topic(topic, 2);
        }
        let text = format!("[models.m]\npath = 'none'\n[pipelines.p]\nmodel = 'm'\n{settings}");
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.check(), []);
        let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::new()));
        Self { memory, config, gate: Gate::default(), health, metrics }
    }

    /// Two sessions of a model that gives its input back once the gate lets it, and panics on NaN.
    pub(super) fn pipeline(&self) -> Pipeline {
        let model = || -> Box<dyn Model> {
            let spec = |name: &str| vec![TensorSpec::new(name, Datatype::Fp32, &[-1, 1])];
            let gate = self.gate.clone();
            Box::new(FakeModel::new(Signature::new(spec("x"), spec("y")), move |inputs| {
                let tensor = concatenated(&inputs[0])?;
                let values = tensor.elements::<f32>().unwrap();
                assert!(!values.iter().any(|value| value.is_nan()), "told to panic");
                gate.pass(&values)?;
                Ok(vec![tensor.renamed("y")])
            }))
        };
        let spec = PipelineSpec {
            name: "p",
            pipeline: &self.config.pipelines["p"].stages(),
            model: &ModelConfig::new("none"),
            runtime: &RuntimeConfig::default(),
        };
        Pipeline::with_models(Stage::Inference..=Stage::Postprocess, spec, vec![model(), model()]).unwrap()
    }

    pub(super) async fn start(&self) -> Started {
        let stages = [Stage::Inference, Stage::Postprocess];
        let (health, metrics) = (Arc::clone(&self.health), Arc::clone(&self.metrics));
        let joined =
            start::join(&self.memory, &self.config, "p", &stages, self.pipeline(), health, metrics).await;
        let stop = CancellationToken::new();
        Started { ended: tokio::spawn(joined.unwrap().run(stop.clone())), stop }
    }

    /// Publishes one job per value; the id is the value, the key decides the partition.
    pub(super) async fn submit(&self, key: &'static str, values: impl IntoIterator<Item = f32>) {
        self.publish(values.into_iter().map(|value| job(key, value)).collect()).await;
    }

    pub(super) async fn publish(&self, records: Vec<Record>) {
        self.memory.publisher().await.unwrap().publish(records).await.unwrap();
    }

    /// Ids of the terminal records, in order within each partition, and what kind each is.
    pub(super) fn terminals(&self) -> Vec<(String, MessageKind)> {
        self.memory.records(RESULTS).iter().map(|received| identity(&received.record)).collect()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.terminals().into_iter().map(|(id, _)| id).collect()
    }

    /// Failures by the ids of their jobs, in order within each partition.
    pub(super) fn failures(&self) -> Vec<(String, Failure)> {
        let failure = |received: Received| {
            let (headers, _) = read(&received.record);
            let body = received.record.value.as_ref().unwrap();
            let content_type = headers.content_type.as_deref();
            match schemas::decode_outcome(headers.kind?, content_type, body, &Limits::default()).unwrap() {
                Outcome::Failure(failure) => Some((headers.id.unwrap().to_string(), failure)),
                Outcome::Result(_) => None,
            }
        };
        self.memory.records(RESULTS).into_iter().filter_map(failure).collect()
    }

    /// The dead letters, each with the id of its job and the reason.
    pub(super) fn dead_letters(&self) -> Vec<(String, DeadLetterReason, Record)> {
        let letter = |Received { record, .. }: Received| {
            let reason = DeadLetterReason::read(pairs(&record)).unwrap().expect("a dead letter says why");
            (read(&record).0.id.unwrap().to_string(), reason, record)
        };
        self.memory.records(DEAD).into_iter().map(letter).collect()
    }

    /// Without partitions of which nothing is done: the worker's note stands beside the offset where it began.
    pub(super) fn committed(&self) -> BTreeMap<i32, i64> {
        let committed = self.memory.committed(GROUP);
        let done = committed.iter().filter(|(_, next)| next.get() > 0);
        done.map(|(partition, next)| (partition.index, next.get())).collect()
    }

    /// The sum of the series of this metric that have a label of this value.
    pub(super) fn metric(&self, name: &str, label: &str) -> f64 {
        let (start, label) = (format!("{name}{{"), format!("\"{label}\""));
        let text = self.metrics.encode().unwrap();
        let series = text.lines().filter(|line| line.starts_with(&start) && line.contains(&label));
        series.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    pub(super) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let wait = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, wait).await;
        in_time.unwrap_or_else(|_| panic!("waited for {what}; results {:?}", self.ids()));
    }

    pub(super) async fn until_results(&self, count: usize) {
        self.until(&format!("{count} results"), || self.terminals().len() >= count).await;
    }
}

/// A test that fails must not leave a run behind that the runtime then waits for.
impl Drop for Bench {
    fn drop(&mut self) {
        self.gate.open();
    }
}

/// A job of one value, which is its id, too.
pub(super) fn job(key: &'static str, value: f32) -> Record {
    let job = Job::new([Tensor::from_elements("x", [1u64, 1], &[value]).unwrap()]);
    Record::new(JOBS, schemas::encode_job(&job).unwrap())
        .with_key(key)
        .with_header("ce_id", value.to_string())
        .with_header("content-type", "application/vnd.msgpack")
}

pub(super) fn identity(record: &Record) -> (String, MessageKind) {
    let headers = read(record).0;
    (headers.id.unwrap().to_string(), headers.kind.unwrap())
}

/// A record's headers, and what is wrong with them.
pub(super) fn read(record: &Record) -> (Headers, Option<DecodeError>) {
    Headers::read(pairs(record))
}

/// The headers as the contract reads them.
pub(super) fn pairs(record: &Record) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
    record.headers.iter().map(|header| (&*header.name, header.value.as_deref()))
}

pub(super) fn numbers(range: std::ops::Range<u16>) -> impl Iterator<Item = f32> {
    range.map(f32::from)
}

pub(super) fn texts(range: std::ops::Range<u16>) -> Vec<String> {
    numbers(range).map(|value| value.to_string()).collect()
}
