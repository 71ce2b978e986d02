//! What it was measured on.

use std::fs;

use serde::Serialize;
use tests::repository;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) memory_gib: u64,
    pub(crate) system: String,
    pub(crate) kafka: String,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let cores = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = field(&memory, "MemTotal").trim_end_matches("kB").trim().parse().unwrap_or(0_u64);
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: cores.lines().filter(|line| line.starts_with("processor")).count(),
            processor: field(&cores, "model name"),
            memory_gib: kib / (1024 * 1024),
            system: format!("Linux {}", release.trim()),
            kafka: kafka_version(),
        }
    }

    pub(crate) fn describe(&self) -> String {
        let Self { cores, processor, memory_gib, system, kafka } = self;
        format!("{cores} cores of {processor}, {memory_gib} GiB, {system}, Apache Kafka {kafka}")
    }
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
}

/// The version that `deploy/kafka` fetches.
fn kafka_version() -> String {
    let pom = fs::read_to_string(repository().join("deploy/kafka/pom.xml")).unwrap_or_default();
    let version = pom.split_once("<kafka.version>").and_then(|(_, rest)| rest.split_once('<'));
    version.map_or("of unknown version", |(version, _)| version).to_owned()
}
