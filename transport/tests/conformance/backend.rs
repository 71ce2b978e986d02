//! The transports under test, and what every test needs.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use transport::{
    Consumer, ConsumerOptions, DevBroker, Event, GroupProtocol, Kafka, KafkaConfig, Memory, Publisher,
    Received, Record, Setting, TopicAdmin, TopicSpec, Transport,
};

/// How long anything may take before a test gives up. Generous: three seconds are the group's own delay.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A transport under test.
pub(crate) trait Backend {
    /// What it is.
    type Transport: Transport;
    /// The transport.
    fn transport(&self) -> Self::Transport;
    /// A new, empty topic.
    async fn topic(&self, partitions: i32) -> String;
}

/// A transport that has transactions, and topics with a limit of their own.
pub(crate) trait Complete: Backend {
    /// A new, empty topic of one partition that takes records of about so many bytes.
    async fn topic_of_small_records(&self, bytes: usize) -> String;
}

/// A transport whose brokers can be taken away.
pub(crate) trait Interruptible: Backend {
    async fn set_reachable(&self, reachable: bool);
}

#[derive(Default)]
pub(crate) struct InMemory(Memory);

impl Backend for InMemory {
    type Transport = Memory;

    fn transport(&self) -> Memory {
        self.0.clone()
    }

    async fn topic(&self, partitions: i32) -> String {
        let name = unique("topic");
        self.0.create_topic(&name, partitions);
        name
    }
}

impl Complete for InMemory {
    async fn topic_of_small_records(&self, bytes: usize) -> String {
        let name = self.topic(1).await;
        self.0.set_topic_max_record_bytes(&name, bytes);
        name
    }
}

impl Interruptible for InMemory {
    async fn set_reachable(&self, reachable: bool) {
        self.0.set_reachable(reachable);
    }
}

pub(crate) struct Dev(DevBroker);

impl Dev {
    pub(crate) fn start() -> Self {
        Self(DevBroker::start(&[]).unwrap())
    }
}

impl Backend for Dev {
    type Transport = Kafka;

    fn transport(&self) -> Kafka {
        Kafka::new(quick(self.0.config())).unwrap()
    }

    async fn topic(&self, partitions: i32) -> String {
        let name = unique("topic");
        self.0.create_topic(&name, partitions).await;
        name
    }
}

impl Interruptible for Dev {
    async fn set_reachable(&self, reachable: bool) {
        self.0.set_reachable(reachable).await;
    }
}

pub(crate) struct Real(KafkaConfig);

impl Real {
    pub(crate) fn classic() -> Option<Self> {
        Self::with(GroupProtocol::Classic)
    }

    pub(crate) fn consumer() -> Option<Self> {
        Self::with(GroupProtocol::Consumer)
    }

    fn with(group_protocol: GroupProtocol) -> Option<Self> {
        static TOLD: Once = Once::new();
        let Ok(brokers) = std::env::var("MILLSTREAM_TEST_BROKERS") else {
            // Past the test harness, which would swallow it.
            TOLD.call_once(|| {
                let line = b"not tested on a real Kafka: set MILLSTREAM_TEST_BROKERS=host:port\n";
                std::io::stderr().write_all(line).unwrap();
            });
            return None;
        };
        Some(Self(quick(KafkaConfig { group_protocol, ..KafkaConfig::new(brokers) })))
    }

    async fn create(&self, spec: TopicSpec) -> String {
        let admin = TopicAdmin::new(&self.0).unwrap();
        let plan = admin.plan(std::slice::from_ref(&spec)).await.unwrap();
        admin.apply(&plan).await.unwrap();
        spec.name
    }
}

impl Backend for Real {
    type Transport = Kafka;

    fn transport(&self) -> Kafka {
        Kafka::new(self.0.clone()).unwrap()
    }

    async fn topic(&self, partitions: i32) -> String {
        self.create(TopicSpec::new(unique("transport-test"), partitions)).await
    }
}

impl Complete for Real {
    async fn topic_of_small_records(&self, bytes: usize) -> String {
        self.create(TopicSpec { max_message_bytes: bytes, ..TopicSpec::new(unique("transport-test"), 1) })
            .await
    }
}

// So that tests need not wait for figures and for topics that never come.
fn quick(config: KafkaConfig) -> KafkaConfig {
    let setting = |name: &str, value: i64| (name.to_owned(), Setting::Int(value));
    KafkaConfig {
        consumer: BTreeMap::from([setting("statistics.interval.ms", 200)]),
        producer: BTreeMap::from([setting("topic.metadata.propagation.max.ms", 1000)]),
        ..config
    }
}

pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{what}-{}-{}", since.as_nanos(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Bytes that cannot be compressed.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// Fails the test when the future takes too long.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing within {DEADLINE:?}"),
    }
}

pub(crate) async fn publish<B: Backend>(backend: &B, records: Vec<Record>) {
    let publisher = backend.transport().publisher().await.unwrap();
    soon("publish", publisher.publish(records)).await.unwrap();
}

/// Records whose values are the numbers, with the number modulo 16 as the key.
pub(crate) fn numbered(topic: &str, numbers: impl IntoIterator<Item = usize>) -> Vec<Record> {
    numbers
        .into_iter()
        .map(|number| Record::new(topic, number.to_string()).with_key((number % 16).to_string()))
        .collect()
}

pub(crate) fn number(received: &Received) -> usize {
    std::str::from_utf8(received.record.value.as_ref().unwrap()).unwrap().parse().unwrap()
}

pub(crate) async fn join<B: Backend>(
    backend: &B,
    group: &str,
    topic: &str,
    options: ConsumerOptions,
) -> <B::Transport as Transport>::Consumer {
    backend.transport().consumer(group, &[topic.to_owned()], options).await.unwrap()
}

/// The next event that is not about something passing.
pub(crate) async fn next_event(consumer: &mut impl Consumer) -> Event {
    loop {
        match soon("an event", consumer.next()).await.expect("the consumer has stopped") {
            Event::Error(error) if !error.is_fatal() => {}
            event => return event,
        }
    }
}

/// Reads until so many records have come, letting go of partitions as it is asked to.
pub(crate) async fn read(consumer: &mut impl Consumer, count: usize) -> Vec<Received> {
    let mut records = Vec::new();
    while records.len() < count {
        match next_event(consumer).await {
            Event::Records(more) => records.extend(more),
            Event::Assigned(_) => {}
            Event::Revoked(revocation) => revocation.release(),
            Event::Error(error) => panic!("{error}"),
        }
    }
    records
}

/// Checks that the numbers `0..count` have come once each, and within each partition in rising order.
pub(crate) fn check_complete(records: &[Received], count: usize) {
    let mut numbers: Vec<usize> = records.iter().map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
    let mut last: BTreeMap<i32, (i64, usize)> = BTreeMap::new();
    for received in records {
        let here = (received.position.offset.get(), number(received));
        if let Some(before) = last.insert(received.position.partition.index, here) {
            assert!(before.0 < here.0 && before.1 < here.1, "{before:?} then {here:?}");
        }
    }
}
