//! The settings of a producer that publishes in transactions.

use super::Settings;
use crate::config::KafkaConfig;
use crate::error::ConfigError;

/// How long the brokers wait for the end of a transaction before they undo it. Until then nobody reads past it, so
/// this bounds what a worker that died holds up: brokers look for such transactions every 10 s by default.
const TRANSACTION_TIMEOUT_MS: u64 = 10_000;

/// How long a client waits for the end of its own transaction. Less than the brokers do: one that hangs, because a
/// coordinator has gone, is settled by taking over the id, and nothing moves until then.
pub(crate) const TRANSACTION_LIMIT_MS: u64 = 7_000;

/// How long a record may wait for a broker, so that time is left to undo the transaction in good order.
const MESSAGE_TIMEOUT_MS: u64 = 5_000;

/// How long an answer may take. librdkafka refuses more than the transaction timeout.
const SOCKET_TIMEOUT_MS: u64 = 5_000;

/// How long a topic may be missing before its records fail; sooner than they time out, so that the reason is told.
const MISSING_TOPIC_MS: u64 = 4_000;

impl Settings {
    /// Publishes in transactions under this id.
    pub(crate) fn transactional(config: &KafkaConfig, transactional_id: &str) -> Result<Self, ConfigError> {
        if transactional_id.is_empty() {
            return Err(ConfigError::new("transactional.id", "transactions need an id"));
        }
        let mut settings = Self::producer(config)?;
        settings.set("transactional.id", transactional_id);
        settings.set("transaction.timeout.ms", &TRANSACTION_TIMEOUT_MS.to_string());
        settings.at_most("message.timeout.ms", MESSAGE_TIMEOUT_MS)?;
        settings.at_most("socket.timeout.ms", SOCKET_TIMEOUT_MS)?;
        settings.at_most("topic.metadata.propagation.max.ms", MISSING_TOPIC_MS)?;
        // Everything is there when a transaction begins, and given to librdkafka within this time. Without it, the first of
        // a thousand records leave one by one, which keeps brokers busier than all the rest.
        settings.set("linger.ms", "1");
        // A transaction that follows another at once is told to come again; by default a tenth of a second later.
        if !config.producer.contains_key("retry.backoff.ms") {
            settings.set("retry.backoff.ms", "10");
        }
        Ok(settings)
    }

    // What was set stays when it is less. Zero means for ever in librdkafka.
    fn at_most(&mut self, name: &str, limit: u64) -> Result<(), ConfigError> {
        let wanted = if self.get(name).is_some() { self.number(name)? } else { 0 };
        if wanted == 0 || wanted > limit {
            self.set(name, &limit.to_string());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::producer::BaseProducer;

    use super::*;
    use crate::config::Setting;

    fn check(overrides: &[(&str, i64)], name: &str, expect: &str) {
        let producer = overrides.iter().map(|(name, value)| ((*name).to_owned(), Setting::Int(*value)));
        let config = KafkaConfig { producer: producer.collect(), ..KafkaConfig::new("127.0.0.1:1") };
        let settings = Settings::transactional(&config, "id").unwrap();
        assert_eq!(settings.get(name), Some(expect), "{name} with {overrides:?}");
        // librdkafka has rules of its own for how these go together.
        let client: ClientConfig = settings.client_config();
        client.create::<BaseProducer>().unwrap();
    }

    #[test]
    fn nothing_outlasts_the_transaction() {
        check(&[], "transaction.timeout.ms", "10000");
        check(&[], "message.timeout.ms", "5000");
        check(&[("message.timeout.ms", 0)], "message.timeout.ms", "5000");
        check(&[("message.timeout.ms", 60_000)], "message.timeout.ms", "5000");
        check(&[("message.timeout.ms", 4_000)], "message.timeout.ms", "4000");
        check(&[("socket.timeout.ms", 60_000)], "socket.timeout.ms", "5000");
        check(&[("linger.ms", 50)], "linger.ms", "1");
        check(&[("retry.backoff.ms", 50)], "retry.backoff.ms", "50");
        check(&[], "transactional.id", "id");
        check(&[], "acks", "all");
    }

    #[test]
    fn an_id_is_needed() {
        assert!(Settings::transactional(&KafkaConfig::default(), "").is_err());
    }
}
