//! How long a job takes when jobs come at a rate that does not depend on how the earlier ones fare (open loop).

use std::time::Duration;

use anyhow::{Context, Result, bail};
use schemas::{Outcome, TimeSheet};
use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::busy::Busy;
use crate::load::{Load, Schedule};
use crate::placement::Placement;
use crate::plan::Plan;
use crate::statistics::percentile;

/// How long a result may be awaited.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Serialize)]
pub(crate) struct AtRate {
    pub(crate) jobs_per_second: f64,
    /// Jobs that count: without those of the warm-up.
    pub(crate) jobs: usize,
    /// From the moment when a job was due to be submitted to the arrival of its result at a reader.
    pub(crate) latency_ms: Percentiles,
    /// What the results' time sheets say, entry by entry.
    pub(crate) sheet_ms: Vec<(&'static str, Percentiles)>,
    /// The cores of the workers and of everything else meanwhile, with whatever else the machine did.
    pub(crate) busy_percent: Vec<f64>,
    /// Jobs that ran through the model together.
    pub(crate) batch_size: Percentiles,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Percentiles {
    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        Self { p50: percentile(&mut values, 0.5), p99: percentile(&mut values, 0.99) }
    }
}

struct Sample {
    latency: Duration,
    sheet: TimeSheet,
}

/// Submits at this rate, and reads every result as it comes.
pub(crate) async fn at_rate(load: &Load, rate: f64, plan: &Plan, placement: &Placement) -> Result<AtRate> {
    let mut results = load.results().await?;
    // A moment until the first, so that opening the connection is not part of it.
    let start = Instant::now() + Duration::from_millis(200);
    let schedule = Schedule { start, rate, jobs: (rate * plan.latency_seconds as f64) as usize };
    let warm_up = (rate * plan.latency_warm_up_seconds as f64) as usize;
    let cores = placement.cores().into_iter().map(Busy::of).collect::<Result<Vec<_>>>()?;
    let (first, submitting) = load.submit_paced(schedule).await?;
    let submitting = tokio::spawn(submitting);
    let mut samples: Vec<Option<Sample>> = std::iter::repeat_with(|| None).take(schedule.jobs).collect();
    let mut left = schedule.jobs;
    while left > 0 {
        let next = timeout(PATIENCE, results.next()).await;
        let result =
            next.with_context(|| format!("{left} results are missing"))?.context("no more results")??;
        let arrived = Instant::now();
        let Some(index) = first.index_of(&result.id) else { continue };
        let Outcome::Result(outcome) = result.outcome else { bail!("{} failed", result.id) };
        if samples[index].is_none() {
            let latency = arrived.duration_since(schedule.due(index));
            samples[index] = Some(Sample { latency, sheet: TimeSheet::read(&outcome.parameters) });
            left -= 1;
        }
    }
    submitting.await??;
    let busy_percent = cores.into_iter().map(Busy::percent_since).collect::<Result<Vec<_>>>()?;
    let samples: Vec<Sample> = samples.into_iter().skip(warm_up).flatten().collect();
    Ok(AtRate { busy_percent, ..summary(rate, &samples) })
}

fn summary(rate: f64, samples: &[Sample]) -> AtRate {
    let sheet = |entry: fn(&TimeSheet) -> u64| {
        Percentiles::of(samples.iter().map(|sample| entry(&sample.sheet) as f64 / 1000.0))
    };
    AtRate {
        jobs_per_second: rate,
        jobs: samples.len(),
        latency_ms: Percentiles::of(samples.iter().map(|sample| sample.latency.as_secs_f64() * 1000.0)),
        sheet_ms: vec![
            ("queue", sheet(|sheet| sheet.queue_us)),
            ("preprocess", sheet(|sheet| sheet.preprocess_us)),
            ("batch wait", sheet(|sheet| sheet.batch_wait_us)),
            ("inference", sheet(|sheet| sheet.inference_us)),
            ("postprocess", sheet(|sheet| sheet.postprocess_us)),
            ("total", sheet(|sheet| sheet.total_us)),
        ],
        busy_percent: Vec::new(),
        batch_size: Percentiles::of(samples.iter().map(|sample| sample.sheet.batch_size as f64)),
    }
}
