//! The settings that this project relies on, in librdkafka's names: pure, so that every one of them can be tested.
//!
//! Each was chosen for a reason; the ones that guarantee correctness cannot be overridden (`overrides.rs`).

mod transactional;

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

pub(crate) use self::transactional::TRANSACTION_LIMIT_MS;
use super::overrides;
use crate::config::{GroupProtocol, KafkaConfig, security::Compiled};
use crate::consumer::ConsumerOptions;
use crate::error::ConfigError;
use crate::secret::Secret;

/// The setting for how many bytes of records a batch may gather.
pub(super) const BATCH_SIZE: &str = "batch.size";

/// What it is by default.
pub(super) const BATCH_BYTES: usize = 512 * 1024;

/// Settings of one client. Every value is held as a secret, because some are, and none is worth the risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings(BTreeMap<String, Secret>);

impl Settings {
    /// A member of `group`.
    pub(crate) fn consumer(
        config: &KafkaConfig,
        group: &str,
        options: &ConsumerOptions,
    ) -> Result<Self, ConfigError> {
        if group.is_empty() {
            return Err(ConfigError::new("group", "a consumer needs the name of its group"));
        }
        let mut settings = Self::common(config, options.client_id.as_deref())?;
        settings.reading();
        settings.set("group.id", group);
        // Members that assign eagerly and members that assign cooperatively cannot share a group, hence never eagerly.
        settings.set("partition.assignment.strategy", "cooperative-sticky");
        // A crash is noticed within the session timeout; a member with a fixed name gets the time to restart instead.
        let session = if options.instance_id.is_some() { "45000" } else { "15000" };
        settings.set("session.timeout.ms", session);
        settings.set("heartbeat.interval.ms", "3000");
        // This is also how long a rebalance waits for a member that hangs. The poll thread does nothing but poll, so
        // it may be short.
        settings.set("max.poll.interval.ms", "60000");
        // A group that starts late must read the jobs submitted before it.
        settings.set("auto.offset.reset", "earliest");
        settings.set("enable.partition.eof", "false");
        if let Some(instance) = &options.instance_id {
            settings.set("group.instance.id", instance);
        }
        settings.apply(&config.consumer, "consumer", overrides::CONSUMER)?;
        match config.group_protocol {
            GroupProtocol::Classic => {
                settings.set("group.protocol", "classic");
                settings.heartbeat_within_the_session(config)?;
            }
            GroupProtocol::Consumer => settings.use_broker_assignment(config)?,
        }
        settings.check_timeouts(config.group_protocol, options.drain_timeout)?;
        Ok(settings)
    }

    /// Reads without a group.
    pub(crate) fn reader(config: &KafkaConfig) -> Result<Self, ConfigError> {
        let mut settings = Self::common(config, None)?;
        settings.reading();
        // Nothing is subscribed or committed under this name; librdkafka assigns partitions only to a client with one.
        settings.set("group.id", "millstream-reader");
        // Tells when a partition's end is reached, also where its last offsets hold no record (transaction marks).
        settings.set("enable.partition.eof", "true");
        // An offset that has expired meanwhile: go on at the oldest record that is left.
        settings.set("auto.offset.reset", "earliest");
        settings.apply(&config.consumer, "consumer", overrides::CONSUMER)?;
        for only_in_a_group in ["session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms"] {
            settings.0.remove(only_in_a_group);
        }
        Ok(settings)
    }

    /// Publishes.
    pub(crate) fn producer(config: &KafkaConfig) -> Result<Self, ConfigError> {
        let mut settings = Self::common(config, None)?;
        // Retries neither double nor reorder, and a record counts when every in-sync replica has it.
        settings.set("enable.idempotence", "true");
        settings.set("acks", "all");
        // The partition that producers in other languages choose for the same key.
        settings.set("partitioner", "murmur2_random");
        settings.set("linger.ms", "2");
        // Below what a topic takes: a broker refuses a batch as a whole, and small records must not fail with a large
        // one. A record larger than this is a batch of its own.
        settings.set(BATCH_SIZE, &BATCH_BYTES.to_string());
        settings.set("compression.type", "lz4");
        settings.set("message.max.bytes", "4194304");
        // The defaults hold a gibibyte.
        settings.set("queue.buffering.max.kbytes", "65536");
        settings.set("queue.buffering.max.messages", "20000");
        settings.set("message.timeout.ms", "30000");
        // A mistyped topic must be an error, not a new topic.
        settings.set("allow.auto.create.topics", "false");
        // Nobody looks at a producer's statistics.
        settings.0.remove("statistics.interval.ms");
        settings.apply(&config.producer, "producer", overrides::PRODUCER)?;
        settings.check_queue()?;
        Ok(settings)
    }

    /// Asks about the cluster and its topics.
    pub(crate) fn admin(config: &KafkaConfig) -> Result<Self, ConfigError> {
        let mut settings = Self::common(config, None)?;
        settings.0.remove("statistics.interval.ms");
        settings.set("allow.auto.create.topics", "false");
        Ok(settings)
    }

    fn common(config: &KafkaConfig, client_id: Option<&str>) -> Result<Self, ConfigError> {
        let brokers = config.brokers.trim();
        if brokers.is_empty() {
            let problem = "names no broker; set it to `host:port`, for instance `127.0.0.1:9092`";
            return Err(ConfigError::new("kafka.brokers", problem));
        }
        let mut settings = Self(BTreeMap::new());
        settings.set("bootstrap.servers", brokers);
        settings.set("client.id", client_id.unwrap_or(&config.client_id));
        if let Some(rack) = &config.rack {
            settings.set("client.rack", rack);
        }
        // Without it a connection that a firewall has forgotten looks alive for ever.
        settings.set("socket.keepalive.enable", "true");
        settings.set("reconnect.backoff.max.ms", "2000");
        settings.set("statistics.interval.ms", "5000");
        for (name, value) in config.security.settings(brokers, Compiled::THIS)? {
            settings.0.insert(name.into(), value);
        }
        Ok(settings)
    }

    // What consumers and readers have in common.
    fn reading(&mut self) {
        // Committing is the worker's business: the client would commit what it handed out, not what was done.
        self.set("enable.auto.commit", "false");
        self.set("enable.auto.offset.store", "false");
        self.set("isolation.level", "read_committed");
        // Prefetching is bounded for latency and memory (by default: 64 MiB and 100,000 records).
        self.set("queued.min.messages", "1000");
        self.set("queued.max.messages.kbytes", "16384");
        // The default of 1000 stalls a consumer that is slower than the broker by a second at a time.
        self.set("fetch.queue.backoff.ms", "20");
        self.set("fetch.wait.max.ms", "100");
        self.set("fetch.message.max.bytes", "4194304");
        self.set("check.crcs", "true");
        self.set("allow.auto.create.topics", "false");
    }

    // With KIP-848 these are the broker's settings, and librdkafka refuses them here.
    fn use_broker_assignment(&mut self, config: &KafkaConfig) -> Result<(), ConfigError> {
        self.set("group.protocol", "consumer");
        for forbidden in ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"] {
            if config.consumer.contains_key(forbidden) {
                return Err(ConfigError::new(
                    format!("kafka.consumer.\"{forbidden}\""),
                    "is a setting of the broker when `kafka.group_protocol` is `consumer`; remove it here and set it \
                     on the broker (`group.consumer.session.timeout.ms`, `group.consumer.heartbeat.interval.ms`)",
                ));
            }
            self.0.remove(forbidden);
        }
        Ok(())
    }

    // A record that the whole queue has no room for would wait for ever.
    fn check_queue(&self) -> Result<(), ConfigError> {
        let queue = self.number("queue.buffering.max.kbytes")?.saturating_mul(1024);
        let record = self.number("message.max.bytes")?;
        if queue >= record.saturating_mul(2) {
            return Ok(());
        }
        Err(ConfigError::new(
            "kafka.producer.\"queue.buffering.max.kbytes\"",
            format!(
                "{queue} bytes do not hold two records of `message.max.bytes` ({record} bytes); raise it"
            ),
        ))
    }

    // A coordinator that moves may swallow a few heartbeats; who lowers the session timeout wants no fewer of them in it.
    fn heartbeat_within_the_session(&mut self, config: &KafkaConfig) -> Result<(), ConfigError> {
        const IN_A_SESSION: u64 = 5;
        if !config.consumer.contains_key("heartbeat.interval.ms") {
            let usual = self.number("heartbeat.interval.ms")?;
            let interval = usual.min(self.number("session.timeout.ms")? / IN_A_SESSION).max(1);
            self.set("heartbeat.interval.ms", &interval.to_string());
        }
        Ok(())
    }

    // A revocation holds up polling for the drain timeout: the member must neither be thought dead nor be expelled.
    fn check_timeouts(&self, protocol: GroupProtocol, drain: Duration) -> Result<(), ConfigError> {
        let poll_interval = self.millis("max.poll.interval.ms")?;
        let (limit_name, limit) = match protocol {
            GroupProtocol::Classic => {
                let session = self.millis("session.timeout.ms")?;
                if session >= poll_interval {
                    return Err(ConfigError::new(
                        "kafka.consumer.\"session.timeout.ms\"",
                        format!(
                            "{} ms is not below `max.poll.interval.ms` ({} ms); lower the first or raise the second",
                            session.as_millis(),
                            poll_interval.as_millis()
                        ),
                    ));
                }
                ("session.timeout.ms", session)
            }
            GroupProtocol::Consumer => ("max.poll.interval.ms", poll_interval),
        };
        if drain >= limit {
            return Err(ConfigError::new(
                "drain_timeout",
                format!(
                    "{} ms is not below `{limit_name}` ({} ms), so the group would take the partitions away before \
                     they are drained; lower the drain timeout, or raise `kafka.consumer.\"{limit_name}\"`",
                    drain.as_millis(),
                    limit.as_millis()
                ),
            ));
        }
        Ok(())
    }

    fn apply(
        &mut self,
        wanted: &BTreeMap<String, crate::config::Setting>,
        section: &str,
        rules: overrides::Rules,
    ) -> Result<(), ConfigError> {
        for (name, value) in wanted {
            rules.check(section, name)?;
            self.set(name, &value.to_string());
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.into(), Secret::new(value));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose)
    }

    /// A setting that is a whole number.
    pub(crate) fn number(&self, name: &str) -> Result<u64, ConfigError> {
        let value = self.get(name).unwrap_or_default();
        value.parse().map_err(|_| {
            ConfigError::new(format!("kafka.…\"{name}\""), format!("`{value}` is not a whole number"))
        })
    }

    fn millis(&self, name: &str) -> Result<Duration, ConfigError> {
        self.number(name).map(Duration::from_millis)
    }

    /// As rdkafka wants them.
    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        for (name, value) in &self.0 {
            client.set(name, value.expose());
        }
        // By default rdkafka asks the `log` crate, which nothing here listens to.
        client.set_log_level(RDKafkaLogLevel::Info);
        client
    }
}

#[cfg(test)]
#[path = "settings/tests.rs"]
mod tests;
