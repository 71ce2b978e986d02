//! What a worker costs that has nothing to do.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, Worker};

use crate::load::Load;
use crate::note;
use crate::placement::Placement;
use crate::plan::Plan;

/// Percent of a core, process by process: fused, and each of the three stages. All idle side by side.
pub(crate) async fn watch(broker: &Broker, plan: &Plan, placement: &Placement) -> Result<[Vec<f64>; 2]> {
    note(&format!("idle workers for {} s", plan.idle_seconds));
    let mut workers = Vec::new();
    for stages in [Stages::Fused, Stages::Apart] {
        let setting = Setting::new(broker, "bench-idle").await?;
        let mut started = placement.workers(&setting, stages).await?;
        // Idle is what comes after work.
        Load::new(&setting)?.submit(plan.warm_up).await?;
        let last = started.last_mut().expect("there is at least one worker");
        last.has_settled(plan.warm_up, Duration::from_secs(60)).await?;
        workers.push((setting, started));
    }
    let used = |workers: &[Worker]| -> Result<Vec<Duration>> {
        workers.iter().map(|worker| worker.process().processor_time()).collect()
    };
    let all = || workers.iter().map(|(_, started)| used(started)).collect::<Result<Vec<_>>>();
    // The last commits are part of the work.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, start) = (all()?, Instant::now());
    tokio::time::sleep(plan.idle()).await;
    let (after, took) = (all()?, start.elapsed().as_secs_f64());
    let percent = |set: usize| -> Vec<f64> {
        let pairs = before[set].iter().zip(&after[set]);
        pairs.map(|(before, after)| 100.0 * (*after - *before).as_secs_f64() / took).collect()
    };
    let percents = [percent(0), percent(1)];
    for (_, started) in workers {
        stop_all(started).await?;
    }
    Ok(percents)
}
