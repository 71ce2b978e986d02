//! Which of librdkafka's settings a user may change, and why not the others.

use crate::error::ConfigError;

/// The settings of one kind of client that may be overridden, and those that may not with the reason.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    allowed: &'static [&'static [&'static str]],
    fixed: &'static [(&'static str, &'static str)],
}

/// For consumers and readers.
pub(crate) const CONSUMER: Rules = Rules { allowed: &[COMMON, READING], fixed: FIXED };

/// For producers.
pub(crate) const PRODUCER: Rules = Rules { allowed: &[COMMON, WRITING], fixed: FIXED };

const COMMON: &[&str] = &[
    "broker.address.family",
    "broker.address.ttl",
    "client.dns.lookup",
    "connections.max.idle.ms",
    "log.connection.close",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.sigalgs.list",
    "statistics.interval.ms",
    "topic.metadata.propagation.max.ms",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms",
];

const READING: &[&str] = &[
    "check.crcs",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "session.timeout.ms",
];

const WRITING: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "compression.level",
    "compression.type",
    "linger.ms",
    "message.max.bytes",
    "message.timeout.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.timeout.ms",
    "sticky.partitioning.linger.ms",
];

const DURABLE: &str =
    "records count as published only when every in-sync replica has them, once and in order";
const COMMITS: &str = "offsets are committed by the worker, after the outcomes are published";
const OWN_KEY: &str = "it has a key of its own under `kafka`";
const SECURITY: &str = "it has a key of its own under `kafka.security`";
const RUNS_CODE: &str = "a configuration must not be able to load libraries or start programs";

const FIXED: &[(&str, &str)] = &[
    ("acks", DURABLE),
    ("request.required.acks", DURABLE),
    ("enable.idempotence", DURABLE),
    ("enable.gapless.guarantee", DURABLE),
    ("max.in.flight", DURABLE),
    ("max.in.flight.requests.per.connection", DURABLE),
    ("retries", DURABLE),
    ("message.send.max.retries", DURABLE),
    ("partitioner", "every producer must choose the same partition for the same key"),
    ("transactional.id", "transactions are begun and ended by the worker"),
    ("transaction.timeout.ms", "transactions are begun and ended by the worker"),
    ("enable.auto.commit", COMMITS),
    ("auto.commit.enable", COMMITS),
    ("auto.commit.interval.ms", COMMITS),
    ("enable.auto.offset.store", COMMITS),
    ("auto.offset.reset", "a group that starts late must read the jobs submitted before it"),
    ("isolation.level", "records of aborted transactions must not be read"),
    ("partition.assignment.strategy", "members with different strategies cannot share a group"),
    ("enable.partition.eof", "the reader depends on it"),
    ("allow.auto.create.topics", "a mistyped topic must be an error; create topics explicitly"),
    ("bootstrap.servers", OWN_KEY),
    ("metadata.broker.list", OWN_KEY),
    ("client.id", OWN_KEY),
    ("client.rack", OWN_KEY),
    ("group.id", "the group is named after the pipeline and its stages"),
    ("group.instance.id", "it is made of the worker's slot; set `worker.static_membership`"),
    ("group.protocol", OWN_KEY),
    ("security.protocol", SECURITY),
    ("sasl.mechanism", SECURITY),
    ("sasl.mechanisms", SECURITY),
    ("sasl.username", SECURITY),
    ("sasl.password", SECURITY),
    ("ssl.ca.location", SECURITY),
    ("ssl.certificate.location", SECURITY),
    ("ssl.key.location", SECURITY),
    ("ssl.key.password", SECURITY),
    (
        "enable.ssl.certificate.verification",
        "an unverified broker could be anybody; set `kafka.security.ca_file`",
    ),
    ("ssl.endpoint.identification.algorithm", "an unverified broker could be anybody"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "unsigned tokens prove nothing"),
    ("plugin.library.paths", RUNS_CODE),
    ("sasl.kerberos.kinit.cmd", RUNS_CODE),
];

impl Rules {
    /// Whether the user may set `name` in `section` (`consumer` or `producer`) of the configuration.
    pub(crate) fn check(self, section: &str, name: &str) -> Result<(), ConfigError> {
        if self.allowed().any(|allowed| allowed == name) {
            return Ok(());
        }
        let key = format!("kafka.{section}.\"{name}\"");
        if let Some((_, reason)) = self.fixed.iter().find(|(fixed, _)| *fixed == name) {
            return Err(ConfigError::new(key, format!("cannot be changed: {reason}; remove it")));
        }
        let mut allowed: Vec<&str> = self.allowed().collect();
        allowed.sort_unstable();
        let problem = format!("is not a setting that can be changed here; these are: {}", allowed.join(", "));
        Err(ConfigError::new(key, problem))
    }

    fn allowed(self) -> impl Iterator<Item = &'static str> {
        self.allowed.iter().flat_map(|names| names.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rdkafka::ClientConfig;

    use super::*;

    fn check(rules: Rules, section: &str, name: &str, expect: &str) {
        let answer = match rules.check(section, name) {
            Ok(()) => "allowed".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(answer.starts_with(expect), "{answer}");
    }

    #[test]
    fn answers_say_why() {
        check(CONSUMER, "consumer", "fetch.wait.max.ms", "allowed");
        check(PRODUCER, "producer", "linger.ms", "allowed");
        check(
            CONSUMER,
            "consumer",
            "enable.auto.commit",
            "kafka.consumer.\"enable.auto.commit\": cannot be changed: offsets are committed by the worker, after the \
             outcomes are published; remove it",
        );
        check(
            PRODUCER,
            "producer",
            "acks",
            "kafka.producer.\"acks\": cannot be changed: records count as published",
        );
        check(
            PRODUCER,
            "producer",
            "fetch.wait.max.ms",
            "kafka.producer.\"fetch.wait.max.ms\": is not a setting that can be changed here; these are: \
             batch.num.messages, batch.size, broker.address.family",
        );
        check(
            CONSUMER,
            "consumer",
            "plugin.library.paths",
            "kafka.consumer.\"plugin.library.paths\": cannot",
        );
    }

    #[test]
    fn every_name_is_one_that_librdkafka_knows() {
        let names = CONSUMER.allowed().chain(PRODUCER.allowed()).chain(FIXED.iter().map(|(name, _)| *name));
        for name in names {
            // Most names refuse this value, but only unknown ones are refused for their name.
            let answer = ClientConfig::new().set(name, "?").create_native_config().map(drop);
            let answer = format!("{answer:?}");
            assert!(!answer.contains("No such configuration property"), "{name}: {answer}");
        }
    }

    #[test]
    fn nothing_is_both_allowed_and_fixed() {
        let allowed: BTreeSet<&str> = CONSUMER.allowed().chain(PRODUCER.allowed()).collect();
        assert!(FIXED.iter().all(|(name, _)| !allowed.contains(name)));
    }
}
