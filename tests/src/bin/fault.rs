//! `make fault`: breaks everything under load, and looks at what became of every job. `docs/fault-tests.md` is the result.

use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use anyhow::Result;
use tests::fault::{Plan, run, say};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plan = Plan::from_arguments(&arguments, UNIX_EPOCH.elapsed()?.as_secs())?;
    say(&format!("SEED={} ({} rounds of {} jobs)", plan.seed, plan.rounds.len(), plan.jobs));
    let tally = run::run(&plan).await?;
    // The sentence that `.ci/test.sh` counts by.
    let verdict = if tally.failed == 0 { "ok" } else { "FAILED" };
    say(&format!("\ntest result: {verdict}. {} passed; {} failed; 0 ignored", tally.passed, tally.failed));
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
