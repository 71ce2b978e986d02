use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::stream;
use proptest::prelude::*;
use tokio::sync::{Semaphore, mpsc};
use transport::{ConsumerOptions, Memory, PublishError, ReadFrom};

use super::*;
use crate::answers::{JOBS, client, headers_of};
use crate::client::{ClientOptions, Window};

/// A transport whose acknowledgements come when the test says so.
#[derive(Clone)]
struct Gate {
    memory: Memory,
    /// One permit for each record that may be acknowledged.
    acknowledged: Arc<Semaphore>,
    chunks: Arc<Mutex<Vec<Vec<Record>>>>,
    /// Failures of the records whose key is this text.
    failing: HashMap<&'static str, PublishErrorKind>,
}

impl Gate {
    fn new(open: usize) -> Self {
        let acknowledged = Arc::new(Semaphore::new(open));
        Self { memory: Memory::new(), acknowledged, chunks: Arc::default(), failing: HashMap::new() }
    }

    fn client(&self, window: Window) -> Client<Self> {
        Client::new(self.clone(), ClientOptions { window, ..ClientOptions::new("digits") })
    }

    fn chunk_sizes(&self) -> Vec<usize> {
        self.chunks.lock().unwrap().iter().map(Vec::len).collect()
    }
}

impl Transport for Gate {
    type Consumer = <Memory as Transport>::Consumer;
    type Publisher = Self;
    type Transactions = <Memory as Transport>::Transactions;
    type Reader = <Memory as Transport>::Reader;

    async fn consumer(
        &self,
        group: &str,
        topics: &[String],
        options: ConsumerOptions,
    ) -> Result<Self::Consumer, TransportError> {
        self.memory.consumer(group, topics, options).await
    }

    async fn publisher(&self) -> Result<Self, TransportError> {
        Ok(self.clone())
    }

    async fn transactions(&self, transactional_id: &str) -> Result<Self::Transactions, TransportError> {
        self.memory.transactions(transactional_id).await
    }

    async fn max_record_bytes(&self, topics: &[String]) -> Result<BTreeMap<String, usize>, TransportError> {
        self.memory.max_record_bytes(topics).await
    }

    fn with_batches_up_to(&self, _: usize) -> Self {
        self.clone()
    }

    fn at_leisure(&self) -> Self {
        self.clone()
    }

    async fn reader(&self, topic: &str, from: ReadFrom) -> Result<Self::Reader, TransportError> {
        self.memory.reader(topic, from).await
    }
}

impl Publisher for Gate {
    fn publish(
        &self,
        records: Vec<Record>,
    ) -> impl Future<Output = Result<(), PublishError>> + Send + 'static {
        let failure = |(index, record): (usize, &Record)| {
            let key = String::from_utf8(record.key.clone()?.to_vec()).unwrap();
            let kind = *self.failing.get(key.as_str())?;
            Some(FailedRecord { index, kind, reason: format!("{kind:?}") })
        };
        let failures: Vec<FailedRecord> = records.iter().enumerate().filter_map(failure).collect();
        let total = records.len();
        self.chunks.lock().unwrap().push(records);
        let acknowledged = Arc::clone(&self.acknowledged);
        async move {
            acknowledged.acquire_many(u32::try_from(total).unwrap()).await.unwrap().forget();
            PublishError::from_failures(failures, total).map_or(Ok(()), Err)
        }
    }
}

fn numbered(n: usize, bytes: usize) -> Submission {
    Submission::raw("text/plain", vec![b'x'; bytes]).with_id(JobId::new(n.to_string()).unwrap())
}

fn window(max_records: usize, max_bytes: usize, max_chunk: usize) -> Window {
    Window { max_records, max_bytes, max_chunk }
}

/// A source that counts what is taken from it.
fn counted(jobs: usize, bytes: usize) -> (Arc<AtomicUsize>, impl Stream<Item = Submission> + Send + 'static) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let source = stream::iter(0..jobs).map(move |n| {
        counter.fetch_add(1, Ordering::Relaxed);
        numbered(n, bytes)
    });
    (taken, source)
}

#[tokio::test]
async fn takes_no_more_records_than_the_window_holds() {
    let gate = Gate::new(0);
    let (taken, source) = counted(100, 10);
    let mut submitted = gate.client(window(10, usize::MAX, 4)).submit_all(source);
    assert!(submitted.next().now_or_never().is_none());
    assert_eq!(taken.load(Ordering::Relaxed), 10);
    assert_eq!(gate.chunk_sizes(), [4, 4, 2]);

    gate.acknowledged.add_permits(4);
    for expect in 0..4 {
        assert_eq!(submitted.next().await.unwrap().unwrap().as_str(), expect.to_string());
    }
    assert!(submitted.next().now_or_never().is_none());
    assert_eq!(taken.load(Ordering::Relaxed), 14);

    gate.acknowledged.add_permits(1000);
    assert_eq!(submitted.count().await, 96);
}

#[tokio::test]
async fn takes_no_more_bytes_than_the_window_holds() {
    let gate = Gate::new(0);
    let (taken, source) = counted(100, 1000);
    let mut submitted = gate.client(window(1000, 5000, 256)).submit_all(source);
    assert!(submitted.next().now_or_never().is_none());
    // Each record has 1000 bytes and its headers; four of them leave room for one more.
    assert_eq!(taken.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn a_record_larger_than_the_window_goes_alone() {
    let gate = Gate::new(100);
    let (_, source) = counted(3, 1000);
    let submitted: Vec<_> = gate.client(window(1, 1, 256)).submit_all(source).collect().await;
    assert_eq!(submitted.len(), 3);
    assert_eq!(gate.chunk_sizes(), [1, 1, 1]);
}

#[tokio::test]
async fn one_call_for_many_records() {
    let gate = Gate::new(10_000);
    let (_, source) = counted(1000, 10);
    assert_eq!(gate.client(Window::default()).submit_all(source).count().await, 1000);
    assert_eq!(gate.chunk_sizes(), [256, 256, 256, 232]);
}

#[tokio::test]
async fn a_slow_source_is_not_waited_for() {
    let gate = Gate::new(100);
    let (sender, mut receiver) = mpsc::channel(1);
    let source = stream::poll_fn(move |context| receiver.poll_recv(context));
    let mut submitted = gate.client(Window::default()).submit_all(source);
    for n in 0..3 {
        sender.send(numbered(n, 1)).await.unwrap();
        assert_eq!(submitted.next().await.unwrap().unwrap().as_str(), n.to_string());
    }
    drop(sender);
    assert!(submitted.next().await.is_none());
}

#[tokio::test]
async fn every_error_names_its_job_and_holds_up_no_other() {
    let failing = HashMap::from([
        ("large", PublishErrorKind::TooLarge),
        ("late", PublishErrorKind::Retryable),
        ("broken", PublishErrorKind::Fatal),
    ]);
    let gate = Gate { failing, ..Gate::new(100) };
    let refused = numbered(1, 1).with_header("ce_id", "x");
    let keyed = |n, key: &str| numbered(n, 1).with_key(key.to_owned());
    let jobs = [
        numbered(0, 1),
        refused,
        keyed(2, "late"),
        keyed(3, "good"),
        keyed(4, "large"),
        keyed(5, "broken"),
        numbered(6, 1),
    ];
    let submitted: Vec<_> = gate.client(Window::default()).submit_all(stream::iter(jobs)).collect().await;
    let told: Vec<String> = submitted
        .into_iter()
        .map(|outcome| match outcome {
            Ok(id) => format!("{id}"),
            Err(error) => {
                assert!(error.to_string().contains(&format!("job {}", error.id())), "{error}");
                let kind = match &error {
                    SubmitError::Rejected { .. } => "rejected",
                    SubmitError::Unacknowledged { .. } => "unacknowledged",
                    SubmitError::Broken { .. } => "broken",
                };
                assert_eq!(error.is_retryable(), kind == "unacknowledged");
                format!("{} {kind}", error.id())
            }
        })
        .collect();
    assert_eq!(told, ["0", "1 rejected", "2 unacknowledged", "3", "4 rejected", "5 broken", "6"]);
    // The refused one never left.
    assert_eq!(gate.chunk_sizes(), [6]);
}

#[tokio::test]
async fn one_job_is_acknowledged_by_the_broker() {
    let (memory, client) = client();
    let id = client.submit(Submission::raw("text/plain", "seven").with_key("k")).await.unwrap();
    let [received] = memory.records(JOBS).try_into().unwrap();
    assert_eq!(headers_of(&received).id, Some(id));
    assert_eq!(received.record.value.as_deref(), Some(b"seven".as_slice()));
    assert_eq!(received.record.key.as_deref(), Some(b"k".as_slice()));
}

#[tokio::test]
async fn ids_are_new_unless_given() {
    let (_, client) = client();
    let payloads = stream::iter(0..100).map(|_| Submission::raw("text/plain", "x"));
    let ids: HashSet<JobId> = client.submit_all(payloads).map(Result::unwrap).collect().await;
    assert_eq!(ids.len(), 100);
}

#[tokio::test]
async fn jobs_of_one_key_keep_their_order() {
    let (memory, client) = client();
    let keyed = |n: usize| numbered(n, 1).with_key(format!("{}", n % 5));
    for n in 0..10 {
        client.submit(keyed(n)).await.unwrap();
    }
    let ids: Vec<JobId> =
        client.submit_all(stream::iter(10..2000).map(keyed)).map(Result::unwrap).collect().await;
    assert_eq!(ids.len(), 1990);
    let mut of_key = HashMap::<_, Vec<usize>>::new();
    for received in memory.records(JOBS) {
        let n = headers_of(&received).id.unwrap().as_str().parse().unwrap();
        of_key.entry(received.record.key.clone()).or_default().push(n);
    }
    assert_eq!(of_key.len(), 5);
    assert!(of_key.values().all(|ns| ns.len() == 400 && ns.is_sorted()));
}

proptest! {
    /// Whatever the window and however the acknowledgements come: all jobs, in order, never more than the window.
    #[test]
    fn the_window_holds(
        jobs in 0..60_usize,
        bytes in 1..400_usize,
        max_records in 1..20_usize,
        max_bytes in 1..4000_usize,
        max_chunk in 1..10_usize,
        releases in proptest::collection::vec(1..8_usize, 0..30),
    ) {
        let gate = Gate::new(0);
        let (taken, source) = counted(jobs, bytes);
        let mut submitted = gate.client(window(max_records, max_bytes, max_chunk)).submit_all(source);
        let mut yielded = Vec::new();
        let mut releases = releases.into_iter();
        loop {
            match submitted.next().now_or_never() {
                Some(Some(id)) => yielded.push(id.unwrap().to_string()),
                Some(None) => break,
                None => {
                    // Nothing more is yielded, so what is taken and not yielded is on its way.
                    let on_the_way = taken.load(Ordering::Relaxed) - yielded.len();
                    prop_assert!(on_the_way <= max_records);
                    let sizes: Vec<usize> =
                        gate.chunks.lock().unwrap().iter().flatten().map(Record::size).collect();
                    let recent = &sizes[yielded.len()..];
                    let all_but_last: usize = recent.iter().rev().skip(1).sum();
                    prop_assert!(recent.len() <= 1 || all_but_last < max_bytes);
                    gate.acknowledged.add_permits(releases.next().unwrap_or(max_chunk));
                }
            }
        }
        prop_assert_eq!(yielded, (0..jobs).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}
