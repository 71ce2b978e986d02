//! Whole-system tests: real processes on a real Apache Kafka. Each prints the figures that it measured; `cargo test -p
//! tests -- --nocapture` shows them.

mod cli;
mod cluster;
mod dev;
mod fused;
mod hostile;
mod idle;
mod journey;
mod membership;
mod on_failure;
mod operations;
mod outage;
mod privacy;
mod readme;
mod restart;
mod scaling;
mod secure;

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::{Journal, Setting, Verdict};

/// How long a run may take until the last of its results is there. What it waits for takes seconds; a machine that is
/// busy otherwise may take its time.
const RUN: Duration = Duration::from_secs(180);

/// One line about what a test measured.
#[expect(clippy::print_stdout, reason = "figures are what a person reads in a test's output")]
fn figures(test: &str, text: &str) {
    println!("{test}: {text}");
}

/// Waits for all results of a run, reads everything on `results`, and judges it.
async fn judge(setting: &Setting, journal: &Journal) -> Result<Verdict> {
    setting.results_of(journal.jobs.len(), RUN).await?;
    verdict(setting, journal).await
}

/// Reads everything on `results`, and judges it.
async fn verdict(setting: &Setting, journal: &Journal) -> Result<Verdict> {
    let reference = setting.reference().await?;
    Ok(Verdict::of(journal, &setting.results().await?, &reference))
}

/// Asserts that every stage has committed everything that it read.
async fn expect_all_committed(setting: &Setting, stages: &[&str]) -> Result<()> {
    for stage in stages {
        assert_eq!(setting.uncommitted(stage).await?, 0, "records of {stage} that are not committed");
    }
    Ok(())
}

fn rate(jobs: usize, since: Instant) -> String {
    let seconds = since.elapsed().as_secs_f64();
    format!("{seconds:.1} s, {:.0}/s", jobs as f64 / seconds)
}
