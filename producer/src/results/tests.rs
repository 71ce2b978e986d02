use super::*;
use crate::answers::{client, failed, labelled, publish, terminal_of};

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
