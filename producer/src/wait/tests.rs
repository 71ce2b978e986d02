use schemas::Outcome;
use tokio::task::yield_now;
use transport::Memory;

use super::*;
use crate::answers::{JOBS, RESULTS, answer_all, client, failed, labelled, publish, terminal_of};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

fn id(text: &str) -> JobId {
    text.parse().unwrap()
}

/// Answers the first job that comes.
async fn answer_one(memory: Memory, outcome: Outcome) {
    while memory.records(JOBS).is_empty() {
        yield_now().await;
    }
    answer_all(&memory, &outcome).await;
}

#[tokio::test]
async fn submits_and_waits() {
    for outcome in [labelled("seven"), failed("no image")] {
        let (memory, client) = client();
        let worker = tokio::spawn(answer_one(memory, outcome.clone()));
        let got =
            client.submit_and_wait(Submission::raw("text/plain", "7").with_id(id("a")), LONG).await.unwrap();
        assert_eq!((got.id, got.outcome), (id("a"), outcome));
        worker.await.unwrap();
    }
}

#[tokio::test]
async fn a_result_that_does_not_come_is_named() {
    let (_, client) = client();
    let error =
        client.submit_and_wait(Submission::raw("text/plain", "7").with_id(id("a")), SHORT).await.unwrap_err();
    assert!(matches!(&error, WaitError::Timeout { missing, .. } if *missing == [id("a")]), "{error}");
    assert!(error.to_string().contains("first of them a"), "{error}");
}

#[tokio::test]
async fn a_job_that_is_refused_is_not_waited_for() {
    let (_, client) = client();
    let refused = Submission::raw("text/plain", "7").with_header("ce_id", "x");
    let error = client.submit_and_wait(refused, LONG).await.unwrap_err();
    assert!(matches!(error, WaitError::Submit(_)), "{error}");
}

#[tokio::test]
async fn a_result_from_before_the_submission_is_another_one() {
    let (memory, client) = client();
    publish(&memory, vec![terminal_of("a", &labelled("old"))]).await;
    let worker = tokio::spawn(answer_one(memory, labelled("new")));
    let got =
        client.submit_and_wait(Submission::raw("text/plain", "7").with_id(id("a")), LONG).await.unwrap();
    assert_eq!(got.outcome, labelled("new"));
    worker.await.unwrap();
}

#[tokio::test]
async fn outcomes_come_in_the_order_asked_for_each_once() {
    let (memory, client) = client();
    let mut results = client.results(ReadFrom::End, ResultFilter::all()).await.unwrap();
    let records = ["b", "other", "b", "a", "a", "c"].map(|id| terminal_of(id, &labelled(id)));
    publish(&memory, records.to_vec()).await;
    let found = results.wait_for(["a", "b", "a"].map(id), LONG).await.unwrap();
    assert_eq!(found.iter().map(|outcome| outcome.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(results.wait_for([], SHORT).await.unwrap(), []);
}

#[tokio::test]
async fn what_came_in_time_is_not_lost() {
    let (memory, client) = client();
    let mut results = client.results(ReadFrom::End, ResultFilter::all()).await.unwrap();
    publish(&memory, vec![terminal_of("b", &labelled("b"))]).await;
    let error = results.wait_for(["a", "b", "c"].map(id), SHORT).await.unwrap_err();
    let WaitError::Timeout { missing, found, .. } = error else { panic!("{error}") };
    assert_eq!(missing, [id("a"), id("c")]);
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn an_unreadable_result_ends_the_wait_for_its_job_only() {
    let (memory, client) = client();
    let broken = |id: &str| {
        let mut record = terminal_of(id, &labelled("x")).with_key("k");
        record.value = None;
        record
    };
    publish(&memory, vec![broken("other"), terminal_of("a", &labelled("a")).with_key("k"), broken("b")])
        .await;
    let mut results = client.results(ReadFrom::Beginning, ResultFilter::all()).await.unwrap();
    let mut waiting = HashSet::from(["a", "b"].map(id));
    assert_eq!(results.next_of(&mut waiting).await.unwrap().id, id("a"));
    let Err(ResultError::Undecodable(undecodable)) = results.next_of(&mut waiting).await else {
        panic!("skipped")
    };
    assert_eq!(undecodable.id, Some(id("b")));
    assert_eq!(&*undecodable.position.partition.topic, RESULTS);
    assert!(waiting.is_empty());
}

#[tokio::test]
async fn an_id_that_is_asked_for_again_is_waited_for_again() {
    let (memory, client) = client();
    let mut results = client.results(ReadFrom::End, ResultFilter::all()).await.unwrap();
    for label in ["first", "second"] {
        publish(&memory, vec![terminal_of("a", &labelled(label)).with_key("k")]).await;
        let found = results.wait_for([id("a")], LONG).await.unwrap();
        assert_eq!(found[0].outcome, labelled(label));
    }
    // Whoever reads on as they come has been given it already.
    publish(&memory, ["a", "b"].map(|id| terminal_of(id, &labelled("x")).with_key("k")).to_vec()).await;
    assert_eq!(results.next().await.unwrap().unwrap().id, id("b"));
    assert_eq!(results.repeats_dropped(), 1);
}
