//! From nothing to ready: how long a worker takes to start.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;
use tests::worker::stop_all;
use tests::{Setting, Stages, Worker};

use crate::placement::Placement;
use crate::statistics::median;

const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);
/// What `/readyz` says until the models have run once.
const LOADING: &str = "models are still loading";

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ColdStarts {
    pub(crate) runs: Vec<ColdStart>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ColdStart {
    /// From the start of the processes until the last has run its model once.
    pub(crate) warm_ms: f64,
    /// Until the last is ready: the rest is joining the consumer group.
    pub(crate) ready_ms: f64,
}

impl ColdStarts {
    pub(crate) fn warm_ms(&self) -> f64 {
        median(self.runs.iter().map(|run| run.warm_ms))
    }

    pub(crate) fn ready_ms(&self) -> f64 {
        median(self.runs.iter().map(|run| run.ready_ms))
    }
}

/// Starts the workers, all at once, and stops them, so many times.
pub(crate) async fn cold(
    setting: &Setting,
    stages: Stages,
    times: usize,
    placement: &Placement,
) -> Result<ColdStarts> {
    let mut runs = Vec::new();
    for _ in 0..times {
        let start = Instant::now();
        let mut workers = placement.start_workers(setting, stages)?;
        let (mut warm, mut ready) = (Duration::ZERO, Duration::ZERO);
        for worker in &mut workers {
            warm = warm.max(readiness(worker, start, |_, text| !text.contains(LOADING)).await?);
        }
        for worker in &mut workers {
            ready = ready.max(readiness(worker, start, |status, _| status == 200).await?);
        }
        stop_all(workers).await?;
        let in_ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        runs.push(ColdStart { warm_ms: in_ms(warm), ready_ms: in_ms(ready) });
    }
    Ok(ColdStarts { runs })
}

/// How long after `start` the answer of `/readyz` is as wanted.
async fn readiness(
    worker: &mut Worker,
    start: Instant,
    wanted: impl Fn(u16, &str) -> bool,
) -> Result<Duration> {
    loop {
        ensure!(worker.is_running()?, "the worker ended: {}", worker.log()?);
        // No answer, or no address in its log: it has not come that far.
        if let Ok((status, text)) = worker.get("/readyz").await
            && wanted(status, &text)
        {
            return Ok(start.elapsed());
        }
        ensure!(start.elapsed() < PATIENCE, "not ready in {PATIENCE:?}: {}", worker.log()?);
        tokio::time::sleep(PAUSE).await;
    }
}
