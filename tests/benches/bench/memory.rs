//! Resident memory of the workers, from /proc.

use std::fs;

use anyhow::{Context, Result};
use tests::Worker;

/// What is resident now, process by process.
pub(crate) fn resident_mib(workers: &[Worker]) -> Result<Vec<u64>> {
    workers.iter().map(|worker| status_mib(worker, "VmRSS:")).collect()
}

/// The most that was ever resident, process by process.
pub(crate) fn peak_mib(workers: &[Worker]) -> Result<Vec<u64>> {
    workers.iter().map(|worker| status_mib(worker, "VmHWM:")).collect()
}

fn status_mib(worker: &Worker, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", worker.process().id()))?;
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: u64 =
        value.with_context(|| format!("no {field}"))?.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024)
}
