//! The loop on the in-memory transport with a model that the test controls.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use schemas::{Job, MessageKind, Tensor};
use transport::memory::CommitFault;
use transport::{PublishErrorKind, Record};

use self::bench::{Bench, DEAD, EXACTLY, GROUP, JOBS, RESULTS, numbers, texts};
use crate::worker::WorkerError;

mod bench;
mod breaker;
mod cancel;
mod crash;
mod deadline;
mod late;
mod on_failure;
mod redelivery;
mod retry;
mod size;

#[tokio::test(flavor = "multi_thread")]
async fn each_job_ends_once_in_order_and_a_stop_commits() {
    let bench = Bench::new("batch = { max_size = 7 }");
    bench.submit("k", numbers(0..500)).await;
    let worker = bench.start().await;
    bench.until_results(500).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), texts(0..500));
    assert_eq!(bench.committed().values().sum::<i64>(), 500);
    assert!(bench.health.is_alive() && bench.health.missing().contains(&"draining before shutdown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_finishes_first_still_leaves_second() {
    let bench = Bench::new("batch = { max_size = 1 }\n[worker]\nmax_running_batches = 2");
    bench.gate.close_for([1.0]);
    let worker = bench.start().await;
    let warm_up = bench.gate.passed();
    bench.submit("k", numbers(1..3)).await;
    bench.until("the second batch has run", || bench.gate.passed() == warm_up + 1).await;
    assert_eq!(bench.ids(), Vec::<String>::new(), "the second waits for the first");
    assert_eq!(bench.committed(), BTreeMap::new());
    bench.gate.open();
    bench.until_results(2).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), texts(1..3));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_jobs_are_answered_and_their_neighbours_succeed() {
    let bench = Bench::new("batch = { max_size = 100, max_delay_ms = 50 }");
    bench.submit("k", numbers(0..3)).await;
    let broken =
        Record::new(JOBS, "\u{c1}").with_key("k").with_header("content-type", "application/vnd.msgpack");
    bench.publish(vec![broken.clone()]).await;
    bench.submit("k", [f32::NAN]).await;
    bench.submit("k", numbers(3..6)).await;
    let worker = bench.start().await;
    bench.until_results(8).await;
    worker.stop().await.unwrap();
    let failed: Vec<_> =
        bench.terminals().into_iter().filter(|(_, kind)| *kind == MessageKind::Failure).collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    let position = &bench.memory.records(JOBS)[3].position;
    assert_eq!(failed[0].0, position.to_string());
    assert_eq!(failed[1].0, "NaN");
    let dead: Vec<_> = bench.memory.records(DEAD).into_iter().map(|received| received.record).collect();
    assert_eq!(dead.len(), 2);
    assert_eq!((&dead[0].key, &dead[0].value), (&broken.key, &broken.value));
    assert_eq!(bench.committed().values().sum::<i64>(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_published_is_not_committed_and_stops_the_worker() {
    let bench = Bench::new("batch = { max_size = 1 }\n[worker]\ncommit_interval_ms = 1");
    bench.memory.fail_publishes(RESULTS, PublishErrorKind::Fatal, 1);
    bench.submit("k", numbers(0..5)).await;
    let error = bench.start().await.ends_by_itself().await;
    assert!(matches!(error, WorkerError::Publish(_)), "{error:?}");
    assert_eq!(bench.committed(), BTreeMap::new());
    assert!(!bench.health.is_alive());

    let repeated = bench.start().await;
    bench.until("the rest", || texts(0..5).iter().all(|id| bench.ids().contains(id))).await;
    repeated.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_waits_for_what_runs_and_forgets_the_rest() {
    let bench = Bench::new("batch = { max_size = 2 }\n[worker]\nmax_running_batches = 1");
    bench.gate.close_for([1.0]);
    bench.submit("k", numbers(1..10)).await;
    let worker = bench.start().await;
    bench.until("everything read", || bench.metrics.inflight.get() == 9).await;
    let partition = bench.memory.records(JOBS)[0].position.partition.clone();

    let revoked = bench.memory.revoke(GROUP, std::slice::from_ref(&partition));
    let opened = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(bench.committed(), BTreeMap::new(), "not let go while the batch runs");
        bench.gate.open();
    };
    tokio::join!(revoked, opened);
    // The first batch was published and committed before the partition was let go; the other seven were forgotten.
    let done = bench.ids().len();
    assert!((2..9).contains(&done), "{done}");
    assert_eq!(bench.committed()[&partition.index], done as i64);
    bench.until("nothing held", || bench.metrics.inflight.get() == 0).await;

    bench.memory.give_back(GROUP);
    bench.until_results(9).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), texts(1..10), "handed over and back, nothing is repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_outlives_the_drain_limit_settles_nothing() {
    let bench =
        Bench::new("batch = { max_size = 1 }\n[worker]\ndrain_timeout_ms = 100\ncommit_interval_ms = 10");
    bench.gate.close_for([3.0]);
    bench.submit("k", numbers(0..5)).await;
    let worker = bench.start().await;
    bench.until_results(3).await;
    let partition = bench.memory.records(JOBS)[0].position.partition.clone();
    bench.memory.revoke(GROUP, std::slice::from_ref(&partition)).await;
    assert_eq!(bench.committed()[&partition.index], 3, "what was done in time is committed");
    bench.gate.open();
    bench.until("the late outcome", || bench.ids().contains(&"3".into())).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bench.committed()[&partition.index], 3, "what came late is not");
    bench.memory.give_back(GROUP);
    bench.until("the next owner's repeat", || bench.committed()[&partition.index] == 5).await;
    worker.stop().await.unwrap();
    let repeated = |id: &str| bench.ids().iter().filter(|known| *known == id).count();
    assert_eq!((repeated("2"), repeated("3")), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_partitions_are_not_committed() {
    let bench = Bench::new("batch = { max_size = 1 }\n[worker]\ncommit_interval_ms = 10");
    bench.gate.close_for([2.0]);
    bench.submit("k", numbers(0..3)).await;
    let worker = bench.start().await;
    bench.until_results(2).await;
    let partition = bench.memory.records(JOBS)[0].position.partition.clone();
    bench.until("the commit of the first two", || bench.committed().get(&partition.index) == Some(&2)).await;
    bench.memory.lose(GROUP, std::slice::from_ref(&partition));
    bench.gate.open();
    bench.until_results(4).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), ["0", "1", "2", "2"], "the lost one is repeated by its next owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_for_a_while_is_made_later() {
    let bench = Bench::new("[worker]\ncommit_interval_ms = 5");
    bench.memory.fail_commits(CommitFault::Unavailable, 3);
    bench.submit("k", numbers(0..4)).await;
    let worker = bench.start().await;
    bench.until("the commit", || bench.committed().values().sum::<i64>() == 4).await;
    assert_eq!(bench.metrics.commit_failures.get(), 3);
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_is_not_tried_again_without_a_pause() {
    async fn check(settings: &str, held_up: &str) {
        let bench = Bench::new(settings);
        if !held_up.is_empty() {
            // The note that they run is committed by then.
            bench.gate.close_for([1.0]);
        }
        bench.submit("k", numbers(1..100)).await;
        let begun = Instant::now();
        if held_up.is_empty() {
            bench.memory.fail_commits(CommitFault::Unavailable, 6);
        }
        let worker = bench.start().await;
        if !held_up.is_empty() {
            bench.until(held_up, || bench.gate.waiting() == 1).await;
            bench.memory.fail_commits(CommitFault::Unavailable, 6);
            bench.gate.open();
        }
        bench.until("six failures", || bench.metrics.commit_failures.get() == 6).await;
        assert!(begun.elapsed() >= Duration::from_millis(250), "{settings}: {:?}", begun.elapsed());
        bench.until_results(99).await;
        worker.stop().await.unwrap();
    }
    // In a hurry, because nothing may run ahead of the commits; and the note before the first run.
    check("[worker]\nmax_uncommitted_records = 1", "a run").await;
    check("", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_held_than_the_limit() {
    let bench = Bench::new("batch = { max_size = 2 }\n[worker]\nmax_inflight_records = 10");
    bench.gate.close_for([1.0]);
    bench.submit("k", numbers(1..1001)).await;
    let worker = bench.start().await;
    bench.until("the limit", || bench.metrics.inflight.get() >= 10).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let held = bench.metrics.inflight.get();
    assert!(held <= 20, "one chunk over the limit at most, got {held}");
    bench.gate.open();
    bench.until_results(1000).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), texts(1..1001));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_makes_it_unready_and_loses_nothing() {
    let bench = Bench::new("batch = { max_size = 5 }\n[worker]\ncommit_interval_ms = 5");
    bench.gate.close_for([1.0]);
    bench.submit("k", numbers(1..51)).await;
    let worker = bench.start().await;
    bench.until("ready", || bench.health.missing().is_empty()).await;
    bench.until("jobs under way", || bench.metrics.inflight.get() > 0).await;
    bench.memory.set_reachable(false);
    bench.until("unready", || bench.health.missing() == ["no broker answers"]).await;
    // What runs comes to its end now, and its outcomes have nowhere to go.
    bench.gate.open();
    let stuck = || bench.metrics.inflight.get() > 0 && bench.ids().is_empty() && bench.committed().is_empty();
    bench.until("outcomes that wait", stuck).await;
    bench.memory.set_reachable(true);
    bench.until_results(50).await;
    bench.until("ready again", || bench.health.missing().is_empty()).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), texts(1..51));
    assert_eq!(bench.committed().values().sum::<i64>(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_larger_than_its_topic_takes_fails_without_a_new_beginning() {
    let bench = Bench::new("");
    // Less than a result, and more than a failure.
    bench.memory.set_topic_max_record_bytes(RESULTS, 850);
    let worker = bench.start().await;
    let wide = Job::new([Tensor::from_elements("x", [200u64, 1], &[1.0f32; 200]).unwrap()]);
    let record = Record::new(JOBS, schemas::encode_job(&wide).unwrap()).with_header("ce_id", "wide");
    bench.publish(vec![record.with_header("content-type", "application/vnd.msgpack")]).await;
    bench.until_results(1).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.terminals(), [("wide".to_owned(), MessageKind::Failure)]);
    assert_eq!(bench.memory.records(DEAD).len(), 1);
    assert_eq!(bench.metrics.restarts.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_once_answers_each_job_once_and_commits_with_the_outcomes() {
    let bench = Bench::new(EXACTLY);
    bench.submit("k", numbers(0..500)).await;
    let worker = bench.start().await;
    bench.until_results(500).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), texts(0..500));
    assert_eq!(bench.committed().values().sum::<i64>(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_transactions_nothing_is_lost_or_doubled() {
    use transport::memory::TransactionFault::{Aborted, Fenced, Unknown, UnknownCommitted};
    for fault in [Aborted, Unknown, UnknownCommitted, Fenced] {
        let bench = Bench::new(&format!("batch = {{ max_size = 3 }}\n{EXACTLY}"));
        bench.memory.fail_transactions(fault, 2);
        bench.submit("k", numbers(0..100)).await;
        bench.submit("elsewhere", numbers(100..200)).await;
        let worker = bench.start().await;
        bench.until_results(200).await;
        worker.stop().await.unwrap();
        let mut ids: Vec<f32> = bench.ids().iter().map(|id| id.parse().unwrap()).collect();
        ids.sort_by(f32::total_cmp);
        assert_eq!(ids, numbers(0..200).collect::<Vec<_>>(), "{fault:?}");
        assert_eq!(bench.committed().values().sum::<i64>(), 200, "{fault:?}");
        let transactions = &bench.metrics.transactions;
        let (aborted, unanswered) = (transactions.aborted.get(), transactions.unanswered.get());
        assert_eq!((aborted > 0, unanswered > 0), (fault == Aborted, fault != Aborted), "{fault:?}");
        let ended = transactions.committed.get() + aborted + unanswered;
        assert_eq!(transactions.duration.get_sample_count(), ended, "{fault:?}");
    }
}
