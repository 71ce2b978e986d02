//! Several members of one group.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use transport::{Consumer, ConsumerOptions, Event, Partition, Progress, Publisher, Received, Transport};

use crate::backend::{Backend, check_complete, join, next_event, numbered, publish, soon, unique};

/// Works like a worker: commits before it lets go, and at the end. Returns what it has read and committed.
async fn work(mut consumer: impl Consumer, stop: Arc<Notify>, total: Arc<AtomicUsize>) -> Vec<Received> {
    let mut records: Vec<Received> = Vec::new();
    let mut progress = Progress::new();
    let mut held: Vec<Partition> = Vec::new();
    loop {
        let event = tokio::select! {
            event = consumer.next() => event.expect("the consumer has stopped"),
            () = stop.notified() => break,
        };
        match event {
            Event::Records(more) => {
                for received in &more {
                    assert!(held.contains(&received.position.partition), "{} is not ours", received.position);
                    progress.record(&received.position);
                }
                total.fetch_add(more.len(), Ordering::SeqCst);
                records.extend(more);
            }
            Event::Assigned(partitions) => held.extend(partitions),
            Event::Revoked(revocation) => {
                assert!(!revocation.lost);
                soon("commit", consumer.commit(progress.clone(), "")).await.unwrap();
                progress.forget(&revocation.partitions);
                held.retain(|partition| !revocation.partitions.contains(partition));
                revocation.release();
            }
            Event::Error(error) => assert!(!error.is_fatal(), "{error}"),
        }
    }
    soon("commit", consumer.commit(progress, "")).await.unwrap();
    soon("close", consumer.close()).await;
    records
}

pub(crate) async fn hand_over_without_loss_or_repeats<B: Backend>(backend: &B) {
    const COUNT: usize = 6000;
    let topic = backend.topic(6).await;
    let group = unique("group");
    let publisher = backend.transport().publisher().await.unwrap();
    let total = Arc::new(AtomicUsize::new(0));
    let mut members = Vec::new();
    let mut records = Vec::new();
    // While records come, members join and leave.
    for round in 0..6 {
        for tenth in 0..10 {
            let begin = (round * 10 + tenth) * COUNT / 60;
            soon("publish", publisher.publish(numbered(&topic, begin..begin + COUNT / 60))).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if round < 3 {
            let consumer = join(backend, &group, &topic, ConsumerOptions::default()).await;
            let stop = Arc::new(Notify::new());
            members.push((stop.clone(), Box::pin(work(consumer, stop, total.clone()))));
        }
        // Members are driven here, without a task each: their futures need not be `'static`.
        let waited = Instant::now();
        while waited.elapsed() < Duration::from_millis(1500) {
            let mut all: Vec<_> = members.iter_mut().map(|(_, member)| member).collect();
            tokio::time::timeout(Duration::from_millis(50), futures_util::future::select_all(&mut all))
                .await
                .ok();
        }
        if round >= 3 && members.len() > 1 {
            let (stop, member) = members.remove(0);
            stop.notify_one();
            let others = futures_util::future::join_all(members.iter_mut().map(|(_, member)| member));
            tokio::select! {
                mine = member => records.extend(mine),
                _ = others => panic!("a member ended by itself"),
            }
        }
    }
    let (stop, mut last) = members.pop().unwrap();
    assert!(members.is_empty());
    let started = Instant::now();
    while total.load(Ordering::SeqCst) < COUNT && started.elapsed() < crate::backend::DEADLINE {
        tokio::time::timeout(Duration::from_millis(50), &mut last).await.ok();
    }
    stop.notify_one();
    records.extend(last.await);
    records.sort_by(|a, b| a.position.cmp(&b.position));
    check_complete(&records, COUNT);
}

/// The partitions of a revocation, which is held.
async fn revocation(consumer: &mut impl Consumer) -> transport::Revocation {
    loop {
        if let Event::Revoked(revocation) = next_event(consumer).await {
            return revocation;
        }
    }
}

/// The next partitions that it gets; to stand by without any is not it.
async fn assigned(consumer: &mut impl Consumer) -> Vec<Partition> {
    loop {
        match next_event(consumer).await {
            Event::Assigned(partitions) if !partitions.is_empty() => return partitions,
            _ => {}
        }
    }
}

pub(crate) async fn hold_partitions_until_they_are_released<B: Backend>(backend: &B) {
    let topic = backend.topic(2).await;
    let group = unique("group");
    publish(backend, numbered(&topic, 0..100)).await;
    let mut first = join(backend, &group, &topic, ConsumerOptions::default()).await;
    let records = crate::backend::read(&mut first, 100).await;
    let mut second = join(backend, &group, &topic, ConsumerOptions::default()).await;
    let revocation = revocation(&mut first).await;
    assert!(!revocation.lost);
    assert_eq!(revocation.partitions.len(), 1);

    // The second member waits, however long the first takes (within the drain timeout).
    let too_early = tokio::time::timeout(Duration::from_secs(2), assigned(&mut second)).await;
    assert!(too_early.is_err(), "assigned {too_early:?} before it was released");

    // And the first can commit meanwhile, so that the second repeats nothing.
    let mut progress = Progress::new();
    for received in &records {
        progress.record(&received.position);
    }
    soon("a commit within the revocation", first.commit(progress, "")).await.unwrap();
    let given_up = revocation.partitions.clone();
    revocation.release();
    assert_eq!(soon("the assignment", assigned(&mut second)).await, given_up);
    let nothing = tokio::time::timeout(Duration::from_millis(500), second.next()).await;
    assert!(nothing.is_err(), "{nothing:?} is repeated");
}

pub(crate) async fn that_hang_lose_their_partitions<B: Backend>(backend: &B) {
    let topic = backend.topic(2).await;
    let group = unique("group");
    let options = ConsumerOptions { drain_timeout: Duration::from_secs(1), ..ConsumerOptions::default() };
    let mut first = join(backend, &group, &topic, options.clone()).await;
    assigned(&mut first).await;
    let mut second = join(backend, &group, &topic, options).await;
    let _held = revocation(&mut first).await;
    soon("the assignment", assigned(&mut second)).await;
}

pub(crate) async fn learn_of_revocations_without_reading<B: Backend>(backend: &B) {
    let topic = backend.topic(2).await;
    let group = unique("group");
    publish(backend, numbered(&topic, 0..200)).await;
    let mut first = join(backend, &group, &topic, ConsumerOptions::default()).await;
    assigned(&mut first).await;
    let _second = join(backend, &group, &topic, ConsumerOptions::default()).await;
    let revocation = loop {
        match soon("a signal", first.next_signal()).await.expect("the consumer has stopped") {
            Event::Records(_) => panic!("records are no signal"),
            Event::Revoked(revocation) => break revocation,
            Event::Assigned(_) | Event::Error(_) => {}
        }
    };
    let given_up = revocation.partitions.clone();
    revocation.release();
    // What had been read ahead of the partition that is gone does not come any more.
    while let Ok(event) = tokio::time::timeout(Duration::from_millis(500), first.next()).await {
        if let Some(Event::Records(records)) = event {
            assert!(records.iter().all(|received| !given_up.contains(&received.position.partition)));
        }
    }
}
