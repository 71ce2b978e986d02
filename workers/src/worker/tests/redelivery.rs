//! Records in a retry topic that cannot go back to a stage: none is lost, and none is silent.

use schemas::{DeadLetterReason, FailureCode, MessageKind, Retry, Timestamp};
use transport::{Header, Record};

use super::bench::{Bench, DEAD, JOBS, RESULTS};
use crate::worker::WorkerError;

const RETRY: &str = "millstream.p.retry.5s";

/// A record of 1,000 bytes that is due and goes back to this topic.
fn waiting(id: &'static str, topic: &str) -> Record {
    let retry = Retry { topic: topic.into(), due: Timestamp::now(), code: FailureCode::Timeout };
    let mut record = Record::new(RETRY, vec![7; 1_000]).with_key("k").with_header("ce_id", id);
    record.headers.extend(retry.write().into_iter().map(|(name, value)| Header { name, value }));
    record
}

fn bench(settings: &str) -> Bench {
    let bench = Bench::new(settings);
    bench.memory.create_topic(RETRY, 1);
    bench
}

/// What the dead letters say: code, topic that the record was read from, stage.
fn reasons(bench: &Bench) -> Vec<(FailureCode, String, String)> {
    let read = |record: &Record| {
        let pairs = record.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
        let reason = DeadLetterReason::read(pairs).unwrap().unwrap();
        (reason.code, reason.topic, reason.stage)
    };
    bench.memory.records(DEAD).iter().map(|received| read(&received.record)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_go_back_ends_as_a_failure_and_a_dead_letter() {
    let check = async |record: Record, id: &str, code: FailureCode| {
        let bench = bench("");
        bench.memory.set_topic_max_record_bytes(JOBS, 900);
        let value = record.value.clone();
        bench.publish(vec![record]).await;
        let worker = bench.start().await;
        bench.until("both records", || bench.ids().len() == 1 && reasons(&bench).len() == 1).await;
        worker.stop().await.unwrap();
        assert_eq!(bench.terminals(), [(id.to_owned(), MessageKind::Failure)]);
        assert_eq!(reasons(&bench), [(code, RETRY.to_owned(), "inference".to_owned())]);
        assert_eq!(bench.memory.records(DEAD)[0].record.value, value);
        assert_eq!(bench.memory.records(JOBS), []);
        assert_eq!(bench.metrics.restarts.get(), 0);
    };
    let headless = Record::new(RETRY, "what is this");
    check(headless, &format!("{RETRY}/0/0"), FailureCode::InvalidInput).await;
    check(waiting("foreign", "other.secrets"), "foreign", FailureCode::InvalidInput).await;
    check(waiting("wide", JOBS), "wide", FailureCode::TooLarge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_for_failures_holds_for_them_too() {
    let skipping = bench("on_failure = { inference = 'skip' }");
    skipping.publish(vec![waiting("foreign", RESULTS)]).await;
    let worker = skipping.start().await;
    skipping.until_results(1).await;
    worker.stop().await.unwrap();
    assert_eq!((skipping.terminals().len(), reasons(&skipping).len()), (1, 0));

    let stopping = bench("on_failure = { inference = 'stop' }");
    stopping.publish(vec![waiting("foreign", RESULTS)]).await;
    let error = stopping.start().await.ends_by_itself().await;
    assert!(matches!(error, WorkerError::Stopped(_)), "{error:?}");
    assert_eq!(stopping.ids(), Vec::<String>::new());
}
