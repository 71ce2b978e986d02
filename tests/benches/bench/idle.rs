//! What a worker costs that has nothing to do.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::worker::stop_all;
use tests::{Broker, Stages, Worker};

use crate::contender::{self, DELIVERIES};
use crate::load::Load;
use crate::note;
use crate::placement::Placement;
use crate::plan::Plan;

/// Percent of a core, process by process, in the order of the table's columns. All idle side by side.
pub(crate) async fn watch(broker: &Broker, plan: &Plan, placement: &Placement) -> Result<Vec<Vec<f64>>> {
    note(&format!("idle workers for {} s", plan.idle_seconds));
    let mut workers = Vec::new();
    let columns = [Stages::Fused, Stages::Apart].into_iter();
    for (stages, delivery) in columns.flat_map(|stages| DELIVERIES.map(|delivery| (stages, delivery))) {
        let setting = contender::setting(broker, stages, delivery).await?;
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
    let percent = |(before, after): (&Duration, &Duration)| 100.0 * (*after - *before).as_secs_f64() / took;
    let percents =
        before.iter().zip(&after).map(|(before, after)| before.iter().zip(after).map(percent).collect());
    let percents = percents.collect();
    for (_, started) in workers {
        stop_all(started).await?;
    }
    Ok(percents)
}
