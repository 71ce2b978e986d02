mod flawed;

use std::sync::atomic::Ordering;

use schemas::Timestamp;
use tokio::time::Instant;
use transport::{Header, Memory, Publisher, Record};

use self::flawed::Flawed;
use super::*;

const TOPIC: &str = "millstream.p.cancellations";

fn job(id: &str) -> Cancellation {
    Cancellation::Job(JobId::new(id).unwrap())
}

async fn publish(memory: &Memory, records: Vec<Record>) {
    memory.publisher().await.unwrap().publish(records).await.unwrap();
}

async fn withdraw(memory: &Memory, cancellation: Cancellation) {
    let headers = cancellation.write("/test", &Timestamp::from_unix_millis(1_700_000_000_000));
    let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
    publish(memory, vec![Record { topic: TOPIC.into(), key: None, value: None, headers }]).await;
}

fn holds(cancellations: &Cancellations, id: &str, batch: Option<&str>) -> bool {
    cancellations.is_cancelled(&JobId::new(id).unwrap(), batch)
}

async fn wait_for(condition: impl Fn() -> bool) {
    let limit = tokio::time::timeout(Duration::from_secs(3600), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    limit.await.expect("it comes to that");
}

fn memory() -> Memory {
    let memory = Memory::new();
    memory.create_topic(TOPIC, 2);
    memory
}

#[tokio::test(start_paused = true)]
async fn knows_what_was_withdrawn_before_it_started_and_learns_of_more() {
    let memory = memory();
    for id in ["a", "b", "c"] {
        withdraw(&memory, job(id)).await;
    }
    withdraw(&memory, Cancellation::Batch("monday".into())).await;
    let cancellations = Cancellations::start(&memory, TOPIC).await;
    assert_eq!(cancellations.withdrawn.len(), 4);
    assert!(holds(&cancellations, "b", None));
    assert!(holds(&cancellations, "x", Some("monday")));
    assert!(!holds(&cancellations, "x", Some("tuesday")));

    withdraw(&memory, job("x")).await;
    wait_for(|| holds(&cancellations, "x", None)).await;
}

#[tokio::test(start_paused = true)]
async fn passes_over_what_is_no_cancellation() {
    let memory = memory();
    publish(&memory, vec![Record::new(TOPIC, "rubbish"), Record::new(TOPIC, "").with_header("ce_id", "a")])
        .await;
    withdraw(&memory, job("b")).await;
    let cancellations = Cancellations::start(&memory, TOPIC).await;
    assert_eq!(cancellations.withdrawn.len(), 1);
    assert!(holds(&cancellations, "b", None));
}

#[tokio::test(start_paused = true)]
async fn a_missing_topic_stops_nobody_and_is_read_once_it_is_there() {
    let memory = Memory::new();
    let begun = Instant::now();
    let cancellations = Cancellations::start(&memory, TOPIC).await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "a start does not wait for it");
    assert!(!holds(&cancellations, "a", None));

    tokio::time::sleep(Duration::from_secs(600)).await;
    memory.create_topic(TOPIC, 1);
    withdraw(&memory, job("a")).await;
    let created = Instant::now();
    wait_for(|| holds(&cancellations, "a", None)).await;
    assert!(created.elapsed() <= LONGEST_PAUSE + Duration::from_secs(1), "{:?}", created.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_start_does_not_wait_for_ever() {
    let memory = memory();
    withdraw(&memory, job("a")).await;
    let begun = Instant::now();
    let slow = Flawed { opens_in: Duration::from_secs(60), ..Flawed::new(memory) };
    let cancellations = Cancellations::start(&slow, TOPIC).await;
    assert_eq!(begun.elapsed(), LONGEST_START);
    assert!(!holds(&cancellations, "a", None));
    wait_for(|| holds(&cancellations, "a", None)).await;
}

#[tokio::test(start_paused = true)]
async fn goes_on_where_it_was_when_reading_fails() {
    let memory = memory();
    for id in ["a", "b", "c", "d", "e"] {
        withdraw(&memory, job(id)).await;
    }
    let broken = Flawed { breaks_after: 2, ..Flawed::new(memory) };
    let cancellations = Cancellations::start(&broken, TOPIC).await;
    wait_for(|| cancellations.withdrawn.len() == 5).await;
    assert_eq!(broken.read.load(Ordering::Relaxed), 5, "nothing was read twice");
}

#[tokio::test(start_paused = true)]
async fn the_last_one_ends_the_reading() {
    let memory = memory();
    let cancellations = Cancellations::start(&memory, TOPIC).await;
    let withdrawn = Arc::downgrade(&cancellations.withdrawn);
    drop(cancellations.clone());
    assert_eq!(withdrawn.strong_count(), 2, "the task and the one that is left");
    drop(cancellations);
    wait_for(|| withdrawn.strong_count() == 0).await;
}
