//! Partitions that are paused one by one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use transport::{Consumer, ConsumerOptions, Event, Partition, Publisher, Received, Transport};

use crate::backend::{
    Backend, DEADLINE, check_complete, join, next_event, numbered, publish, read, soon, unique,
};

/// Reads until nothing has come for a while.
async fn drain(consumer: &mut impl Consumer) -> Vec<Received> {
    let mut records = Vec::new();
    while let Ok(event) = tokio::time::timeout(Duration::from_millis(700), consumer.next()).await {
        match event.expect("the consumer has stopped") {
            Event::Records(more) => records.extend(more),
            Event::Revoked(revocation) => revocation.release(),
            Event::Assigned(_) | Event::Error(_) => {}
        }
    }
    records
}

fn of(records: &[Received], index: i32) -> usize {
    records.iter().filter(|received| received.position.partition.index == index).count()
}

pub(crate) async fn stops_one_partition_only<B: Backend>(backend: &B) {
    let topic = backend.topic(2).await;
    let publisher = backend.transport().publisher().await.unwrap();
    soon("publish", publisher.publish(numbered(&topic, 0..200))).await.unwrap();
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    let mut records = read(&mut consumer, 200).await;
    let paused = Partition::new(&*topic, 0);
    consumer.pause(&paused);
    // What is on its way may still come.
    tokio::time::sleep(Duration::from_millis(500)).await;
    soon("publish", publisher.publish(numbered(&topic, 200..400))).await.unwrap();
    let while_paused = drain(&mut consumer).await;
    assert_eq!(of(&while_paused, 0), 0);
    assert!(of(&while_paused, 1) > 0);
    records.extend(while_paused);
    consumer.resume(&paused);
    let rest = 400 - records.len();
    records.extend(read(&mut consumer, rest).await);
    check_complete(&records, 400);
}

/// All of them, so that only callbacks are served meanwhile; resuming ends that at once.
pub(crate) async fn stops_everything<B: Backend>(backend: &B) {
    let topic = backend.topic(2).await;
    let publisher = backend.transport().publisher().await.unwrap();
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    while !matches!(next_event(&mut consumer).await, Event::Assigned(partitions) if partitions.len() == 2) {}
    // Before anything has been read.
    for index in 0..2 {
        consumer.pause(&Partition::new(&*topic, index));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    soon("publish", publisher.publish(numbered(&topic, 0..100))).await.unwrap();
    assert!(drain(&mut consumer).await.is_empty());
    for index in 0..2 {
        consumer.resume(&Partition::new(&*topic, index));
    }
    check_complete(&read(&mut consumer, 100).await, 100);
}

/// Paused and resumed at random while records come, over a queue that is full most of the time.
pub(crate) async fn loses_and_doubles_nothing_under_load<B: Backend>(backend: &B) {
    const COUNT: usize = 6000;
    let topic = backend.topic(4).await;
    let padding = "x".repeat(300);
    let publisher = backend.transport().publisher().await.unwrap();
    let options = ConsumerOptions { max_queued_records: 60, max_chunk: 7, ..ConsumerOptions::default() };
    let mut consumer = join(backend, &unique("group"), &topic, options).await;
    let mut records = Vec::new();
    let mut paused: BTreeMap<i32, Instant> = BTreeMap::new();
    let mut published = 0;
    let mut turn = 0_u32;
    let started = Instant::now();
    while records.len() < COUNT {
        assert!(started.elapsed() < DEADLINE, "{} of {COUNT} records have come", records.len());
        if published < COUNT && records.len() + 1500 > published {
            let more = numbered(&topic, published..published + 500);
            let more = more.into_iter().map(|record| record.with_header("padding", padding.clone()));
            // Not awaited: they come while partitions are paused and resumed.
            drop(publisher.publish(more.collect()));
            published += 500;
        }
        let event = tokio::time::timeout(Duration::from_millis(50), consumer.next()).await;
        if let Ok(Some(Event::Records(more))) = event {
            records.extend(more);
        }
        turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let index = i32::try_from((turn >> 16) % 4).unwrap();
        if (turn >> 24).is_multiple_of(4) && paused.len() < 4 {
            consumer.pause(&Partition::new(&*topic, index));
            paused.entry(index).or_insert_with(Instant::now);
        }
        if turn >> 24 == 7 {
            // Long enough for the queue to fill and for the pauses to be carried out.
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        paused.retain(|index, since| {
            let stays = since.elapsed() < Duration::from_millis(20);
            if !stays {
                consumer.resume(&Partition::new(&*topic, *index));
            }
            stays
        });
    }
    let more = drain(&mut consumer).await;
    assert!(more.is_empty(), "{} records came twice", more.len());
    check_complete(&records, COUNT);
}

/// A partition that goes to another member and comes back is read, though it was paused when it went.
pub(crate) async fn ends_with_the_assignment<B: Backend>(backend: &B) {
    let topic = backend.topic(2).await;
    let group = unique("group");
    let mut first = join(backend, &group, &topic, ConsumerOptions::default()).await;
    while !matches!(next_event(&mut first).await, Event::Assigned(partitions) if partitions.len() == 2) {}
    for index in 0..2 {
        first.pause(&Partition::new(&*topic, index));
    }
    let mut second = join(backend, &group, &topic, ConsumerOptions::default()).await;
    let given_up = loop {
        match next_event(&mut first).await {
            Event::Revoked(revocation) => break revocation.partitions.clone(),
            Event::Records(_) => panic!("both are paused"),
            Event::Assigned(_) | Event::Error(_) => {}
        }
    };
    while !matches!(next_event(&mut second).await, Event::Assigned(partitions) if partitions == given_up) {}
    soon("close", second.close()).await;
    while !matches!(next_event(&mut first).await, Event::Assigned(partitions) if partitions == given_up) {}
    publish(backend, numbered(&topic, 0..100)).await;
    let records = drain(&mut first).await;
    assert!(!records.is_empty());
    // The one that stayed is still paused.
    assert_eq!(of(&records, given_up[0].index), records.len());
    for index in 0..2 {
        first.resume(&Partition::new(&*topic, index));
    }
    let mut all = records;
    all.extend(read(&mut first, 100 - all.len()).await);
    check_complete(&all, 100);
}
