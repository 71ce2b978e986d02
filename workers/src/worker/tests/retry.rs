//! A job that fails for a passing reason waits in a retry topic, and is run again when it is due.

use schemas::{FailureCode, MessageKind, RETRY_HEADER_PREFIX, Retry, Timestamp};
use stages::ModelError;
use transport::memory::TransactionFault;
use transport::{Header, Record};

use super::bench::{
    AT_LEAST, Bench, EXACTLY, JOBS, RESULTS, RETRIES, RETRY_GROUP, job, numbers, pairs, read,
};

fn passing() -> ModelError {
    ModelError::transient("memory is short")
}

/// As it lies in a retry topic, to be run for the third time.
fn waiting(value: f32, due: Timestamp) -> Record {
    let retry = Retry { topic: JOBS.into(), due, code: FailureCode::ModelError };
    let mut record = job("k", value).with_header("ce_attempt", "3");
    record.topic = RETRIES[2].into();
    record.headers.extend(retry.write().into_iter().map(|(name, value)| Header { name, value }));
    record
}

fn long_ago() -> Timestamp {
    Timestamp::from_unix_millis(1_600_000_000_000)
}

fn in_an_hour() -> Timestamp {
    Timestamp::from_unix_micros(Timestamp::now().unix_micros() + 3_600_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_in_passing_is_run_again_and_holds_up_nobody() {
    async fn check(mode: &str) {
        let bench = Bench::new(&format!("batch = {{ max_size = 2 }}\n{mode}"));
        bench.gate.fail_for([3.0], &passing());
        bench.submit("k", numbers(1..6)).await;
        let before = Timestamp::now().unix_micros();
        let worker = bench.start().await;
        bench.until_results(4).await;
        bench.until("all is settled", || bench.committed().values().sum::<i64>() == 5).await;
        assert_eq!(bench.ids(), ["1", "2", "4", "5"], "{mode}");

        let waiting = bench.memory.records(RETRIES[0]).remove(0).record;
        let original = bench.memory.records(JOBS).remove(2).record;
        assert_eq!((&waiting.key, &waiting.value), (&original.key, &original.value));
        assert_eq!(read(&waiting).0.attempt, Some(2));
        let retry = Retry::read(pairs(&waiting)).unwrap();
        assert_eq!((&*retry.topic, retry.code), (JOBS, FailureCode::ModelError));
        let waits = retry.due.unix_micros() - before;
        assert!((5_000_000..7_000_000).contains(&waits), "{waits}");

        bench.gate.mend();
        bench.until_results(5).await;
        assert!(Timestamp::now() >= retry.due, "{mode}: it came back before it was due");
        worker.stop().await.unwrap();
        assert_eq!(bench.terminals().last(), Some(&("3".to_owned(), MessageKind::Result)), "{mode}");
        let result = bench.memory.records(RESULTS).remove(4).record;
        assert_eq!(read(&result).0.attempt, Some(2));
        assert_eq!(bench.dead_letters(), []);
        let jobs = bench.memory.records(JOBS);
        assert_eq!(jobs.len(), 6, "{mode}: it came back once");
        let came_back = &jobs[5].record;
        assert!(pairs(came_back).all(|(name, _)| !name.starts_with(RETRY_HEADER_PREFIX)), "{came_back:?}");
        let sent_back: i64 = bench.memory.committed(RETRY_GROUP).iter().map(|(_, next)| next.get()).sum();
        assert_eq!(sent_back, 1, "{mode}");
    }
    // They wait at the same time.
    tokio::join!(check(AT_LEAST), check(EXACTLY));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_is_followed_by_a_longer_wait_until_the_last_one_is_a_failure() {
    async fn check(error: ModelError, attempt: u32, max_attempts: u32, expect: Option<&str>) {
        let bench = Bench::new(&format!("retry = {{ max_attempts = {max_attempts} }}"));
        bench.gate.fail_for([7.0], &error);
        let job = job("k", 7.0).with_header("ce_attempt", attempt.to_string());
        bench.publish(vec![job.clone()]).await;
        let worker = bench.start().await;
        bench.until("it is settled", || bench.committed().values().sum::<i64>() == 1).await;
        worker.stop().await.unwrap();
        let attempts_in = |topic: &str| -> Vec<Option<u32>> {
            bench.memory.records(topic).iter().map(|waiting| read(&waiting.record).0.attempt).collect()
        };
        for topic in RETRIES {
            let waits: Vec<_> = expect.iter().filter(|it| **it == topic).map(|_| Some(attempt + 1)).collect();
            assert_eq!(attempts_in(topic), waits, "{topic} after run {attempt} of {max_attempts}");
        }
        let failures = bench.failures();
        assert_eq!(
            (failures.len(), bench.dead_letters().len()),
            if expect.is_some() { (0, 0) } else { (1, 1) }
        );
        if expect.is_none() {
            let (id, failure) = &failures[0];
            assert_eq!((&**id, failure.code, failure.attempt), ("7", FailureCode::ModelError, attempt));
            assert_eq!(failure.retriable, error.is_retriable());
            let (id, reason, letter) = &bench.dead_letters()[0];
            assert_eq!((&**id, reason.code), ("7", FailureCode::ModelError));
            assert_eq!((&letter.key, &letter.value), (&job.key, &job.value));
        }
    }
    check(passing(), 1, 4, Some(RETRIES[0])).await;
    check(passing(), 2, 4, Some(RETRIES[1])).await;
    check(passing(), 3, 4, Some(RETRIES[2])).await;
    check(passing(), 4, 4, None).await;
    check(passing(), 8, 9, Some(RETRIES[2])).await;
    check(passing(), 1, 1, None).await;
    check(ModelError::permanent("always"), 1, 4, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_goes_back_and_the_rest_waits_through_restarts() {
    for mode in [AT_LEAST, EXACTLY] {
        let bench = Bench::new(mode);
        bench.publish(vec![waiting(1.0, long_ago()), waiting(2.0, in_an_hour())]).await;
        for _ in 0..2 {
            let worker = bench.start().await;
            bench.until_results(1).await;
            worker.stop().await.unwrap();
            assert_eq!(bench.ids(), ["1"], "{mode}");
            let offsets: Vec<i64> =
                bench.memory.committed(RETRY_GROUP).iter().map(|(_, next)| next.get()).collect();
            assert_eq!(offsets, [1], "{mode}: the second waits, and is not passed");
        }
        let result = bench.memory.records(RESULTS).remove(0).record;
        assert_eq!(read(&result).0.attempt, Some(3), "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_where_he_does_not_belong() {
    let bench = Bench::new("");
    let mut stray = waiting(1.0, long_ago());
    stray.headers.retain(|header| header.name != "ms_retry_topic");
    stray.headers.push(Header::new("ms_retry_topic", RESULTS));
    let mut unmarked = job("k", 2.0);
    unmarked.topic = RETRIES[0].into();
    bench.publish(vec![stray, unmarked, waiting(3.0, long_ago())]).await;
    let worker = bench.start().await;
    bench.until_results(3).await;
    worker.stop().await.unwrap();
    let mut terminals = bench.terminals();
    terminals.sort_by(|(one, _), (other, _)| one.cmp(other));
    let expected = [("1", MessageKind::Failure), ("2", MessageKind::Failure), ("3", MessageKind::Result)];
    assert_eq!(terminals, expected.map(|(id, kind)| (id.to_owned(), kind)));
    assert_eq!((bench.memory.records(JOBS).len(), bench.dead_letters().len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_once_a_job_goes_back_once_whatever_happens_to_the_transaction() {
    use TransactionFault::{Aborted, Fenced, Unknown, UnknownCommitted};
    for fault in [Aborted, Unknown, UnknownCommitted, Fenced] {
        let bench = Bench::new(EXACTLY);
        bench.publish(vec![waiting(1.0, long_ago())]).await;
        // Nothing else has a transaction before the job is back.
        bench.memory.fail_transactions(fault, 1);
        let worker = bench.start().await;
        bench.until_results(1).await;
        worker.stop().await.unwrap();
        assert_eq!((bench.memory.records(JOBS).len(), bench.ids().len()), (1, 1), "{fault:?}");
    }
}
