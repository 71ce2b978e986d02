//! A group of one member.

use std::time::Duration;

use transport::{Consumer, ConsumerOptions, Event, Progress};

use crate::backend::{
    Backend, DEADLINE, check_complete, join, next_event, number, numbered, publish, read, soon, unique,
};

pub(crate) async fn that_start_late_read_everything<B: Backend>(backend: &B) {
    let topic = backend.topic(2).await;
    publish(backend, numbered(&topic, 0..300)).await;
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    check_complete(&read(&mut consumer, 300).await, 300);
    let status = consumer.status().borrow().clone();
    assert!(status.brokers_up);
    assert_eq!(status.assigned, 2);
    soon("close", consumer.close()).await;
}

pub(crate) async fn resume_where_they_have_committed<B: Backend>(backend: &B) {
    let topic = backend.topic(2).await;
    let group = unique("group");
    publish(backend, numbered(&topic, 0..200)).await;
    let mut first = join(backend, &group, &topic, ConsumerOptions::default()).await;
    let mut records = read(&mut first, 200).await;
    let rest = records.split_off(120);
    let mut progress = Progress::new();
    for received in &records {
        progress.record(&received.position);
    }
    soon("commit", first.commit(progress, "")).await.unwrap();
    soon("an empty commit", first.commit(Progress::new(), "")).await.unwrap();
    soon("close", first.close()).await;

    let mut second = join(backend, &group, &topic, ConsumerOptions::default()).await;
    let mut again: Vec<usize> = read(&mut second, rest.len()).await.iter().map(number).collect();
    let mut expect: Vec<usize> = rest.iter().map(number).collect();
    again.sort_unstable();
    expect.sort_unstable();
    assert_eq!(again, expect);
}

/// A reader that takes much less than there is: the partitions are paused and resumed, over and over.
pub(crate) async fn read_slowly_without_loss<B: Backend>(backend: &B) {
    let topic = backend.topic(3).await;
    let padding = "x".repeat(1000);
    let records =
        numbered(&topic, 0..3000).into_iter().map(|record| record.with_header("padding", padding.clone()));
    publish(backend, records.collect()).await;
    let options = ConsumerOptions {
        max_queued_records: 100,
        max_queued_bytes: 64 * 1024,
        max_chunk: 10,
        ..ConsumerOptions::default()
    };
    let mut consumer = join(backend, &unique("group"), &topic, options).await;
    let mut records = Vec::new();
    while records.len() < 3000 {
        let Event::Records(more) = next_event(&mut consumer).await else { continue };
        assert!(more.len() <= 10);
        records.extend(more);
        if records.len() % 500 < 10 {
            // Long enough for the partitions to be paused.
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }
    check_complete(&records, 3000);
}

pub(crate) async fn know_their_lag<B: Backend>(backend: &B) {
    let topic = backend.topic(2).await;
    publish(backend, numbered(&topic, 0..50)).await;
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    let records = read(&mut consumer, 50).await;
    let mut status = consumer.status();
    let lag = |wanted: i64| {
        move |status: &transport::Status| status.lag.iter().map(|(_, lag)| lag).sum::<i64>() == wanted
    };
    tokio::time::timeout(DEADLINE, status.wait_for(lag(50))).await.expect("a lag of 50").unwrap();
    let mut progress = Progress::new();
    for received in &records {
        progress.record(&received.position);
    }
    soon("commit", consumer.commit(progress, "")).await.unwrap();
    tokio::time::timeout(DEADLINE, status.wait_for(lag(0))).await.expect("no lag").unwrap();
}
