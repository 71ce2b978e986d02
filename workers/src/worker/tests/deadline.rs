//! A deadline is looked at three times: before a job is begun, before its batch is formed, and before its outcome leaves.

use std::time::Duration;

use schemas::{FailureCode, MessageKind, Timestamp};
use transport::Record;

use super::bench::{AT_LEAST, Bench, EXACTLY, job, numbers};

fn due(job: Record, deadline: &Timestamp) -> Record {
    job.with_header("ce_deadline", deadline.as_str().to_owned())
}

/// Late enough for a busy machine to begin the job before it.
fn in_a_while() -> Timestamp {
    Timestamp::from_unix_micros(Timestamp::now().unix_micros() + 1_500_000)
}

async fn until_passed(deadline: &Timestamp) {
    let left = deadline.unix_micros() - Timestamp::now().unix_micros();
    tokio::time::sleep(Duration::from_micros(u64::try_from(left).unwrap_or(0) + 1_000)).await;
}

/// The one failure there is: of this job, `expired`, with a message that says where it was found, and kept as a dead letter.
#[track_caller]
fn expect_expired(bench: &Bench, id: &str, found: &str) {
    let failures = bench.failures();
    let [(failed, failure)] = &failures[..] else { panic!("one failure: {failures:?}") };
    assert_eq!((&**failed, failure.code, failure.retriable), (id, FailureCode::Expired, false));
    assert!(failure.message.contains(found), "{}", failure.message);
    let letters = bench.dead_letters();
    assert_eq!((letters.len(), &*letters[0].0, letters[0].1.code), (1, id, FailureCode::Expired));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_comes_late_is_not_begun() {
    for mode in [AT_LEAST, EXACTLY] {
        let bench = Bench::new(mode);
        let past = Timestamp::from_unix_millis(1_600_000_000_000);
        // Nothing in it fits the model, which would be found out if it were begun.
        let late = Record { value: Some("no tensor".into()), ..due(job("k", 1.0), &past) };
        let headers = late.headers.into_iter().filter(|header| header.name != "content-type").collect();
        bench.publish(vec![Record { headers, ..late }, job("k", 2.0)]).await;
        let worker = bench.start().await;
        bench.until_results(2).await;
        worker.stop().await.unwrap();
        expect_expired(&bench, "1", "passed before the job's outcome could be published");
        assert_eq!(bench.terminals()[1], ("2".to_owned(), MessageKind::Result));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_a_session_too_long_is_not_run() {
    let bench = Bench::new("batch = { max_size = 1 }\n[worker]\nmax_running_batches = 4");
    bench.gate.close_for(numbers(1..3));
    bench.submit("k", numbers(1..3)).await;
    let worker = bench.start().await;
    bench.until("both sessions are taken", || bench.gate.waiting() == 2).await;
    let deadline = in_a_while();
    bench.publish(vec![due(job("k", 3.0), &deadline), job("k", 4.0)]).await;
    until_passed(&deadline).await;
    bench.gate.open();
    bench.until_results(4).await;
    worker.stop().await.unwrap();
    expect_expired(&bench, "3", "passed before the batch was formed for the model");
    assert_eq!([3.0, 4.0].map(|value| bench.gate.has_run(value)), [false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_comes_too_late_is_not_published() {
    async fn check(mode: &str) {
        let bench = Bench::new(mode);
        bench.gate.close_for([1.0]);
        let deadline = in_a_while();
        bench.publish(vec![due(job("k", 1.0), &deadline), job("k", 2.0)]).await;
        let worker = bench.start().await;
        bench.until("they run", || bench.gate.waiting() == 1).await;
        until_passed(&deadline).await;
        bench.gate.open();
        bench.until_results(2).await;
        worker.stop().await.unwrap();
        assert!(bench.gate.has_run(1.0), "{mode}");
        expect_expired(&bench, "1", "passed before the job's outcome could be published");
        assert_eq!(bench.terminals()[1], ("2".to_owned(), MessageKind::Result), "its neighbour is not late");
    }
    tokio::join!(check(AT_LEAST), check(EXACTLY));
}
