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
use crate::config::KafkaConfig;
use crate::consumer::ConsumerOptions;
use crate::error::{ConfigError, TransportError};
use crate::reader::ReadFrom;
use crate::transport::Transport;

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

    async fn transactions(
        &self,
        transactional_id: &str,
        consumer: &KafkaConsumer,
    ) -> Result<KafkaTransactions, TransportError> {
        KafkaTransactions::open(&self.config, transactional_id, consumer).await
    }

    async fn max_record_bytes(&self, _topics: &[String]) -> Result<BTreeMap<String, usize>, TransportError> {
        Ok(BTreeMap::new())
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

    async fn reader(&self, topic: &str, from: ReadFrom) -> Result<KafkaReader, TransportError> {
        KafkaReader::open(&self.config, topic, from).await
    }
}
