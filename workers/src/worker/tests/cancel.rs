//! Jobs that are withdrawn before their turn are not run; what has begun is not affected.

use std::time::Duration;

use schemas::{Cancellation, FailureCode, JobId, Timestamp};
use transport::{Header, Record};

use super::bench::{AT_LEAST, Bench, CANCELLATIONS, DEADLINE, EXACTLY, GROUP, JOBS, job};

fn of_job(id: &str) -> Cancellation {
    Cancellation::Job(JobId::new(id).unwrap())
}

fn of_batch(batch: &str) -> Cancellation {
    Cancellation::Batch(batch.into())
}

async fn withdraw(bench: &Bench, cancellations: &[Cancellation]) {
    let record = |cancellation: &Cancellation| {
        let headers = cancellation.write("/test", &Timestamp::now());
        let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
        // One key: they are read in this order.
        Record { topic: CANCELLATIONS.into(), key: Some("k".into()), value: None, headers }
    };
    bench.publish(cancellations.iter().map(record).collect()).await;
}

/// As [`withdraw`], until the worker knows: jobs of the last name are submitted until one of them is not run.
async fn withdraw_and_wait(bench: &Bench, cancellations: &[Cancellation]) {
    withdraw(bench, &[cancellations, &[of_job("1000")]].concat()).await;
    let known = async {
        while bench.metric("millstream_messages_total", "cancelled") == 0.0 {
            bench.submit("elsewhere", [1000.0]).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, known).await.expect("the worker learns of it");
}

/// Jobs 2 to 5, of which the second and third belong to batches.
fn jobs() -> Vec<Record> {
    vec![
        job("k", 2.0),
        job("k", 3.0).with_header("ce_batchid", "monday"),
        job("k", 4.0).with_header("ce_batchid", "tuesday"),
        job("k", 5.0),
    ]
}

#[track_caller]
fn expect_withdrawn(bench: &Bench, expect: &[&str]) {
    let failures = bench.failures();
    let mut ids: Vec<&str> = failures.iter().map(|(id, _)| &**id).filter(|id| *id != "1000").collect();
    ids.sort_unstable();
    assert_eq!(ids, expect);
    for (id, failure) in &failures {
        assert_eq!((failure.code, failure.retriable), (FailureCode::Cancelled, false), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_before_the_start_is_not_run() {
    for mode in [AT_LEAST, EXACTLY] {
        let bench = Bench::new(mode);
        bench.publish(jobs()).await;
        withdraw(&bench, &[of_job("2"), of_batch("monday"), of_job("of-nobody")]).await;
        let worker = bench.start().await;
        bench.until_results(4).await;
        worker.stop().await.unwrap();
        expect_withdrawn(&bench, &["2", "3"]);
        assert_eq!([2.0, 3.0, 4.0, 5.0].map(|value| bench.gate.has_run(value)), [false, false, true, true]);
        assert_eq!(bench.ids(), ["2", "3", "4", "5"], "in their order all the same");
        assert_eq!(bench.memory.committed(GROUP).iter().map(|(_, next)| next.get()).max(), Some(4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_is_not_affected() {
    let bench = Bench::new("batch = { max_size = 1 }\n[worker]\nmax_running_batches = 1000");
    bench.gate.close_for([1.0]);
    bench.submit("k", [1.0]).await;
    let worker = bench.start().await;
    bench.until("the first runs", || bench.gate.waiting() == 1).await;
    withdraw_and_wait(&bench, &[of_job("1"), of_job("2"), of_batch("monday")]).await;
    bench.publish(jobs()).await;
    bench.gate.open();
    bench.until("all have ended", || bench.terminals().len() == bench.memory.records(JOBS).len()).await;
    worker.stop().await.unwrap();
    expect_withdrawn(&bench, &["2", "3"]);
    assert_eq!([1.0, 2.0, 3.0, 4.0].map(|value| bench.gate.has_run(value)), [true, false, false, true]);
}
