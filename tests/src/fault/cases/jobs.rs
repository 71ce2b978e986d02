//! Jobs that do harm: slow ones, hostile ones, and those that kill the process that runs them.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::MAX_RECORD_BYTES;
use crate::fault::plan::{Case, Plan};
use crate::fault::scene::Scene;
use crate::{digits, python};

/// How long the slow jobs may take, on a machine that has other things to do.
const SLOWNESS: Duration = Duration::from_secs(240);

/// A guilty job kills again once its partition has moved, after a session timeout, and this is longer.
const BETWEEN_DEATHS: Duration = Duration::from_secs(25);
/// A worker that has lost its bounds has more resident.
const MAX_MEMORY_MIB: u64 = 400;
const REBALANCES: &str = "millstream_rebalances_total";

/// The model is far slower than jobs come in: nobody leaves a group, and nobody's memory grows.
pub(super) async fn slow(scene: &mut Scene<'_>) -> Result<()> {
    let before = scene.fleet.sum_of(REBALANCES).await;
    let (begin, target) = (SystemTime::now(), scene.done()? + 6_000);
    let what = "the slow jobs and those behind them come through";
    scene.wait_until(what, SLOWNESS, async |scene| Ok((scene.done()? >= target).then_some(()))).await?;
    let rebalances = scene.fleet.sum_of(REBALANCES).await - before;
    let peak = scene.fleet.peak_mib;
    scene.notes.push(format!(
        "{rebalances} rebalances in {:.0} s of slowness and what came after it",
        begin.elapsed()?.as_secs_f64()
    ));
    if rebalances > 0.0 {
        scene.faults.push(format!("{rebalances} rebalances while the model was slow"));
    }
    if peak > MAX_MEMORY_MIB {
        scene.faults.push(format!("a worker had {peak} MiB while the model was slow"));
    }
    scene.recovers("a slow stage", SystemTime::now(), true).await
}

/// Hostile records among the jobs, as many as one in a hundred.
pub(super) async fn hostile(scene: &mut Scene<'_>, plan: &Plan, case: &Case) -> Result<()> {
    let since = SystemTime::now();
    submit_hostile(scene, plan.jobs / 100, f64::from(plan.rate(case)) / 100.0).await?;
    scene.recovers("hostile records", since, false).await
}

/// Submits so many hostile records, so many a second, and takes note of what must become of them.
pub(super) async fn submit_hostile(scene: &mut Scene<'_>, records: usize, rate: f64) -> Result<()> {
    let seed = scene.dice.between(0..=u64::from(u32::MAX)).to_string();
    let (topics, journal) = (scene.setting.topics(), scene.setting.file("hostile.json"));
    let images = digits().join("images").display().to_string();
    let (records, rate, max_bytes) = (records.to_string(), rate.to_string(), MAX_RECORD_BYTES.to_string());
    let arguments = [
        "--brokers",
        scene.setting.direct(),
        "--topics",
        &topics,
        "--images",
        &images,
        "--hostile",
        &records,
        "--good",
        "0",
        "--max-bytes",
        &max_bytes,
        "--journal",
        &journal,
        "--seed",
        &seed,
        "--rate",
        &rate,
    ];
    let mut producer = python::start(scene.setting.folder(), "hostile.py", &arguments)?;
    let ended = async |_: &mut Scene<'_>| Ok((!producer.is_running()?).then_some(()));
    scene.wait_until("the hostile records are submitted", python::PATIENCE, ended).await?;
    producer.finish(Duration::from_secs(1)).await?;
    scene.expected.extend(scene.setting.read::<Vec<_>>("hostile.json")?);
    Ok(())
}

/// Jobs that kill their process: the supervisor starts it again, and in the end they fail and their neighbours do not.
pub(super) async fn native_crash(scene: &mut Scene<'_>) -> Result<()> {
    let guilty = scene.expected.len();
    // The last guilty one is in the third quarter of the jobs; what is behind it comes through when it has failed.
    let jobs = scene.expected.iter().filter_map(|record| record.id.rsplit('-').next()?.parse::<i64>().ok());
    let last = jobs.max().unwrap_or(0);
    let what = "what is behind the last guilty job comes through, and nobody dies any more";
    let is_calm = async |scene: &mut Scene<'_>| {
        let Some(last_end) = scene.fleet.last_end else { return Ok(None) };
        Ok((scene.done()? >= last + 500 && last_end.elapsed()? > BETWEEN_DEATHS).then_some(()))
    };
    scene.wait_until(what, SLOWNESS, is_calm).await?;
    let since = scene.fleet.last_end.context("nobody died")?;
    scene.recovers("the last death", since, false).await?;
    let deaths = scene.fleet.restarted.len();
    scene.notes.push(format!("{deaths} deaths for {guilty} guilty jobs"));
    Ok(())
}
