//! Workers that the group knows by their slots, and that are restarted.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::setting::Load;
use tests::wait::until;
use tests::worker::stop_all;
use tests::{Broker, Setting, Worker, turn};

use crate::{RUN, expect_all_committed, figures, judge, rate};

const JOBS: usize = 4_000;
const RATE: u32 = 400;
const STATIC: &str = "[worker]\nstatic_membership = true";
/// How long the group waits for a static member that is gone.
const SESSION: Duration = Duration::from_secs(45);

/// Two workers of the first stage, in slots `a` and `b`, and one of each later stage in a slot `a` of its own: all of them
/// are in the group of the retry topics, too.
struct Fleet {
    restarted: Worker,
    other: Worker,
    later: Vec<Worker>,
}

impl Fleet {
    async fn start(setting: &Setting) -> Result<Self> {
        let start = |stage: &str, slot: &str| Worker::start_as(setting, stage, &["--slot", slot], &[]);
        let mut fleet = Self {
            restarted: start("preprocess", "a")?,
            other: start("preprocess", "b")?,
            later: vec![start("inference", "a")?, start("postprocess", "a")?],
        };
        for worker in fleet.later.iter_mut().chain([&mut fleet.restarted, &mut fleet.other]) {
            worker.ready().await?;
        }
        for worker in [&mut fleet.restarted, &mut fleet.other] {
            until("each has its half of the partitions", RUN, async || {
                Ok((worker.metrics().await?["millstream_assigned_partitions"] == 2.0).then_some(()))
            })
            .await?;
        }
        Ok(fleet)
    }

    async fn stop(self) -> Result<()> {
        let Self { restarted, other, mut later } = self;
        later.extend([restarted, other]);
        stop_all(later).await
    }
}

/// How often the partitions of a worker have changed.
async fn rebalances(worker: &mut Worker) -> Result<f64> {
    let metrics = worker.metrics().await?;
    Ok(metrics
        .iter()
        .filter(|(name, _)| name.starts_with("millstream_rebalances_total{"))
        .map(|it| it.1)
        .sum())
}

/// Ends the worker in slot `a` under load, starts it again, and sees that the other one is left alone.
async fn restart(
    setting: &Setting,
    fleet: Fleet,
    end: impl AsyncFnOnce(Worker) -> Result<()>,
) -> Result<Fleet> {
    let Fleet { mut restarted, mut other, later } = fleet;
    restarted.has_settled(300, RUN).await?;
    let before = rebalances(&mut other).await?;
    let gone = Instant::now();
    end(restarted).await?;
    let mut restarted = Worker::start_as(setting, "preprocess", &["--slot", "a"], &[])?;
    restarted.ready().await?;
    let away = gone.elapsed();
    // It has its partitions again, and works on them.
    restarted.has_settled(300, RUN).await?;
    assert_eq!(restarted.metrics().await?["millstream_assigned_partitions"], 2.0);
    assert!(away < SESSION, "it was away for {away:?}, longer than a session");
    assert_eq!(rebalances(&mut other).await?, before, "partitions of the other worker moved");
    figures(
        "restart of a static member",
        &format!("ready again {} ms after its end began", away.as_millis()),
    );
    Ok(Fleet { restarted, other, later })
}

#[tokio::test]
async fn a_static_member_that_is_restarted_moves_nothing_loses_nothing_and_repeats_nothing() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::with(Broker::shared().await?, "static-stop", STATIC).await?;
    let fleet = Fleet::start(&setting).await?;
    let start = Instant::now();
    let producer = setting.submit(Load::held(JOBS, RATE))?;
    let fleet = restart(&setting, fleet, async |worker| worker.stop().await.map(drop)).await?;
    let journal = setting.release(producer).await?;
    let verdict = judge(&setting, &journal).await?;
    figures("a static member is stopped and started", &format!("{verdict}; {}", rate(verdict.jobs, start)));
    fleet.stop().await?;
    verdict.expect_exactly_once();
    expect_all_committed(&setting, &["preprocess", "inference", "postprocess"]).await
}

#[tokio::test]
async fn a_static_member_that_is_killed_has_its_partitions_again_when_it_is_back() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::with(Broker::shared().await?, "static-kill", STATIC).await?;
    let fleet = Fleet::start(&setting).await?;
    let start = Instant::now();
    let producer = setting.submit(Load::held(JOBS, RATE))?;
    let fleet = restart(&setting, fleet, Worker::kill).await?;
    let journal = setting.release(producer).await?;
    let verdict = judge(&setting, &journal).await?;
    figures("a static member is killed and started", &format!("{verdict}; {}", rate(verdict.jobs, start)));
    fleet.stop().await?;
    verdict.expect_nothing_lost();
    expect_all_committed(&setting, &["preprocess", "inference", "postprocess"]).await
}

#[tokio::test]
async fn of_two_static_members_in_one_slot_the_earlier_ends_and_says_why() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::with(Broker::shared().await?, "static-twins", STATIC).await?;
    let start = || Worker::start_as(&setting, "preprocess", &["--slot", "a"], &[]);
    let mut earlier = start()?;
    earlier.ready().await?;
    let mut later = start()?;
    let status = earlier.wait(SESSION).await?;
    assert_eq!(status.code(), Some(69), "{}", earlier.log()?);
    let log = earlier.log()?;
    assert!(log.contains("give each worker of a stage its own slot"), "{log}");
    later.ready().await?;
    later.stop().await.map(drop)
}
