//! What becomes of failed jobs where the pipeline declares it. The model breaks on NaN.

use schemas::{Cancellation, FailureCode, Job, JobId, Limits, MessageKind, Outcome, Tensor, Timestamp};
use stages::ModelError;
use transport::{Header, Record};

use super::bench::{Bench, CANCELLATIONS, JOBS, RESULTS, RETRIES, identity, numbers, read, texts};
use crate::on_failure::StoppedAt;
use crate::worker::WorkerError;

const LABEL: &str = "{ name = 'label', datatype = 'BYTES', shape = [1], data = ['unknown'] }";

/// A record that is no job.
fn broken(id: &str) -> Record {
    Record::new(JOBS, "\u{c1}")
        .with_key("k")
        .with_header("ce_id", id.to_owned())
        .with_header("content-type", "application/vnd.msgpack")
}

fn expired(id: &str) -> Record {
    Record::new(JOBS, "a raw payload")
        .with_key("k")
        .with_header("ce_id", id.to_owned())
        .with_header("ce_deadline", "2020-01-01T00:00:00Z")
}

fn declared(on_failure: &str, more: &str) -> Bench {
    Bench::new(&format!("on_failure = {{ {on_failure} }}\nbatch = {{ max_size = 1 }}\n{more}"))
}

impl Bench {
    fn kept(&self) -> Vec<String> {
        self.dead_letters().into_iter().map(|(id, ..)| id).collect()
    }

    async fn cancel(&self, id: &str) {
        let headers = Cancellation::Job(JobId::new(id).unwrap()).write("/test", &Timestamp::now());
        let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
        let record = Record { topic: CANCELLATIONS.into(), key: None, value: None, headers };
        self.publish(vec![record]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_failure_has_no_dead_letter_and_one_that_was_asked_for_has() {
    let bench = declared("inference = 'skip'", "");
    bench.submit("k", [f32::NAN]).await;
    bench.publish(vec![broken("unreadable"), expired("late")]).await;
    bench.submit("k", [1.0]).await;
    let worker = bench.start().await;
    bench.until_results(4).await;
    worker.stop().await.unwrap();
    let (failure, result) = (MessageKind::Failure, MessageKind::Result);
    let expected = [("NaN", failure), ("unreadable", failure), ("late", failure), ("1", result)];
    assert_eq!(bench.terminals(), expected.map(|(id, kind)| (id.to_owned(), kind)));
    assert_eq!(bench.kept(), ["late"]);
    let counted = |outcome| bench.metric("millstream_messages_total", outcome);
    assert_eq!([counted("model_error"), counted("undecodable")], [1.0, 1.0]);
    assert_eq!(bench.committed().values().sum::<i64>(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_is_a_result_and_one_that_was_asked_for_is_a_failure() {
    let bench = declared(&format!("inference = {{ default = [{LABEL}] }}"), "");
    let mut job = Job::new([Tensor::from_elements("x", [1u64, 1], &[f32::NAN]).unwrap()]);
    job.parameters.insert("user".into(), "kept".into());
    let record = Record::new(JOBS, schemas::encode_job(&job).unwrap())
        .with_key("k")
        .with_header("ce_id", "fails")
        .with_header("content-type", "application/vnd.msgpack");
    bench.publish(vec![record, broken("unreadable"), expired("late")]).await;
    let worker = bench.start().await;
    bench.until_results(3).await;
    worker.stop().await.unwrap();
    let terminals = bench.memory.records(RESULTS);
    let told: Vec<_> = terminals.iter().map(|received| read(&received.record).0.defaulted()).collect();
    assert_eq!(told, [Some(FailureCode::ModelError), Some(FailureCode::Undecodable), None]);
    assert_eq!(identity(&terminals[2].record), ("late".to_owned(), MessageKind::Failure));
    assert_eq!(bench.kept(), ["late"]);

    let record = &terminals[0].record;
    let (kind, body) = (MessageKind::Result, record.value.as_ref().unwrap());
    let content_type = read(record).0.content_type;
    let outcome = schemas::decode_outcome(kind, content_type.as_deref(), body, &Limits::default());
    let Outcome::Result(result) = outcome.unwrap() else { panic!("a result") };
    assert_eq!((result.outputs.len(), result.outputs[0].name()), (1, "label"));
    assert_eq!((&result.parameters["user"], &result.parameters["defaulted"]), (&"kept".into(), &true.into()));
    assert_eq!(result.parameters["failure_stage"], "inference".into());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_last_run_of_a_job_is_a_failure() {
    let bench = declared("inference = 'stop'", "retry = { max_attempts = 2 }");
    bench.gate.fail_for([7.0], &ModelError::transient("told to fail in passing"));
    bench.submit("k", [7.0]).await;
    let worker = bench.start().await;
    bench.until("the retry", || !bench.memory.records(RETRIES[0]).is_empty()).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), Vec::<String>::new());
    let mut again = bench.memory.records(JOBS).remove(0).record.with_header("ce_attempt", "2");
    again.topic = JOBS.into();
    bench.publish(vec![again]).await;
    let error = bench.start().await.ends_by_itself().await;
    let WorkerError::Stopped(at) = error else { panic!("{error:?}") };
    assert_eq!((at.failure.attempt, at.failure.retriable), (2, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_at_a_failure_commits_what_came_before_and_accuses_nobody() {
    for delivery in ["at-least-once", "exactly-once"] {
        // As often as it is started, although a job that kills its worker would be convicted the first time.
        let more = format!("delivery = '{delivery}'\n[worker]\nslot = 's'\nmax_crashes = 1");
        let bench = declared("inference = 'stop'", &more);
        bench.submit("k", numbers(0..3)).await;
        bench.submit("k", [f32::NAN]).await;
        bench.submit("k", numbers(3..5)).await;
        for _ in 0..4 {
            let error = bench.start().await.ends_by_itself().await;
            let told = error.to_string();
            let WorkerError::Stopped(at) = error else { panic!("{error:?}") };
            let StoppedAt { pipeline, id, failure, .. } = *at;
            assert_eq!((&*pipeline, id.as_str(), &*failure.stage), ("p", "NaN", "inference"));
            assert_eq!(failure.code, FailureCode::ModelError);
            assert!(!failure.message.contains("died"), "{}", failure.message);
            assert!(told.contains("millstream cancel p --id 'NaN'"), "{told}");
            assert!(!bench.health.is_alive());
            assert_eq!(bench.ids(), texts(0..3), "{delivery}");
            assert_eq!(bench.committed().values().sum::<i64>(), 3, "{delivery}");
        }
        assert_eq!(bench.kept(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_workers_stop_at_can_be_given_up() {
    let bench = declared("inference = 'stop'", "");
    bench.publish(vec![broken("unreadable")]).await;
    bench.submit("k", [f32::NAN, 1.0]).await;
    for id in ["unreadable", "NaN"] {
        let error = bench.start().await.ends_by_itself().await;
        assert!(matches!(&error, WorkerError::Stopped(at) if at.id.as_str() == id), "{error:?}");
        bench.cancel(id).await;
    }
    let worker = bench.start().await;
    bench.until_results(3).await;
    worker.stop().await.unwrap();
    assert_eq!(bench.ids(), ["unreadable", "NaN", "1"]);
    assert_eq!(bench.kept(), ["unreadable", "NaN"]);
    assert_eq!(bench.committed().values().sum::<i64>(), 3);
}
