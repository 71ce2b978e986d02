//! When most jobs fail for one reason that is not theirs, the worker pauses instead of using up what waits.

use std::time::{Duration, Instant};

use schemas::MessageKind;
use stages::ModelError;

use super::bench::{AT_LEAST, Bench, EXACTLY, numbers};

const PAUSED: &str = "most jobs fail for one reason that is not theirs; see the log";
/// What the breaker wants to see before it opens, and its first pause.
const MIN_OUTCOMES: usize = 20;
const PAUSE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn pauses_tries_one_batch_and_goes_on_when_it_succeeds() {
    async fn check(mode: &str) {
        let settings = "retry = { max_attempts = 1 }\nbatch = { max_size = 4 }";
        let bench = Bench::new(&format!("{settings}\n{mode}\nmax_running_batches = 2"));
        bench.gate.fail_for(numbers(1..101), &ModelError::transient("memory is short"));
        bench.submit("k", numbers(1..101)).await;
        let worker = bench.start().await;
        bench.until("a pause", || bench.health.missing() == [PAUSED]).await;
        let paused = Instant::now();
        // The batches that made it pause, and one that ran beside the last of them.
        let failed = MIN_OUTCOMES..=MIN_OUTCOMES + 4;
        let nothing_runs = || bench.metrics.uncommitted.get() == 0;
        bench
            .until("those that ran are answered", || nothing_runs() && failed.contains(&bench.ids().len()))
            .await;

        bench.gate.mend();
        bench.gate.close_for(numbers(1..101));
        bench.until("one batch is tried", || bench.gate.waiting() == 1).await;
        // The breaker opened a moment before that was seen.
        assert!(paused.elapsed() > PAUSE - Duration::from_millis(500), "{mode}: {:?}", paused.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(
            bench.gate.waiting(),
            1,
            "{mode}: nothing runs beside the probe, though a session is free"
        );
        assert!(failed.contains(&bench.ids().len()), "{mode}: nothing more was used up");
        assert_eq!(bench.health.missing(), [PAUSED]);

        bench.gate.open();
        bench.until_results(100).await;
        bench.until("ready again", || bench.health.missing().is_empty()).await;
        worker.stop().await.unwrap();
        let terminals = bench.terminals();
        let is_result = |(_, kind): &(String, MessageKind)| *kind == MessageKind::Result;
        let first_result = terminals.iter().position(is_result).unwrap();
        assert!(failed.contains(&first_result), "{mode}: {first_result}");
        assert!(terminals[first_result..].iter().all(is_result), "{mode}");
        assert_eq!(bench.committed().values().sum::<i64>(), 100, "{mode}");
    }
    // They pause at the same time.
    tokio::join!(check(AT_LEAST), check(EXACTLY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_fails_is_followed_by_a_longer_pause() {
    let bench = Bench::new("retry = { max_attempts = 1 }\nbatch = { max_size = 4 }");
    bench.gate.fail_for(numbers(1..101), &ModelError::transient("memory is short"));
    bench.submit("k", numbers(1..101)).await;
    let worker = bench.start().await;
    bench.until("a pause", || bench.health.missing() == [PAUSED]).await;
    let so_far = || bench.ids().len();
    bench
        .until("what ran is answered", || so_far() >= MIN_OUTCOMES && bench.metrics.uncommitted.get() == 0)
        .await;
    let before = so_far();
    bench.until("a probe", || so_far() > before).await;
    assert_eq!(
        (so_far(), bench.health.missing()),
        (before + 4, vec![PAUSED]),
        "one batch, and it pauses again"
    );
    // A stop does not wait for the pause.
    let stopped = Instant::now();
    worker.stop().await.unwrap();
    assert!(stopped.elapsed() < PAUSE, "{:?}", stopped.elapsed());
    assert_eq!(bench.committed().values().sum::<i64>(), before as i64 + 4, "what waits is left for others");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_jobs_never_make_it_pause() {
    let bench = Bench::new("batch = { max_size = 8 }");
    bench.gate.fail_for(numbers(1..200), &ModelError::permanent("such jobs never work"));
    bench.submit("k", numbers(1..200)).await;
    let begun = Instant::now();
    let worker = bench.start().await;
    bench.until_results(199).await;
    bench.submit("k", numbers(200..201)).await;
    bench.until_results(200).await;
    assert!(bench.health.missing().is_empty());
    assert!(begun.elapsed() < PAUSE, "it paused: {:?}", begun.elapsed());
    worker.stop().await.unwrap();
    assert_eq!(bench.failures().len(), 199);
}
