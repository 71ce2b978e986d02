//! How records travel: Kafka, and its in-memory twin behind the same traits.
//!
//! Nothing here knows what a record means. What this crate promises:
//!
//! - **Reading.** One thread polls per consumer, and never stops for longer than the drain timeout. Everything a
//!   consumer can see is one [`Event`]. What waits to be read is bounded in records and bytes; full means that the
//!   partitions are paused, never that a record is dropped.
//! - **Rebalancing.** A partition is let go only after its [`Revocation`] is released (or the drain timeout has
//!   passed), and a commit works meanwhile, so that an orderly handover repeats nothing.
//! - **Writing.** A record counts as published when every in-sync replica has it. Records of one publisher keep their
//!   order, also across retries. Keys go to the partition that Java's producer would choose.
//! - **Committing.** A commit is the *next* offset to read; [`Offset::next`] is the only place where one is added.
//!
//! Read in this order: [`Record`] and [`Progress`]; the traits [`Consumer`], [`Publisher`] and [`Reader`]; then
//! `kafka/poll_thread.rs` and `kafka/publisher.rs`. Only this crate names rdkafka.

mod record;

mod progress;

mod consumer;

mod publisher;

mod reader;

mod transport;

mod error;

mod config;
pub mod crash_point;
mod kafka;
pub mod memory;
mod partitioner;
mod secret;
mod topics;
mod transactions;

pub use self::config::{GroupProtocol, KafkaConfig, Mechanism, Protocol, SecurityConfig, Setting};
pub use self::consumer::{Committed, Consumer, ConsumerOptions, Event, Revocation, Status};
pub use self::error::{ConfigError, FailedRecord, PublishError, PublishErrorKind, TransportError};
pub use self::kafka::{
    BrokerReport, ClusterReport, DevBroker, Kafka, KafkaConsumer, KafkaPublisher, KafkaReader,
    KafkaTransactions, PartitionReport, TopicAdmin, TopicBounds, TopicReport, delete_records, group_offsets,
    librdkafka_version, offsets_at, probe, topic_bounds,
};
pub use self::memory::Memory;
pub use self::partitioner::partition_of_key;
pub use self::progress::Progress;
pub use self::publisher::Publisher;
pub use self::reader::{ReadFrom, Reader};
pub use self::record::{Header, Offset, Partition, Position, Received, Record};
pub use self::secret::Secret;
pub use self::topics::{Difference, Remedy, TopicAction, TopicFound, TopicPlan, TopicSpec};
pub use self::transactions::{TransactionError, Transactions};
pub use self::transport::Transport;
