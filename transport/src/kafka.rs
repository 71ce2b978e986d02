//! The transport over Kafka; the only module that names rdkafka.
//!
//! Reading: `poll_thread.rs` polls, `context.rs` takes the callbacks, `queue.rs` lies between them and the handle in
//! `consumer.rs`; `commit.rs` commits. Writing: `publisher.rs`.

pub(crate) mod settings;

mod overrides;

mod poll_thread;

mod context;

mod queue;

mod detach;

mod attach;

mod statistics;

mod consumer;

mod commit;

mod committed;

mod paused;

mod reader;

mod publisher;

mod outbox;

mod transactions;

mod admin;

mod probe;

mod delete_records;

mod dev_broker;

mod group_offsets;

mod errors;
mod log;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::admin::TopicAdmin;
pub use self::consumer::KafkaConsumer;
pub use self::delete_records::delete_records;
pub use self::dev_broker::DevBroker;
pub use self::group_offsets::{TopicBounds, group_offsets, offsets_at, topic_bounds};
pub use self::probe::{BrokerReport, ClusterReport, PartitionReport, TopicReport, probe};
pub use self::publisher::KafkaPublisher;
pub use self::reader::KafkaReader;
use self::settings::Settings;
pub use self::transactions::KafkaTransactions;
use crate::config::{KafkaConfig, Setting};
use crate::consumer::ConsumerOptions;
use crate::error::{ConfigError, TransportError};
use crate::reader::ReadFrom;
use crate::transport::Transport;

/// What a batch has beside the bytes of its only record: 61 bytes of its own, and up to five for the length of each key,
/// value and header, of which 40 are accounted for.
const BATCH_OVERHEAD: usize = 512;

/// The version of librdkafka that is built in.
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

/// Kafka as a transport.
#[derive(Debug, Clone)]
pub struct Kafka {
    config: Arc<KafkaConfig>,
}

impl Kafka {
    /// Checks the settings; connects to nothing.
    pub fn new(config: KafkaConfig) -> Result<Self, ConfigError> {
        // A consumer's settings depend on its options, and are checked where it is made.
        Settings::reader(&config)?;
        Settings::producer(&config)?;
        Ok(Self { config: Arc::new(config) })
    }

    /// The settings it was made with.
    pub fn config(&self) -> &KafkaConfig {
        &self.config
    }
}

impl Transport for Kafka {
    type Consumer = KafkaConsumer;
    type Publisher = KafkaPublisher;
    type Transactions = KafkaTransactions;
    type Reader = KafkaReader;

    async fn transactions(&self, transactional_id: &str) -> Result<KafkaTransactions, TransportError> {
        KafkaTransactions::open(&self.config, transactional_id).await
    }

    async fn max_record_bytes(&self, topics: &[String]) -> Result<BTreeMap<String, usize>, TransportError> {
        let own = Settings::producer(&self.config)?.number("message.max.bytes")?;
        let own = usize::try_from(own).unwrap_or(usize::MAX);
        let batches = TopicAdmin::new(&self.config)?.max_batch_bytes(topics).await?;
        let limit = |batch: usize| batch.min(own).saturating_sub(BATCH_OVERHEAD);
        Ok(batches.into_iter().map(|(topic, batch)| (topic, limit(batch))).collect())
    }

    async fn consumer(
        &self,
        group: &str,
        topics: &[String],
        options: ConsumerOptions,
    ) -> Result<KafkaConsumer, TransportError> {
        KafkaConsumer::join(&self.config, group, topics, options).await
    }

    async fn publisher(&self) -> Result<KafkaPublisher, TransportError> {
        KafkaPublisher::start(&self.config)
    }

    fn with_batches_up_to(&self, bytes: usize) -> Self {
        let mut config = KafkaConfig::clone(&self.config);
        let bytes = bytes.clamp(1, settings::BATCH_BYTES);
        let setting = config.producer.entry(settings::BATCH_SIZE.into());
        setting.or_insert(Setting::Int(i64::try_from(bytes).expect("it is no more than the default")));
        Self { config: Arc::new(config) }
    }

    fn at_leisure(&self) -> Self {
        let mut config = KafkaConfig::clone(&self.config);
        config.consumer.entry("fetch.wait.max.ms".into()).or_insert(Setting::Int(500));
        Self { config: Arc::new(config) }
    }

    async fn reader(&self, topic: &str, from: ReadFrom) -> Result<KafkaReader, TransportError> {
        KafkaReader::open(&self.config, topic, from).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_to_what_topics_take_unless_the_user_says_how_large_they_are() {
        let check = |set: Option<i64>, bytes: usize, expect: &str| {
            let mut config = KafkaConfig::new("127.0.0.1:1");
            config.producer.extend(set.map(|set| ("batch.size".to_owned(), Setting::Int(set))));
            let kafka = Kafka::new(config).unwrap().with_batches_up_to(bytes);
            let settings = Settings::producer(kafka.config()).unwrap();
            assert_eq!(settings.get("batch.size"), Some(expect), "{set:?} {bytes}");
        };
        check(None, 100_000, "100000");
        check(None, 4_000_000, "524288");
        check(Some(700_000), 100_000, "700000");
        check(None, 0, "1");
    }

    #[test]
    fn fetches_at_leisure_wait_as_long_as_the_configuration_says() {
        let check = |set: Option<i64>, expect: &str| {
            let mut config = KafkaConfig::new("127.0.0.1:1");
            config.consumer.extend(set.map(|set| ("fetch.wait.max.ms".to_owned(), Setting::Int(set))));
            let kafka = Kafka::new(config).unwrap().at_leisure();
            let settings = Settings::reader(kafka.config()).unwrap();
            assert_eq!(settings.get("fetch.wait.max.ms"), Some(expect), "{set:?}");
        };
        check(None, "500");
        check(Some(20), "20");
    }
}
