//! Transactions that stop half way, on a real Kafka (`MILLSTREAM_TEST_BROKERS=host:port`).

use std::time::Instant;

use super::*;
use crate::kafka::{Kafka, TopicAdmin};
use crate::reader::{ReadFrom, Reader};
use crate::topics::TopicSpec;
use crate::transport::Transport;

const LIMIT: Duration = Duration::from_secs(30);

struct Cluster {
    config: KafkaConfig,
    topic: String,
}

impl Cluster {
    async fn with_topic() -> Option<Self> {
        let config = KafkaConfig::new(std::env::var("MILLSTREAM_TEST_BROKERS").ok()?);
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let topic = format!("transport-test-half-{}", since.as_nanos());
        let admin = TopicAdmin::new(&config).unwrap();
        let plan = admin.plan(&[TopicSpec::new(&topic, 2)]).await.unwrap();
        admin.apply(&plan).await.unwrap();
        Some(Self { config, topic })
    }

    /// A producer that has taken over the id, which is the topic's name.
    fn producer(&self) -> Producer {
        let settings = Settings::transactional(&self.config, &self.topic).unwrap();
        let producer = Producer::start(&settings, &self.topic).unwrap();
        take_over(&producer, &self.topic, LIMIT, || true).unwrap();
        producer
    }

    /// Has sent so many records in a transaction that is not committed.
    fn half_way(&self, count: usize) -> Producer {
        let producer = self.producer();
        producer.begin().unwrap();
        let deadline = Instant::now() + LIMIT;
        producer.send(&vec![Record::new(&*self.topic, "x"); count], deadline);
        assert!(producer.wait_for_reports(deadline));
        producer
    }

    /// What a reader of committed records sees, up to what is still open.
    async fn seen(&self) -> usize {
        let kafka = Kafka::new(self.config.clone()).unwrap();
        let mut reader = kafka.reader(&self.topic, ReadFrom::Beginning).await.unwrap();
        let mut count = 0;
        while tokio::time::timeout(LIMIT, reader.next()).await.unwrap().unwrap().is_some() {
            count += 1;
        }
        count
    }

    /// Waits until a reader of committed records sees so many: brokers answer a commit before they have marked it.
    async fn comes_to(&self, count: usize) {
        let begin = Instant::now();
        loop {
            let seen = self.seen().await;
            assert!(seen <= count, "{seen}, more than {count}");
            if seen == count {
                return;
            }
            assert!(begin.elapsed() < LIMIT, "only {seen} of {count}");
        }
    }

    /// The sum of the partitions' ends as a reader of committed records sees them: before what is still open.
    async fn stable_end(&self) -> i64 {
        let kafka = Kafka::new(self.config.clone()).unwrap();
        let reader = kafka.reader(&self.topic, ReadFrom::End).await.unwrap();
        reader.end().values().map(|end| end.get()).sum()
    }
}

#[tokio::test]
async fn nothing_is_seen_before_the_commit() {
    let Some(cluster) = Cluster::with_topic().await else { return };
    let producer = cluster.half_way(500);
    assert_eq!(cluster.seen().await, 0);
    producer.commit(Instant::now() + LIMIT).unwrap();
    cluster.comes_to(500).await;
}

#[tokio::test]
async fn nothing_is_seen_of_what_is_undone() {
    let Some(cluster) = Cluster::with_topic().await else { return };
    let producer = cluster.half_way(10);
    producer.abort(Instant::now() + LIMIT).unwrap();
    producer.begin().unwrap();
    producer.send(&[Record::new(&*cluster.topic, "y")], Instant::now() + LIMIT);
    assert!(producer.wait_for_reports(Instant::now() + LIMIT));
    producer.commit(Instant::now() + LIMIT).unwrap();
    cluster.comes_to(1).await;
}

#[tokio::test]
async fn whoever_takes_over_undoes_what_was_left() {
    let Some(cluster) = Cluster::with_topic().await else { return };
    let left = cluster.half_way(10);
    let begin = Instant::now();
    let successor = cluster.half_way(3);
    // Not only when the transaction has timed out.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let fault = left.commit(Instant::now() + LIMIT).unwrap_err();
    assert!(matches!(sort::of_commit(&fault, "id"), TransactionError::Fenced { .. }), "{fault:?}");
    successor.commit(Instant::now() + LIMIT).unwrap();
    cluster.comes_to(3).await;
}

#[tokio::test]
async fn a_commit_that_comes_too_late_is_fenced() {
    let Some(cluster) = Cluster::with_topic().await else { return };
    let producer = cluster.half_way(10);
    // The brokers look for transactions that take too long every ten seconds.
    let begin = Instant::now();
    while cluster.stable_end().await < 10 {
        assert!(begin.elapsed() < 2 * LIMIT);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let fault = producer.commit(Instant::now() + LIMIT).unwrap_err();
    assert!(matches!(sort::of_commit(&fault, "id"), TransactionError::Fenced { .. }), "{fault:?}");
    assert_eq!(cluster.seen().await, 0);
}
