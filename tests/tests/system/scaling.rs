//! Workers that join a stage under load, and leave it again.

use std::time::Instant;

use anyhow::Result;
use tests::setting::Load;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, Worker, turn};

use crate::{RUN, expect_all_committed, figures, judge, rate};

const JOBS: usize = 6_000;
const RATE: u32 = 600;

#[tokio::test]
async fn workers_join_and_leave_under_load_and_nothing_is_lost() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "scaling").await?;
    let stages = Stages::Fused.of_each_process()[0];
    let mut first = setting.workers(Stages::Fused).await?.remove(0);
    let start = Instant::now();
    let producer = setting.submit(Load::held(JOBS, RATE))?;
    first.has_settled(1_000, RUN).await?;

    let (mut second, mut third) = (Worker::start(&setting, stages)?, Worker::start(&setting, stages)?);
    // Each of them gets its share of the partitions, and of the work.
    let mut shares = Vec::new();
    for worker in [&mut second, &mut third] {
        worker.ready().await?;
        worker.has_settled(300, RUN).await?;
    }
    for worker in [second, third] {
        let mut worker = worker;
        shares.push(worker.settled().await?);
        worker.stop().await?;
    }
    let before = first.settled().await?;
    first.has_settled(before + 1_000, RUN).await?;
    let journal = setting.release(producer).await?;
    let verdict = judge(&setting, &journal).await?;
    figures(
        "second and third worker join and leave",
        &format!("{verdict}; {}; they settled {shares:?} jobs", rate(verdict.jobs, start)),
    );
    stop_all(vec![first]).await?;
    // They join and leave in good order: what a rebalance takes away is finished and committed first.
    verdict.expect_exactly_once();
    expect_all_committed(&setting, &["preprocess"]).await
}
