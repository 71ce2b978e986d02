use schemas::Outcome;
use transport::Memory;

use super::*;
use crate::answers::{RESULTS, client, failed, labelled, publish, terminal_of};
use crate::client::ClientOptions;

fn id(outcome: Option<Result<JobOutcome, ResultError>>) -> Option<String> {
    outcome.map(|outcome| outcome.unwrap().id.to_string())
}

#[tokio::test]
async fn from_the_beginning_and_on() {
    let (memory, client) = client();
    publish(&memory, vec![terminal_of("a", &labelled("seven"))]).await;
    let mut results = client.results(ReadFrom::Beginning, ResultFilter::all()).await.unwrap();
    assert_eq!(id(results.next_existing().await), Some("a".to_owned()));
    assert_eq!(id(results.next_existing().await), None);
    publish(&memory, vec![terminal_of("b", &failed("no"))]).await;
    assert_eq!(id(results.next_existing().await), None);
    assert_eq!(id(results.next().await), Some("b".to_owned()));
}

#[tokio::test]
async fn from_the_end() {
    let (memory, client) = client();
    publish(&memory, vec![terminal_of("a", &labelled("seven"))]).await;
    let mut results = client.results(ReadFrom::End, ResultFilter::all()).await.unwrap();
    assert_eq!(id(results.next_existing().await), None);
    publish(&memory, vec![terminal_of("b", &labelled("seven"))]).await;
    assert_eq!(id(results.follow().next().await), Some("b".to_owned()));
}

#[tokio::test]
async fn what_is_unreadable_is_an_error_among_the_others() {
    let (memory, client) = client();
    let mut broken = terminal_of("b", &labelled("seven")).with_key("k");
    broken.value = Some("not MessagePack".into());
    let keyed = |id| terminal_of(id, &labelled("seven")).with_key("k");
    publish(&memory, vec![keyed("a"), broken, keyed("c")]).await;
    let mut results = client.results(ReadFrom::Beginning, ResultFilter::all()).await.unwrap();
    assert_eq!(id(results.next().await), Some("a".to_owned()));
    let Some(Err(error @ ResultError::Undecodable(_))) = results.next().await else { panic!("skipped") };
    assert!(error.is_passing());
    assert!(error.to_string().contains("(job b)"), "{error}");
    assert_eq!(id(results.next().await), Some("c".to_owned()));
}

#[tokio::test]
async fn many_results_keep_the_order_of_their_keys() {
    let (memory, client) = client();
    let keyed = |n: usize| terminal_of(&format!("{n}"), &labelled("seven")).with_key(format!("{}", n % 7));
    publish(&memory, (0..700).map(keyed).collect()).await;
    let mut results = client.results(ReadFrom::Beginning, ResultFilter::all()).await.unwrap();
    let mut last = [None; 7];
    let mut seen = 0;
    while let Some(outcome) = results.next_existing().await {
        let n: usize = outcome.unwrap().id.as_str().parse().unwrap();
        assert!(last[n % 7] < Some(n));
        last[n % 7] = Some(n);
        seen += 1;
    }
    assert_eq!(seen, 700);
}

/// The ids and kinds of what is given, with the number of what is dropped.
async fn read<R: Reader>(mut results: Results<R>) -> (Vec<String>, u64) {
    let mut given = Vec::new();
    while let Some(outcome) = results.next_existing().await {
        let outcome = outcome.unwrap();
        let kind = if matches!(outcome.outcome, Outcome::Result(_)) { "ok" } else { "failed" };
        given.push(format!("{} {kind}", outcome.id));
    }
    let dropped = results.repeats_dropped();
    (given, dropped)
}

#[tokio::test]
async fn an_outcome_is_given_once() {
    let (memory, client) = client();
    let (seven, no) = (labelled("seven"), failed("no"));
    let records = [("a", &seven), ("b", &no), ("a", &seven), ("b", &seven), ("b", &no), ("c", &seven)];
    let keyed = |(id, outcome): (&str, &Outcome)| terminal_of(id, outcome).with_key("k");
    publish(&memory, records.map(keyed).to_vec()).await;
    let open = || client.results(ReadFrom::Beginning, ResultFilter::all());

    let once = ["a ok", "b failed", "b ok", "c ok"].map(str::to_owned).to_vec();
    assert_eq!(read(open().await.unwrap()).await, (once, 2));
    let (all, dropped) = read(open().await.unwrap().with_repeats()).await;
    assert_eq!((all.len(), dropped), (6, 0));

    let mut followed = open().await.unwrap();
    for expect in ["a", "b", "b", "c"] {
        assert_eq!(id(followed.next().await).as_deref(), Some(expect));
    }
    assert_eq!(followed.repeats_dropped(), 2);
}

#[tokio::test]
async fn a_replay_that_fails_again_is_seen() {
    let (memory, client) = client();
    let replayed = terminal_of("a", &failed("no")).with_header(schemas::REPLAY_COUNT_HEADER, "1");
    publish(&memory, vec![terminal_of("a", &failed("no")), replayed.clone(), replayed]).await;
    let results = client.results(ReadFrom::Beginning, ResultFilter::all()).await.unwrap();
    assert_eq!(read(results).await, (vec!["a failed".to_owned(); 2], 1));
}

#[tokio::test]
async fn how_much_is_remembered_can_be_set() {
    for (remembered_outcomes, expect) in [(0, 6), (1, 5), (100, 3)] {
        let memory = Memory::new();
        memory.create_topic(RESULTS, 1);
        let options = ClientOptions { remembered_outcomes, ..ClientOptions::new("digits") };
        let client = Client::new(memory.clone(), options);
        publish(&memory, ["a", "b", "c", "a", "b", "b"].map(|id| terminal_of(id, &labelled("x"))).to_vec())
            .await;
        let results = client.results(ReadFrom::Beginning, ResultFilter::all()).await.unwrap();
        let (given, dropped) = read(results).await;
        assert_eq!((given.len() as u64, dropped), (expect, 6 - expect), "{remembered_outcomes}");
    }
}
