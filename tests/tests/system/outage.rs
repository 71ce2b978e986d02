//! The brokers go away for 20 s.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::setting::Load;
use tests::wait::until;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, turn};

use crate::{RUN, expect_all_committed, figures, judge};

const JOBS: usize = 6_000;
const RATE: u32 = 400;
const OUTAGE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_outage_of_20_s_loses_nothing_and_is_recovered_from() -> Result<()> {
    let _turn = turn().await;
    let broker = Broker::single()?;
    let setting = Setting::new(&broker, "outage").await?;
    let mut workers = setting.workers(Stages::Apart).await?;
    let producer = setting.submit(Load::held(JOBS, RATE))?;
    workers[2].has_settled(1_500, RUN).await?;

    broker.kill(1)?;
    let outage = Instant::now();
    let mut unready = Vec::new();
    for worker in &mut workers {
        worker.readiness_becomes(503, OUTAGE).await?;
        unready.push(outage.elapsed().as_millis());
    }
    for worker in &mut workers {
        assert_eq!(worker.get("/healthz").await?.0, 200, "a worker that waits for brokers is alive");
    }
    until("the outage has lasted", OUTAGE * 2, async || Ok((outage.elapsed() >= OUTAGE).then_some(())))
        .await?;
    for worker in &mut workers {
        assert_eq!(worker.readiness().await, Some(503), "{} is ready without brokers", worker.stage());
    }

    broker.restart(1)?;
    let returned = Instant::now();
    let mut ready = Vec::new();
    for worker in &mut workers {
        worker.readiness_becomes(200, RUN).await?;
        ready.push(returned.elapsed().as_millis());
        assert!(worker.is_running()?);
    }
    let journal = setting.release(producer).await?;
    let verdict = judge(&setting, &journal).await?;
    figures(
        "broker gone for 20 s",
        &format!("{verdict}; unready after {unready:?} ms, ready {ready:?} ms after its return"),
    );
    stop_all(workers).await?;
    verdict.expect_nothing_lost();
    expect_all_committed(&setting, &["preprocess", "inference", "postprocess"]).await
}
