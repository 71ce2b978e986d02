//! A worker on the in-memory transport with a model that the test controls.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use schemas::{Datatype, Headers, Job, MessageKind, Stage, Tensor};
use stages::fake::{FakeModel, concatenated};
use stages::{Model, ModelConfig, ModelError, Pipeline, PipelineSpec, RuntimeConfig, Signature, TensorSpec};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transport::{Memory, Publisher, Record, Transport};

use crate::config::Config;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::start;
use crate::worker::WorkerError;

pub(super) const JOBS: &str = "millstream.p.inference";
pub(super) const RESULTS: &str = "millstream.p.results";
pub(super) const DEAD: &str = "millstream.p.dead-letters";
pub(super) const GROUP: &str = "millstream.p.inference";
/// Longer than anything here takes; reached only when something hangs.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// Holds up every run of the model whose first value it is closed for, until it is opened. Not 0: warming up runs on that.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    closed_for: Vec<f32>,
    passed: usize,
}

impl Gate {
    pub(super) fn close_for(&self, value: f32) {
        self.0.0.lock().unwrap().closed_for.push(value);
    }

    pub(super) fn open(&self) {
        self.0.0.lock().unwrap().closed_for.clear();
        self.0.1.notify_all();
    }

    fn pass(&self, value: f32) {
        let state = self.0.0.lock().unwrap();
        self.0.1.wait_while(state, |state| state.closed_for.contains(&value)).unwrap().passed += 1;
    }

    /// Runs that came through.
    pub(super) fn passed(&self) -> usize {
        self.0.0.lock().unwrap().passed
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

    pub(super) async fn ends_by_itself(self) -> WorkerError {
        tokio::time::timeout(DEADLINE, self.ended).await.expect("the worker ends").unwrap().unwrap_err()
    }
}

impl Bench {
    pub(super) fn new(settings: &str) -> Self {
        let memory = Memory::new();
        for topic in [JOBS, RESULTS, DEAD] {
            memory.create_topic(topic, 2);
        }
        let text = format!("[models.m]\npath = 'none'\n[pipelines.p]\nmodel = 'm'\n{settings}");
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.check(), []);
        let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::new()));
        Self { memory, config, gate: Gate::default(), health, metrics }
    }

    /// Two sessions of a model that gives its input back once the gate lets it, panics on NaN, and fails in passing on infinity.
    pub(super) fn pipeline(&self) -> Pipeline {
        let model = || -> Box<dyn Model> {
            let spec = |name: &str| vec![TensorSpec::new(name, Datatype::Fp32, &[-1, 1])];
            let gate = self.gate.clone();
            Box::new(FakeModel::new(Signature::new(spec("x"), spec("y")), move |inputs| {
                let tensor = concatenated(&inputs[0])?;
                let values = tensor.elements::<f32>().unwrap();
                assert!(!values.iter().any(|value| value.is_nan()), "told to panic");
                if values.contains(&f32::INFINITY) {
                    return Err(ModelError::transient("told to fail in passing"));
                }
                gate.pass(values[0]);
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
        let record = |value: f32| {
            let job = Job::new([Tensor::from_elements("x", [1u64, 1], &[value]).unwrap()]);
            Record::new(JOBS, schemas::encode_job(&job).unwrap())
                .with_key(key)
                .with_header("ce_id", value.to_string())
                .with_header("content-type", "application/vnd.msgpack")
        };
        self.publish(values.into_iter().map(record).collect()).await;
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

    /// Without partitions of which nothing is done: the worker's note stands beside the offset where it began.
    pub(super) fn committed(&self) -> BTreeMap<i32, i64> {
        let committed = self.memory.committed(GROUP);
        let done = committed.iter().filter(|(_, next)| next.get() > 0);
        done.map(|(partition, next)| (partition.index, next.get())).collect()
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

pub(super) fn identity(record: &Record) -> (String, MessageKind) {
    let (headers, _) = Headers::read(record.headers.iter().map(|h| (&*h.name, h.value.as_deref())));
    (headers.id.unwrap().to_string(), headers.kind.unwrap())
}

pub(super) fn numbers(range: std::ops::Range<u16>) -> impl Iterator<Item = f32> {
    range.map(f32::from)
}

pub(super) fn texts(range: std::ops::Range<u16>) -> Vec<String> {
    numbers(range).map(|value| value.to_string()).collect()
}
