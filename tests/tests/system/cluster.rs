//! Three nodes, of which one is killed in the middle.

use std::time::Instant;

use anyhow::Result;
use tests::setting::Load;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, turn};

use crate::{RUN, expect_all_committed, figures, judge, rate};

const JOBS: usize = 4_000;
const RATE: u32 = 400;

#[tokio::test]
async fn one_node_of_three_is_killed_and_nothing_is_lost() -> Result<()> {
    let _turn = turn().await;
    let broker = Broker::three()?;
    let setting = Setting::without_topics(broker.bootstrap(), "cluster", "")?;
    setting.edit(|config| {
        config.replace("partitions = 4", "partitions = 4\nreplication = 3\nmin_insync_replicas = 2")
    })?;
    setting.run(&["topics", "apply"]).await?.expect_code(0);
    let mut workers = setting.workers(Stages::Apart).await?;
    let start = Instant::now();
    let producer = setting.submit(Load::held(JOBS, RATE))?;
    workers[2].has_settled(1_500, RUN).await?;

    // The first one named in the configuration.
    broker.kill(1)?;
    let settled = workers[2].settled().await?;
    workers[2].has_settled(settled + 1_000, RUN).await?;
    let journal = setting.release(producer).await?;
    let verdict = judge(&setting, &journal).await?;
    figures("one node of three killed", &format!("{verdict}; {}", rate(verdict.jobs, start)));
    stop_all(workers).await?;
    verdict.expect_nothing_lost();
    expect_all_committed(&setting, &["preprocess", "inference", "postprocess"]).await
}
