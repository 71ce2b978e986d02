//! What a user can say about the Kafka cluster; `kafka/settings.rs` turns it into the client's settings.

pub(crate) mod security;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::security::{Mechanism, Protocol, SecurityConfig};
use crate::consumer::ConsumerOptions;
use crate::error::ConfigError;
use crate::kafka::settings::Settings;

/// How to reach the Kafka cluster, and how to behave there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Addresses of some brokers of the cluster, `host:port` separated by commas; the others are found through them.
    pub brokers: String,
    /// How the clients call themselves; the brokers show it in their logs, metrics and quotas.
    pub client_id: String,
    /// The rack (availability zone) of this process, so that it reads from a replica nearby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Who assigns partitions: the members (`classic`, every broker) or the broker (`consumer`, Kafka 4.0 and newer).
    pub group_protocol: GroupProtocol,
    /// Encryption and authentication.
    pub security: SecurityConfig,
    /// Settings of librdkafka for consumers and readers, by their own names; only those that are safe to change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub consumer: BTreeMap<String, Setting>,
    /// Settings of librdkafka for producers, by their own names; only those that are safe to change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub producer: BTreeMap<String, Setting>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            client_id: "millstream".into(),
            rack: None,
            group_protocol: GroupProtocol::Classic,
            security: SecurityConfig::default(),
            consumer: BTreeMap::new(),
            producer: BTreeMap::new(),
        }
    }
}

impl KafkaConfig {
    /// The defaults, for the cluster that `brokers` belong to.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), ..Self::default() }
    }

    /// Whether clients can be made of these settings, without connecting: keys, secrets' files, and timeouts that must
    /// fit each other.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self, options: &ConsumerOptions) -> Result<(), ConfigError> {
        Settings::consumer(self, "any", options)?;
        Settings::producer(self).map(|_| ())
    }
}

/// Who assigns the partitions of a group to its members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// The members among themselves, cooperatively; works with every broker.
    #[default]
    Classic,
    /// The broker (KIP-848), faster and without stops; Kafka 4.0 and newer. Session timeout and heartbeat are then
    /// settings of the broker.
    Consumer,
}

/// The value of one client setting; numbers and booleans may be written without quotes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Setting {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

impl From<&str> for Setting {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Setting {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<KafkaConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(parse("{}").unwrap(), KafkaConfig::default());
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(parse(r#"{"broker": "x"}"#).unwrap_err().contains("unknown field `broker`"));
        assert!(parse(r#"{"security": {"pasword": "x"}}"#).unwrap_err().contains("unknown field `pasword`"));
    }

    #[test]
    fn settings_may_be_numbers_or_text() {
        let config = parse(r#"{"consumer": {"a": 5, "b": "5", "c": true, "d": 1.5}}"#).unwrap();
        let texts: Vec<String> = config.consumer.values().map(ToString::to_string).collect();
        assert_eq!(texts, ["5", "5", "true", "1.5"]);
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = parse(r#"{"security": {"password": "hunter2", "key_password": "hunter3"}}"#).unwrap();
        let shown = format!("{config:?} {config:#?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("***"), "{shown}");
    }
}
