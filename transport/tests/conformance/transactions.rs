//! Records and offsets, both or neither.

use std::sync::Arc;
use std::time::{Duration, Instant};

use transport::{
    Consumer, ConsumerOptions, Event, Partition, Progress, ReadFrom, Reader, Received, Record,
    TransactionError, Transactions, Transport,
};

use crate::backend::{
    Backend, Complete, join, next_event, noise, number, numbered, publish, read, soon, unique,
};

type ConsumerOf<B> = <<B as Backend>::Transport as Transport>::Consumer;
type TransactionsOf<B> = <<B as Backend>::Transport as Transport>::Transactions;

/// A group of one member that has read 100 jobs, its transactions, and an empty topic for the results.
struct Setting<B: Backend> {
    jobs: String,
    results: String,
    group: String,
    id: String,
    consumer: ConsumerOf<B>,
    transactions: TransactionsOf<B>,
    records: Vec<Received>,
}

impl<B: Backend> Setting<B> {
    async fn new(backend: &B) -> Self {
        let (jobs, results) = (backend.topic(2).await, backend.topic(2).await);
        let (group, id) = (unique("group"), unique("id"));
        publish(backend, numbered(&jobs, 0..100)).await;
        let mut consumer = join(backend, &group, &jobs, ConsumerOptions::default()).await;
        let mut records = read(&mut consumer, 100).await;
        // So that the first few are of both partitions.
        records.sort_by_key(number);
        let transactions = open(backend, &id, &consumer).await;
        Self { jobs, results, group, id, consumer, transactions, records }
    }

    /// The progress after so many of the records that were read.
    fn progress(&self, count: usize) -> Progress {
        let mut progress = Progress::new();
        for received in &self.records[..count] {
            progress.record(&received.position);
        }
        progress
    }

    async fn commit(&self, numbers: std::ops::Range<usize>, note: &str) -> Result<(), TransactionError> {
        let records = Arc::new(numbered(&self.results, numbers.clone()));
        soon("a transaction", self.transactions.commit(records, self.progress(numbers.end), note)).await
    }

    async fn committed(&self) -> (Progress, Vec<String>) {
        let partitions: Vec<Partition> = (0..2).map(|index| Partition::new(&*self.jobs, index)).collect();
        let committed = soon("committed", self.consumer.committed(&partitions)).await.unwrap();
        let notes = committed.iter().map(|committed| committed.note.clone()).collect();
        let next = committed.into_iter().filter_map(|c| Some((c.partition, c.next?)));
        (next.collect(), notes)
    }

    /// The numbers of the results that a reader of committed records sees, in rising order.
    async fn seen(&self, backend: &B) -> Vec<usize> {
        let mut reader = backend.transport().reader(&self.results, ReadFrom::Beginning).await.unwrap();
        let mut numbers = Vec::new();
        while let Some(received) = soon("a result", reader.next()).await.unwrap() {
            numbers.push(number(&received));
        }
        numbers.sort_unstable();
        numbers
    }
}

async fn open<B: Backend>(backend: &B, id: &str, consumer: &ConsumerOf<B>) -> TransactionsOf<B> {
    let transactions = soon("transactions", backend.transport().transactions(id)).await.unwrap();
    transactions.commit_for(consumer);
    transactions
}

pub(crate) async fn are_seen_whole<B: Backend>(backend: &B) {
    let setting = Setting::new(backend).await;
    // A reader that follows sees a transaction only when it is committed, and then all of it.
    let mut follower = backend.transport().reader(&setting.results, ReadFrom::Beginning).await.unwrap();
    assert!(soon("the end", follower.next()).await.unwrap().is_none());
    assert!(setting.committed().await.0.is_empty());
    setting.commit(0..60, "first").await.unwrap();
    let (progress, notes) = setting.committed().await;
    assert_eq!(progress, setting.progress(60));
    assert_eq!(notes, ["first", "first"]);
    setting.commit(60..100, "").await.unwrap();
    let (progress, notes) = setting.committed().await;
    assert_eq!(progress, setting.progress(100));
    assert_eq!(notes, ["", ""]);
    let mut followed = Vec::new();
    while followed.len() < 100 {
        followed.extend(soon("a result", follower.next()).await.unwrap().as_ref().map(number));
    }
    followed.sort_unstable();
    assert_eq!(followed, (0..100).collect::<Vec<_>>());
    assert_eq!(setting.seen(backend).await, followed);
}

pub(crate) async fn may_lack_records_or_progress<B: Backend>(backend: &B) {
    let setting = Setting::new(backend).await;
    let commit = |records: Vec<Record>, progress, note: &'static str| {
        soon("a transaction", setting.transactions.commit(Arc::new(records), progress, note))
    };
    commit(Vec::new(), Progress::new(), "").await.unwrap();
    commit(Vec::new(), setting.progress(10), "only offsets").await.unwrap();
    assert_eq!(setting.committed().await.0, setting.progress(10));
    commit(numbered(&setting.results, 0..10), Progress::new(), "").await.unwrap();
    assert_eq!(setting.committed().await.0, setting.progress(10));
    assert_eq!(setting.seen(backend).await, (0..10).collect::<Vec<_>>());
    // Calls that are not awaited one by one take their turn.
    let several: Vec<_> = (1..5)
        .map(|tens| {
            commit(
                numbered(&setting.results, tens * 10..tens * 10 + 10),
                setting.progress(tens * 10 + 10),
                "",
            )
        })
        .collect();
    for one in several.into_iter().rev() {
        one.await.unwrap();
    }
    assert_eq!(setting.committed().await.0, setting.progress(50));
    assert_eq!(setting.seen(backend).await, (0..50).collect::<Vec<_>>());
}

pub(crate) async fn with_a_record_that_is_too_large_are_undone<B: Backend>(backend: &B) {
    let setting = Setting::new(backend).await;
    let mut records = numbered(&setting.results, 0..10);
    // More than the producer takes, and more than it takes together with its key.
    records[3].value = Some(vec![0; 5 * 1024 * 1024].into());
    records[7].value = Some(vec![0; 4 * 1024 * 1024].into());
    let outcome = setting.transactions.commit(Arc::new(records), setting.progress(10), "x");
    match soon("a transaction", outcome).await {
        Err(TransactionError::TooLarge(error)) => {
            assert!(error.too_large());
            let indexes: Vec<usize> = error.failures().iter().map(|failure| failure.index).collect();
            assert_eq!(indexes, [3, 7]);
        }
        other => panic!("{other:?}"),
    }
    assert!(setting.seen(backend).await.is_empty());
    assert!(setting.committed().await.0.is_empty());
    setting.commit(0..10, "y").await.unwrap();
    assert_eq!(setting.seen(backend).await, (0..10).collect::<Vec<_>>());
    assert_eq!(setting.committed().await.1, ["y", "y"]);
}

/// It is the topic that refuses the record, so that the client learns it only when the record is on its way.
pub(crate) async fn with_a_record_too_large_for_its_topic_are_undone<B: Complete>(backend: &B) {
    let setting = Setting::new(backend).await;
    let small = backend.topic_of_small_records(10_000).await;
    for _ in 0..3 {
        let mut records = numbered(&setting.results, 0..300);
        records[123] = Record::new(&*small, noise(60_000)).with_key("x");
        let outcome = setting.transactions.commit(Arc::new(records), setting.progress(10), "x");
        match soon("a transaction", outcome).await {
            Err(TransactionError::TooLarge(error)) => {
                let indexes: Vec<usize> = error.failures().iter().map(|failure| failure.index).collect();
                assert_eq!(indexes, [123]);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(setting.committed().await.0.is_empty());
    setting.commit(0..10, "y").await.unwrap();
    assert_eq!(setting.seen(backend).await, (0..10).collect::<Vec<_>>());
    let records = Arc::new(vec![Record::new(&*small, "x"), Record::new(&*small, "y")]);
    soon("a transaction", setting.transactions.commit(records, setting.progress(20), "")).await.unwrap();
    assert_eq!(setting.committed().await.0, setting.progress(20));
}

pub(crate) async fn to_a_missing_topic_are_fatal<B: Backend>(backend: &B) {
    let setting = Setting::new(backend).await;
    let missing = unique("missing");
    let mut records = numbered(&setting.results, 0..10);
    records.push(Record::new(&*missing, "x"));
    let outcome = setting.transactions.commit(Arc::new(records), setting.progress(10), "");
    match soon("a transaction", outcome).await {
        Err(TransactionError::Fatal(error)) => {
            let text = error.to_string();
            assert!(
                text.contains(&format!("record 10: topic `{missing}` does not exist; create it")),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(setting.seen(backend).await.is_empty());
    setting.commit(0..10, "").await.unwrap();
    assert_eq!(setting.seen(backend).await, (0..10).collect::<Vec<_>>());
}

pub(crate) async fn of_partitions_that_are_gone_are_refused<B: Backend>(backend: &B) {
    let mut setting = Setting::<B>::new(backend).await;
    let mut second = join(backend, &setting.group, &setting.jobs, ConsumerOptions::default()).await;
    let revocation = loop {
        if let Event::Revoked(revocation) = next_event(&mut setting.consumer).await {
            break revocation;
        }
    };
    // Until they are let go, they are ours.
    setting.commit(0..50, "").await.unwrap();
    let given_up = revocation.partitions.clone();
    revocation.release();
    while !matches!(next_event(&mut second).await, Event::Assigned(partitions) if partitions == given_up) {}
    match setting.commit(50..100, "").await {
        Err(TransactionError::LostMembership { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(setting.committed().await.0, setting.progress(50));
    assert_eq!(setting.seen(backend).await, (0..50).collect::<Vec<_>>());
    // What is left is committed, though the group has moved a generation meanwhile.
    let mut rest = setting.progress(100);
    rest.forget(&given_up);
    let records = Arc::new(numbered(&setting.results, 50..60));
    committed_in_the_end(&setting.transactions, records, rest).await;
    assert_eq!(setting.seen(backend).await, (0..60).collect::<Vec<_>>());
    soon("close", setting.consumer.close()).await;
    let closed = setting.transactions.commit(
        Arc::default(),
        setting.records.iter().fold(Progress::new(), |mut progress, received| {
            progress.record(&received.position);
            progress
        }),
        "",
    );
    match soon("a transaction", closed).await {
        Err(TransactionError::LostMembership { .. }) => {}
        other => panic!("{other:?}"),
    }
}

// Tries again as long as it is told that the transaction was undone.
async fn committed_in_the_end(
    transactions: &impl Transactions,
    records: Arc<Vec<Record>>,
    progress: Progress,
) -> usize {
    for attempt in 0..200 {
        match soon("a transaction", transactions.commit(records.clone(), progress.clone(), "")).await {
            Ok(()) => return attempt,
            Err(TransactionError::Aborted { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("undone over and over");
}

pub(crate) async fn of_the_older_of_two_are_fenced<B: Backend>(backend: &B) {
    let setting = Setting::new(backend).await;
    setting.commit(0..10, "").await.unwrap();
    let newer = open(backend, &setting.id, &setting.consumer).await;
    for _ in 0..2 {
        match setting.commit(10..20, "").await {
            Err(TransactionError::Fenced { reason }) => assert!(reason.contains(&setting.id), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    let records = Arc::new(numbered(&setting.results, 10..20));
    soon("a transaction", newer.commit(records, setting.progress(20), "newer")).await.unwrap();
    assert_eq!(setting.seen(backend).await, (0..20).collect::<Vec<_>>());
    assert_eq!(setting.committed().await.1, ["newer", "newer"]);
    // A third one shuts out the second; an id of its own disturbs nobody.
    let other = open(backend, &unique("id"), &setting.consumer).await;
    let third = open(backend, &setting.id, &setting.consumer).await;
    let records = Arc::new(numbered(&setting.results, 20..30));
    soon("a transaction", third.commit(records, setting.progress(30), "")).await.unwrap();
    let records = Arc::new(numbered(&setting.results, 30..40));
    soon("a transaction", other.commit(records, setting.progress(40), "")).await.unwrap();
    assert_eq!(setting.seen(backend).await, (0..40).collect::<Vec<_>>());
}

/// While members come and go, transactions are repeated as long as their partitions stay: nothing is lost or doubled.
#[expect(clippy::print_stdout, reason = "for whoever asks with --nocapture")]
pub(crate) async fn survive_rebalances<B: Backend>(backend: &B) {
    let mut setting = Setting::<B>::new(backend).await;
    let mut last = Progress::new();
    let (mut done, mut undone) = (0, 0);
    for _ in 0..2 {
        let mut second = join(backend, &setting.group, &setting.jobs, ConsumerOptions::default()).await;
        let mut gone = Vec::new();
        let mut has_joined = false;
        // Commits go on through the whole rebalance, and a little longer.
        let mut more = 10;
        while more > 0 {
            let event = tokio::time::timeout(Duration::from_millis(10), setting.consumer.next()).await;
            if let Ok(Some(Event::Revoked(revocation))) = event {
                gone.extend(revocation.partitions.iter().cloned());
                revocation.release();
            }
            let event = tokio::time::timeout(Duration::from_millis(10), second.next_signal()).await;
            has_joined |= matches!(event, Ok(Some(Event::Assigned(partitions))) if !partitions.is_empty());
            more -= usize::from(has_joined);
            done += 1;
            last = setting.progress(done.min(100));
            last.forget(&gone);
            let records = Arc::new(numbered(&setting.results, done - 1..done));
            undone += committed_in_the_end(&setting.transactions, records, last.clone()).await;
        }
        soon("close", second.close()).await;
        while !matches!(next_event(&mut setting.consumer).await, Event::Assigned(back) if back == gone) {}
    }
    println!("{done} transactions were committed, {undone} undone in between");
    assert_eq!(setting.seen(backend).await, (0..done).collect::<Vec<_>>());
    let (committed, _) = setting.committed().await;
    for (partition, next) in last.iter() {
        assert_eq!(committed.get(partition), Some(next));
    }
}

/// How long a transaction of one record takes; told, not judged.
#[expect(clippy::print_stdout, reason = "for whoever asks with --nocapture")]
pub(crate) async fn take_their_time<B: Backend>(backend: &B) {
    let setting = Setting::new(backend).await;
    for pause in [Duration::ZERO, Duration::from_millis(10)] {
        let mut took = Vec::new();
        for number in 0..50 {
            let records = Arc::new(numbered(&setting.results, number..number + 1));
            let begin = Instant::now();
            setting.transactions.commit(records, setting.progress(number + 1), "x").await.unwrap();
            took.push(begin.elapsed());
            tokio::time::sleep(pause).await;
        }
        took.sort_unstable();
        println!("a transaction of one record, {pause:?} apart: p50 {:?}, p90 {:?}", took[25], took[45]);
    }
}
