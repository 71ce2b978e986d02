//! Jobs a second, and what a job costs: the workers run while nothing else does.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;
use tests::Worker;
use tests::process::Signal;

use crate::load::Load;
use crate::statistics::median;

/// Seldom enough that being asked costs the workers less than a hundredth.
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(300);
/// A group gives up a member that is silent for its session timeout, so that is longer than any suspension here.
pub(crate) const SETTINGS: &str = "[kafka.consumer]\n\"session.timeout.ms\" = \"45000\"";
const LONGEST_STOP: Duration = Duration::from_secs(35);

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Backlogs {
    pub(crate) rounds: Vec<Round>,
}

/// One backlog.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    pub(crate) jobs_per_second: f64,
    /// In user and system mode, of all worker processes together.
    pub(crate) cpu_seconds_per_1000: f64,
}

impl Backlogs {
    pub(crate) fn jobs_per_second(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.jobs_per_second))
    }

    pub(crate) fn cpu_seconds_per_1000(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.cpu_seconds_per_1000))
    }
}

/// The workers are suspended while the jobs are submitted, so that neither disturbs the other.
pub(crate) async fn backlog(
    load: &Load,
    workers: &mut [Worker],
    jobs: usize,
    settled: usize,
) -> Result<Round> {
    signal(workers, Signal::STOP)?;
    let stopped = Instant::now();
    load.submit(jobs).await?;
    ensure!(stopped.elapsed() < LONGEST_STOP, "submitting {jobs} jobs took {:?}", stopped.elapsed());
    let (start, used) = (Instant::now(), processor_time(workers)?);
    signal(workers, Signal::CONT)?;
    settle(workers, settled).await?;
    let (took, used) = (start.elapsed().as_secs_f64(), processor_time(workers)? - used);
    Ok(Round {
        jobs_per_second: jobs as f64 / took,
        cpu_seconds_per_1000: used.as_secs_f64() * 1000.0 / jobs as f64,
    })
}

/// Waits until the last stage has settled so many jobs, and nobody holds any that is not committed.
pub(crate) async fn settle(workers: &mut [Worker], jobs: usize) -> Result<()> {
    let start = Instant::now();
    let last = workers.last_mut().expect("there is at least one worker");
    while last.settled().await? < jobs || last.inflight().await? > 0 {
        ensure!(start.elapsed() < PATIENCE, "{} of {jobs} jobs in {PATIENCE:?}", last.settled().await?);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn signal(workers: &[Worker], signal: Signal) -> Result<()> {
    workers.iter().try_for_each(|worker| worker.process().signal(signal))
}

fn processor_time(workers: &[Worker]) -> Result<Duration> {
    workers.iter().map(|worker| worker.process().processor_time()).sum()
}
