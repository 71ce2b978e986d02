//! Exactly once: what ends after its partition went away is left to the next owner, outcomes and all.

use super::bench::{Bench, EXACTLY, GROUP, JOBS, Started, numbers, texts};
use transport::Partition;

/// A worker that runs the third of nine jobs, the first two answered; and their partition.
async fn in_the_middle(settings: &str) -> (Bench, Started, Partition) {
    let bench = Bench::new(&format!("batch = {{ max_size = 1 }}\n{EXACTLY}{settings}"));
    bench.gate.close_for([3.0]);
    bench.submit("k", numbers(1..10)).await;
    // Of another partition, which stays: its outcomes leave in the same transaction.
    bench.submit("elsewhere", numbers(11..20)).await;
    let worker = bench.start().await;
    let others_wait = || bench.gate.waiting() == 1 && bench.ids().starts_with(&texts(1..3));
    bench.until("the third runs", others_wait).await;
    let partition = bench.memory.records(JOBS)[0].position.partition.clone();
    (bench, worker, partition)
}

async fn expect_each_once(bench: Bench, worker: Started) {
    bench.until_results(18).await;
    bench.until("the commit", || bench.committed().values().sum::<i64>() == 18).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), [texts(1..10), texts(11..20)].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_loss() {
    let (bench, worker, partition) = in_the_middle("").await;
    bench.memory.lose(GROUP, std::slice::from_ref(&partition));
    bench.until("the worker knows", || bench.metric("millstream_rebalances_total", "lost") == 1.0).await;
    bench.gate.open();
    expect_each_once(bench, worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_drain_limit() {
    let (bench, worker, partition) = in_the_middle("drain_timeout_ms = 100").await;
    bench.memory.revoke(GROUP, std::slice::from_ref(&partition)).await;
    bench.until("the worker has given it up", || bench.metrics.partitions.get() == 1).await;
    bench.gate.open();
    bench
        .until("the other partition's outcomes", || texts(11..20).iter().all(|id| bench.ids().contains(id)))
        .await;
    assert_eq!(bench.ids()[..2], texts(1..3));
    assert!(!bench.ids().contains(&"3".to_owned()), "{:?}", bench.ids());
    bench.memory.give_back(GROUP);
    expect_each_once(bench, worker).await;
}
