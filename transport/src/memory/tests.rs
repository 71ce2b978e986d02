use super::*;
use crate::consumer::{Consumer, Event, Revocation};
use crate::publisher::Publisher;
use crate::reader::Reader;
use crate::record::{Offset, Record};
use crate::transactions::{TransactionError, Transactions};

const TOPIC: &str = "jobs";
const GROUP: &str = "group";

async fn with_records(partitions: i32, count: usize) -> Memory {
    let memory = Memory::new();
    memory.create_topic(TOPIC, partitions);
    let records = (0..count).map(|number| Record::new(TOPIC, number.to_string())).collect();
    memory.publisher().await.unwrap().publish(records).await.unwrap();
    memory
}

async fn member(memory: &Memory) -> MemoryConsumer {
    memory.consumer(GROUP, &[TOPIC.into()], ConsumerOptions::default()).await.unwrap()
}

fn partition(index: i32) -> Partition {
    Partition::new(TOPIC, index)
}

// What is assigned next; a member that stands by is told of an empty assignment first.
async fn assigned(consumer: &mut MemoryConsumer) -> Vec<i32> {
    loop {
        match consumer.next_signal().await {
            Some(Event::Assigned(partitions)) if partitions.is_empty() => {}
            Some(Event::Assigned(partitions)) => {
                return partitions.iter().map(|partition| partition.index).collect();
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn revoked(consumer: &mut MemoryConsumer) -> Revocation {
    match consumer.next_signal().await {
        Some(Event::Revoked(revocation)) => revocation,
        other => panic!("{other:?}"),
    }
}

async fn records(consumer: &mut MemoryConsumer) -> Vec<Received> {
    match consumer.next().await {
        Some(Event::Records(records)) => records,
        other => panic!("{other:?}"),
    }
}

fn committing(index: i32, next: i64) -> Progress {
    [(partition(index), Offset::new(next))].into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn revocation_on_demand_waits_for_the_release() {
    let memory = with_records(2, 10).await;
    let mut consumer = member(&memory).await;
    assert_eq!(assigned(&mut consumer).await, [0, 1]);
    let taken = tokio::spawn({
        let memory = memory.clone();
        async move { memory.revoke(GROUP, &[partition(1)]).await }
    });
    let revocation = revoked(&mut consumer).await;
    assert!(!revocation.lost);
    assert_eq!(revocation.partitions, [partition(1)]);
    consumer.commit(committing(1, 5), "").await.unwrap();
    assert!(!taken.is_finished());
    revocation.release();
    taken.await.unwrap();
    assert!(consumer.commit(committing(1, 5), "").await.unwrap_err().is_lost_membership());
    assert!(records(&mut consumer).await.iter().all(|received| received.position.partition.index == 0));

    memory.give_back(GROUP);
    assert_eq!(assigned(&mut consumer).await, [1]);
    // All five of it were committed.
    assert_eq!(memory.committed(GROUP), committing(1, 5));
    let nothing = tokio::time::timeout(Duration::from_secs(60), consumer.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_is_held_expires() {
    let memory = with_records(1, 1).await;
    let mut consumer = member(&memory).await;
    assigned(&mut consumer).await;
    let begin = tokio::time::Instant::now();
    let partitions = [partition(0)];
    let (_held, ()) = tokio::join!(revoked(&mut consumer), memory.revoke(GROUP, &partitions));
    assert_eq!(begin.elapsed(), ConsumerOptions::default().drain_timeout);
}

#[tokio::test]
async fn lost_partitions_are_gone_at_once() {
    let memory = with_records(1, 3).await;
    let mut consumer = member(&memory).await;
    assigned(&mut consumer).await;
    assert_eq!(records(&mut consumer).await.len(), 3);
    consumer.commit(committing(0, 1), "").await.unwrap();
    memory.lose(GROUP, &[partition(0)]);
    assert!(revoked(&mut consumer).await.lost);
    // The only member joins again, and begins at what was committed.
    assert_eq!(assigned(&mut consumer).await, [0]);
    assert_eq!(records(&mut consumer).await.len(), 2);
}

#[tokio::test]
async fn a_member_that_leaves_hands_over() {
    let memory = with_records(4, 0).await;
    let mut first = member(&memory).await;
    assigned(&mut first).await;
    let mut second = member(&memory).await;
    revoked(&mut first).await.release();
    assert_eq!(assigned(&mut second).await.len(), 2);
    assert_eq!(memory.members(GROUP), 2);
    second.close().await;
    assert_eq!(assigned(&mut first).await.len(), 2);
    assert_eq!(memory.members(GROUP), 1);
}

#[tokio::test]
async fn a_member_that_gets_nothing_is_told_so() {
    let memory = with_records(1, 0).await;
    let mut first = member(&memory).await;
    assert_eq!(assigned(&mut first).await, [0]);
    let mut second = member(&memory).await;
    match second.next().await {
        Some(Event::Assigned(partitions)) => assert!(partitions.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_topic_that_comes_later_is_read() {
    let memory = Memory::new();
    let mut consumer = member(&memory).await;
    memory.create_topic(TOPIC, 2);
    assert_eq!(assigned(&mut consumer).await, [0, 1]);
}

#[tokio::test]
async fn failures_are_injected() {
    let memory = with_records(1, 0).await;
    let publisher = memory.publisher().await.unwrap();
    memory.fail_publishes(TOPIC, PublishErrorKind::Retryable, 1);
    let two = || vec![Record::new(TOPIC, "a"), Record::new(TOPIC, "b")];
    let error = publisher.publish(two()).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(error.index(), 0);
    assert_eq!(memory.records(TOPIC).len(), 1);
    publisher.publish(two()).await.unwrap();

    memory.set_max_record_bytes(1);
    let error = publisher.publish(vec![Record::new(TOPIC, "ab")]).await.unwrap_err();
    assert!(error.too_large(), "{error}");

    let mut consumer = member(&memory).await;
    assigned(&mut consumer).await;
    memory.fail_commits(CommitFault::Unavailable, 1);
    assert!(consumer.commit(committing(0, 1), "").await.unwrap_err().is_retryable());
    memory.fail_commits(CommitFault::Fatal, 1);
    assert!(consumer.commit(committing(0, 1), "").await.unwrap_err().is_fatal());
    consumer.commit(committing(0, 1), "").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn records_wait_for_the_brokers_but_not_for_ever() {
    let memory = with_records(1, 0).await;
    let publisher = memory.publisher().await.unwrap();
    let consumer = member(&memory).await;
    memory.set_reachable(false);
    assert!(!consumer.status().borrow().brokers_up);
    assert!(consumer.commit(committing(0, 1), "").await.unwrap_err().is_retryable());
    assert!(memory.reader(TOPIC, ReadFrom::Beginning).await.unwrap_err().is_retryable());
    let begin = tokio::time::Instant::now();
    let error = publisher.publish(vec![Record::new(TOPIC, "late")]).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(begin.elapsed(), Duration::from_secs(30));

    let first = publisher.publish(vec![Record::new(TOPIC, "first")]);
    let second = publisher.publish(vec![Record::new(TOPIC, "second")]);
    memory.set_reachable(true);
    second.await.unwrap();
    first.await.unwrap();
    let values: Vec<_> = memory.records(TOPIC).into_iter().map(|r| r.record.value.unwrap()).collect();
    assert_eq!(values, ["first", "second"]);
    assert!(consumer.status().borrow().brokers_up);
}

fn results(values: &[&'static str]) -> Arc<Vec<Record>> {
    Arc::new(values.iter().map(|value| Record::new("results", *value)).collect())
}

async fn open(memory: &Memory, consumer: &MemoryConsumer) -> MemoryTransactions {
    let transactions = memory.transactions("id").await.unwrap();
    transactions.commit_for(consumer);
    transactions
}

#[tokio::test]
async fn transactions_fail_as_they_are_told() {
    let check = async |fault, expect: &str, published: usize, is_broken: bool| {
        let memory = with_records(1, 0).await;
        memory.create_topic("results", 1);
        let consumer = member(&memory).await;
        let transactions = open(&memory, &consumer).await;
        memory.fail_transactions(fault, 1);
        let outcome = transactions.commit(results(&["a"]), committing(0, 1), "note").await;
        assert!(format!("{outcome:?}").starts_with(&format!("Err({expect}")), "{outcome:?}");
        assert_eq!(memory.records("results").len(), published, "{fault:?}");
        assert_eq!(memory.committed(GROUP).len(), published, "{fault:?}");
        let again = transactions.commit(results(&["b"]), committing(0, 2), "note").await;
        assert_eq!(again.is_err(), is_broken, "{fault:?}");
        // Whoever opens them anew goes on.
        let transactions = open(&memory, &consumer).await;
        transactions.commit(results(&["c"]), committing(0, 3), "note").await.unwrap();
        assert_eq!(memory.committed(GROUP), committing(0, 3));
    };
    check(TransactionFault::Aborted, "Aborted", 0, false).await;
    check(TransactionFault::Unknown, "Unknown", 0, true).await;
    check(TransactionFault::UnknownCommitted, "Unknown", 1, true).await;
    check(TransactionFault::Fenced, "Fenced", 0, true).await;
}

#[tokio::test(start_paused = true)]
async fn transactions_wait_for_the_brokers_but_not_for_ever() {
    let memory = with_records(1, 0).await;
    memory.create_topic("results", 1);
    let consumer = member(&memory).await;
    let transactions = open(&memory, &consumer).await;
    memory.set_reachable(false);
    assert!(consumer.committed(&[partition(0)]).await.unwrap_err().is_retryable());
    let late = transactions.commit(results(&["a"]), committing(0, 1), "");
    let back = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        memory.set_reachable(true);
    };
    let (outcome, ()) = tokio::join!(late, back);
    outcome.unwrap();
    memory.set_reachable(false);
    let begin = tokio::time::Instant::now();
    let outcome = transactions.commit(results(&["b"]), committing(0, 2), "").await;
    assert!(matches!(outcome, Err(TransactionError::Unknown { .. })), "{outcome:?}");
    assert_eq!(begin.elapsed(), Duration::from_secs(30));
    assert!(memory.transactions("id").await.unwrap_err().is_retryable());
    memory.set_reachable(true);
    assert_eq!(memory.records("results").len(), 1);
}

#[tokio::test]
async fn a_reader_ignores_groups() {
    let memory = with_records(2, 6).await;
    let mut reader = memory.reader(TOPIC, ReadFrom::Beginning).await.unwrap();
    let mut count = 0;
    while reader.next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 6);
    assert!(memory.committed(GROUP).is_empty());
}
