//! Exactly once: what ends after its partition went away is left to the next owner, outcomes and all.

use transport::Partition;

use super::bench::{Bench, EXACTLY, GROUP, JOBS, Started, numbers, texts};

/// Each batch of one job, or all jobs of both partitions in one.
const BATCHES: [usize; 2] = [1, 64];

/// A worker that runs the third of nine jobs, and nine of another partition behind them; and the partition of the former.
async fn in_the_middle(batch: usize, settings: &str) -> (Bench, Started, Partition) {
    let bench = Bench::new(&format!("batch = {{ max_size = {batch} }}\n{EXACTLY}{settings}"));
    bench.gate.close_for([3.0]);
    bench.submit("k", numbers(1..10)).await;
    bench.submit("elsewhere", numbers(11..20)).await;
    let worker = bench.start().await;
    let answered = if batch == 1 { texts(1..3) } else { Vec::new() };
    bench.until("the third runs", || bench.gate.waiting() == 1 && bench.ids() == answered).await;
    let partition = bench.memory.records(JOBS)[0].position.partition.clone();
    (bench, worker, partition)
}

/// What stayed is answered by the worker that runs.
async fn until_others_are_answered(bench: &Bench) {
    let others = || texts(11..20).iter().all(|id| bench.ids().contains(id));
    bench.until("the outcomes of what stayed", others).await;
}

async fn expect_each_once(bench: Bench, worker: Started) {
    bench.until_results(18).await;
    bench.until("the commit", || bench.committed().values().sum::<i64>() == 18).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), [texts(1..10), texts(11..20)].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_loss() {
    for batch in BATCHES {
        let (bench, worker, partition) = in_the_middle(batch, "").await;
        bench.memory.lose(GROUP, std::slice::from_ref(&partition));
        bench.until("the worker knows", || bench.metric("millstream_rebalances_total", "lost") == 1.0).await;
        bench.gate.open();
        until_others_are_answered(&bench).await;
        expect_each_once(bench, worker).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_drain_limit() {
    for batch in BATCHES {
        let (bench, worker, partition) = in_the_middle(batch, "drain_timeout_ms = 100").await;
        bench.memory.revoke(GROUP, std::slice::from_ref(&partition)).await;
        bench.gate.open();
        until_others_are_answered(&bench).await;
        assert!(!bench.ids().contains(&"3".to_owned()), "{batch}: {:?}", bench.ids());
        bench.memory.give_back(GROUP);
        expect_each_once(bench, worker).await;
    }
}
