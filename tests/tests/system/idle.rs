//! Workers with nothing to do, and one that comes late.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::setting::Load;
use tests::wait::until;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, Worker, turn};

use crate::{RUN, figures, judge};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_idle_worker_uses_less_than_a_hundredth_of_a_core() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "idle").await?;
    let mut workers = setting.workers(Stages::Apart).await?;
    // Idle is what comes after work.
    setting.submit(Load::of(100))?.finish(RUN).await?;
    setting.results_of(100, RUN).await?;

    let used = |workers: &[Worker]| -> Result<Vec<Duration>> {
        workers.iter().map(|worker| worker.process().processor_time()).collect()
    };
    let (before, start) = (used(&workers)?, Instant::now());
    until("a minute has passed", MINUTE * 2, async || Ok((start.elapsed() >= MINUTE).then_some(()))).await?;
    let (after, took) = (used(&workers)?, start.elapsed());
    let share = |(before, after): (&Duration, &Duration)| {
        100.0 * (*after - *before).as_secs_f64() / took.as_secs_f64()
    };
    let shares: Vec<f64> = before.iter().zip(&after).map(share).collect();
    let told: Vec<String> = shares.iter().map(|share| format!("{share:.2} %")).collect();
    figures(
        "idle for a minute",
        &format!("{} of a core (preprocess, inference, postprocess)", told.join(", ")),
    );
    for worker in &mut workers {
        assert_eq!(worker.readiness().await, Some(200));
    }
    stop_all(workers).await?;
    assert!(shares.iter().all(|share| *share < 1.0), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn every_series_is_there_at_zero_from_the_start() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "series").await?;
    let mut workers = setting.workers(Stages::Fused).await?;
    let worker = &mut workers[0];
    let before = worker.metrics().await?;
    // These say how things are, not how often something happened; a worker that is ready has partitions and a broker.
    const STATES: [&str; 7] = [
        "millstream_build_info",
        "millstream_assigned_partitions",
        "millstream_broker_up",
        "millstream_pool_available",
        "millstream_rebalances_total{kind=\"assigned\"}",
        "millstream_consumer_lag",
        "millstream_model_info",
    ];
    let is_state = |name: &str| STATES.iter().any(|state| name.starts_with(state));
    let moved: Vec<_> = before.iter().filter(|(name, value)| !is_state(name) && **value != 0.0).collect();
    assert!(moved.is_empty(), "not at 0 before the first job: {moved:?}");

    // A good job and two that fail differently; what is counted then was there before.
    setting.submit(Load::of(10))?.finish(RUN).await?;
    setting.results_of(10, RUN).await?;
    setting.submit_hostile(200, 10, 4 << 20).await?;
    until("all is settled", RUN, async || Ok((worker.settled().await? >= 100).then_some(()))).await?;
    let after = worker.metrics().await?;
    let new: Vec<_> = after.keys().filter(|name| !before.contains_key(*name) && !is_state(name)).collect();
    figures("metrics", &format!("{} series from the start, {} that came later", before.len(), new.len()));
    assert!(new.is_empty(), "not there from the start: {new:?}");
    for code in ["result", "undecodable", "invalid_input", "too_large", "expired"] {
        let counts =
            before.keys().any(|name| name.starts_with("millstream_messages_total") && name.contains(code));
        assert!(counts, "no series counts {code}");
    }
    stop_all(workers).await
}

#[tokio::test]
async fn a_group_that_starts_late_reads_what_was_submitted_before_it() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "late").await?;
    setting.submit(Load::of(1_000))?.finish(RUN).await?;
    let workers = setting.workers(Stages::Apart).await?;
    let verdict = judge(&setting, &setting.journal()?).await?;
    figures("workers that start after the jobs", &verdict.to_string());
    stop_all(workers).await?;
    verdict.expect_exactly_once();
    Ok(())
}
