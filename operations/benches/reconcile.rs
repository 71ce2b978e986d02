//! What it takes to reconcile a million jobs through three stages: records a second, and memory.
//!
//! `cargo bench -p operations` runs a million; `cargo bench -p operations -- 10000` as many as named.

use std::time::{Duration, Instant};

use operations::reconcile::{Options, Reconciler, Role};
use schemas::{Encoding, Job, JobId, JobResult, Outcome, Parameters, Stage, Tensor, TopicNames};
use transport::{Offset, Partition, Position, Progress, Received, Record, partition_of_key};

const PARTITIONS: i32 = 4;
const ROLES: [Role; 4] = [
    Role::Stage(Stage::Preprocess),
    Role::Stage(Stage::Inference),
    Role::Stage(Stage::Postprocess),
    Role::Results,
];

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let jobs: u64 = std::env::args().filter_map(|text| text.parse().ok()).next().unwrap_or(1_000_000);
    let topics = TopicNames::new("millstream", "digits");
    let mut options = Options::new("digits", topics.clone());
    options.partitions = ROLES.map(|role| (role.topic(&topics).to_owned(), PARTITIONS)).into();
    let mut reconciler = Reconciler::new(options);
    let values = values();
    let (mut next, mut observing) = ([0_i64; PARTITIONS as usize], Duration::ZERO);
    for number in 0..jobs {
        let records = records(&topics, number, &values, &mut next);
        let begin = Instant::now();
        for (role, received) in ROLES.into_iter().zip(&records) {
            reconciler.observe(role, received);
        }
        observing += begin.elapsed();
    }
    let committed = Progress::from_iter(ROLES[..3].iter().flat_map(|role| {
        let partition = |index: usize| Partition::new(role.topic(&topics), index as i32);
        next.iter()
            .enumerate()
            .map(move |(index, next)| (partition(index), Offset::new(*next)))
            .collect::<Vec<_>>()
    }));
    let begin = Instant::now();
    let report = reconciler.finish(&committed);
    let took = observing + begin.elapsed();
    assert!(report.holds && report.jobs == jobs, "{:?}", report.faults);
    println!(
        "{jobs} jobs, {} records in {:.1} s: {:.0} records/s; verdict {:.1} s; peak memory {} MiB",
        report.records,
        took.as_secs_f64(),
        report.records as f64 / took.as_secs_f64(),
        begin.elapsed().as_secs_f64(),
        peak_memory_mib()
    );
}

/// The values of a job's records, of about half a kilobyte each.
fn values() -> [bytes::Bytes; 4] {
    let tensor = || Tensor::from_elements("x", [64], &[0.5_f32; 64]).expect("64 elements");
    let job = schemas::encode_job(&Job { inputs: vec![tensor(), tensor()], parameters: Parameters::new() });
    let job = job.expect("a job that is small");
    let result = JobResult {
        model_name: "digits".into(),
        model_version: "1".into(),
        outputs: vec![tensor()],
        parameters: Parameters::new(),
    };
    let result = schemas::encode_outcome(&Outcome::Result(result), Encoding::MessagePack);
    [job.clone(), job.clone(), job, result.expect("a result that is small")]
}

fn records(topics: &TopicNames, number: u64, values: &[bytes::Bytes; 4], next: &mut [i64]) -> [Received; 4] {
    let (id, key) = (JobId::random(), format!("key-{}", number % 1000));
    let index = partition_of_key(key.as_bytes(), PARTITIONS);
    let offset = next[index as usize];
    next[index as usize] += 1;
    std::array::from_fn(|place| {
        let source = match place {
            0 => "/millstream/producer/bench".to_owned(),
            place => format!("/millstream/digits/{}", Stage::ALL[place - 1]),
        };
        let kind = if place == 3 { "dev.millstream.result.v1" } else { "dev.millstream.job.v1" };
        let topic = ROLES[place].topic(topics);
        let record = Record::new(topic, values[place].clone())
            .with_key(key.clone())
            .with_header("ce_specversion", "1.0")
            .with_header("ce_id", id.to_string())
            .with_header("ce_type", kind)
            .with_header("ce_source", source)
            .with_header("ce_subject", "digits")
            .with_header("ce_time", "2026-01-01T00:00:00.000001Z")
            .with_header("ce_attempt", "1")
            .with_header("content-type", "application/vnd.msgpack")
            .with_header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let position = Position { partition: Partition::new(topic, index), offset: Offset::new(offset) };
        Received { record, position, timestamp_ms: Some(1_767_225_600_010) }
    })
}

/// The most memory that this process ever held, as Linux counts it.
fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}
