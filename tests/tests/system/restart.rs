//! Workers that end in the middle of their work: asked to, and killed.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::setting::Load;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, Worker, turn};

use crate::{RUN, expect_all_committed, figures, judge, rate};

const JOBS: usize = 6_000;
const RATE: u32 = 600;
const STAGES: [&str; 3] = ["preprocess", "inference", "postprocess"];

/// A member that was killed holds its partitions until its session times out; the default of 15 s would only be waited
/// for.
const SHORT_SESSION: &str = "
[kafka.consumer]
\"session.timeout.ms\" = 6000
[worker]
drain_timeout_ms = 4000
";

/// Waits until the worker has settled `jobs` while more are coming.
async fn in_the_middle(worker: &mut Worker, jobs: usize) -> Result<()> {
    worker.has_settled(jobs, RUN).await
}

#[tokio::test]
async fn sigterm_in_the_middle_loses_nothing_and_repeats_nothing() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "sigterm").await?;
    let mut workers = setting.workers(Stages::Apart).await?;
    let start = Instant::now();
    let producer = setting.submit(Load::held(JOBS, RATE))?;
    let mut stopped = Vec::new();
    // Each stage in turn, while the others go on.
    for (number, stage) in STAGES.iter().enumerate() {
        let last = workers.len() - 1;
        let settled = workers[last].settled().await?;
        in_the_middle(&mut workers[last], settled.max(1_000 * (number + 1))).await?;
        let place = workers.iter().position(|worker| worker.stage() == *stage).expect("all stages run");
        stopped.push(workers.remove(place).stop().await?.as_millis());
        let mut next = Worker::start(&setting, stage)?;
        next.ready().await?;
        workers.insert(0, next);
    }
    let journal = setting.release(producer).await?;
    let verdict = judge(&setting, &journal).await?;
    figures(
        "SIGTERM in the middle, each stage",
        &format!("{verdict}; {}; stopped within {stopped:?} ms", rate(verdict.jobs, start)),
    );
    stop_all(workers).await?;
    verdict.expect_exactly_once();
    expect_all_committed(&setting, &STAGES).await
}

#[tokio::test]
async fn sigkill_in_the_middle_loses_nothing() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::with(Broker::shared().await?, "sigkill", SHORT_SESSION).await?;
    let mut workers = setting.workers(Stages::Apart).await?;
    let start = Instant::now();
    let producer = setting.submit(Load::held(JOBS, RATE))?;
    in_the_middle(&mut workers[2], 1_500).await?;
    // All three at once, so that each has read what it has not committed.
    let mut recovered = Vec::new();
    for worker in workers.drain(..) {
        worker.kill().await?;
    }
    for stage in STAGES {
        workers.push(Worker::start(&setting, stage)?);
    }
    for worker in &mut workers {
        recovered.push(worker.ready().await?.as_millis());
    }
    in_the_middle(&mut workers[2], 1_000).await?;
    let journal = setting.release(producer).await?;
    let verdict = judge(&setting, &journal).await?;
    figures(
        "SIGKILL in the middle, all stages",
        &format!("{verdict}; {}; ready again after {recovered:?} ms", rate(verdict.jobs, start)),
    );
    stop_all(workers).await?;
    verdict.expect_nothing_lost();
    expect_all_committed(&setting, &STAGES).await
}

#[tokio::test]
async fn a_stopped_worker_hands_over_at_once() -> Result<()> {
    let _turn = turn().await;
    // With the default session timeout of 15 s: a member that leaves in good order is not waited for.
    let setting = Setting::new(Broker::shared().await?, "handover").await?;
    let first = setting.workers(Stages::Fused).await?;
    stop_all(first).await?;
    let mut second = Worker::start(&setting, Stages::Fused.of_each_process()[0])?;
    let ready = second.ready().await?;
    figures("start after a stop", &format!("ready after {} ms", ready.as_millis()));
    assert!(ready < Duration::from_secs(12), "the next worker waited {ready:?} for one that had left");
    second.stop().await.map(drop)
}
