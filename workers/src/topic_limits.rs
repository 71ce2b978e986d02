//! How large a record each topic takes: as the configuration says, and less where the brokers say so.

use std::collections::BTreeMap;
use std::time::Duration;

use transport::{Transport, TransportError};

use crate::worker::Chain;

/// What Kafka puts around a record in its batch.
const AROUND: usize = 256;

/// How long the brokers may take to answer at the start; a worker can begin without knowing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest record of each topic, headers included, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct TopicLimits {
    configured: usize,
    topics: Vec<String>,
    told: BTreeMap<String, usize>,
}

impl TopicLimits {
    /// As configured, for all topics; the brokers are asked about these.
    pub(crate) fn new(configured: usize, topics: Vec<String>) -> Self {
        Self { configured, topics, told: BTreeMap::new() }
    }

    /// Asks for the first time. Brokers that do not tell leave what is configured.
    pub(crate) async fn look_up(mut self, transport: &impl Transport) -> Self {
        let reason = match tokio::time::timeout(PATIENCE, transport.max_record_bytes(&self.topics)).await {
            Ok(Ok(told)) => {
                let missing = self.topics.iter().filter(|topic| !told.contains_key(*topic));
                let missing = missing.map(String::as_str).collect::<Vec<_>>().join(", ");
                self.adopt(told);
                if missing.is_empty() {
                    return self;
                }
                format!("not told of {missing}")
            }
            Ok(Err(error)) => Chain(&error).to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        tracing::info!(
            reason,
            configured = self.configured,
            "the brokers do not tell how large a record each topic takes; going by limits.max_record_bytes \
             (the right DescribeConfigs on the topics lets them tell)"
        );
        self
    }

    /// Asks again; whether a topic takes less than was believed.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub(crate) async fn learn(&mut self, transport: &impl Transport) -> Result<bool, TransportError> {
        let told = transport.max_record_bytes(&self.topics).await?;
        Ok(self.adopt(told))
    }

    fn adopt(&mut self, told: BTreeMap<String, usize>) -> bool {
        let mut smaller = Vec::new();
        for (topic, bytes) in told {
            let bytes = bytes.saturating_sub(AROUND);
            if bytes < self.of(&topic) {
                smaller.push(format!("{topic}: {bytes} bytes"));
            }
            self.told.insert(topic, bytes);
        }
        if !smaller.is_empty() {
            tracing::warn!(
                topics = smaller.join(", "),
                configured = self.configured,
                "topics take smaller records than the configuration allows; larger outcomes become failures (raise the \
                 topics' max.message.bytes, or lower limits.max_record_bytes)"
            );
        }
        !smaller.is_empty()
    }

    /// The largest record of this topic.
    pub(crate) fn of(&self, topic: &str) -> usize {
        self.told.get(topic).map_or(self.configured, |told| *told.min(&self.configured))
    }

    /// The transport, with batches that each of the topics takes: one that is too large is refused with all its records,
    /// however small they are.
    pub(crate) fn applied_to<T: Transport>(&self, transport: &T) -> T {
        match self.told.values().min() {
            Some(smallest) => transport.with_batches_up_to(*smallest),
            None => transport.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use transport::Memory;

    use super::*;

    fn configured(bytes: usize) -> TopicLimits {
        TopicLimits::new(bytes, ["small", "large", "missing"].map(str::to_owned).to_vec())
    }

    fn memory() -> Memory {
        let memory = Memory::new();
        for (topic, bytes) in [("small", 10_000), ("large", 1_000_000)] {
            memory.create_topic(topic, 1);
            memory.set_topic_max_record_bytes(topic, bytes);
        }
        memory
    }

    #[tokio::test]
    async fn each_topic_has_its_own_limit_and_never_more_than_configured() {
        let limits = configured(50_000).look_up(&memory()).await;
        let check = |topic: &str, expect: usize| assert_eq!(limits.of(topic), expect, "{topic}");
        check("small", 10_000 - AROUND);
        check("large", 50_000);
        check("missing", 50_000);
    }

    #[tokio::test]
    async fn brokers_that_do_not_answer_leave_what_is_configured() {
        let memory = memory();
        memory.set_reachable(false);
        let mut limits = configured(50_000).look_up(&memory).await;
        assert_eq!(limits.of("small"), 50_000);
        assert!(limits.learn(&memory).await.is_err());
        memory.set_reachable(true);
        assert!(limits.learn(&memory).await.unwrap());
        assert_eq!(limits.of("small"), 10_000 - AROUND);
        assert!(!limits.learn(&memory).await.unwrap(), "no news");
        memory.set_topic_max_record_bytes("small", 5_000);
        assert!(limits.learn(&memory).await.unwrap());
    }
}
