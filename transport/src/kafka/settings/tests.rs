use super::*;
use crate::config::{Mechanism, Protocol, SecurityConfig, Setting};

fn consumer(change: impl FnOnce(&mut KafkaConfig)) -> Result<Settings, ConfigError> {
    let mut config = KafkaConfig::new("127.0.0.1:9092");
    change(&mut config);
    Settings::consumer(&config, "group", &ConsumerOptions::default())
}

fn listed(settings: &Settings) -> String {
    settings.0.iter().map(|(name, value)| format!("{name}={}\n", value.expose())).collect()
}

fn overriding(name: &str, value: &str) -> BTreeMap<String, Setting> {
    BTreeMap::from([(name.to_owned(), Setting::from(value))])
}

#[test]
fn a_consumer_has_exactly_these() {
    let settings = consumer(|config| config.rack = Some("a".into())).unwrap();
    let expect = "\
allow.auto.create.topics=false
auto.offset.reset=earliest
bootstrap.servers=127.0.0.1:9092
check.crcs=true
client.id=millstream
client.rack=a
enable.auto.commit=false
enable.auto.offset.store=false
enable.partition.eof=false
fetch.message.max.bytes=4194304
fetch.queue.backoff.ms=20
fetch.wait.max.ms=100
group.id=group
group.protocol=classic
heartbeat.interval.ms=3000
isolation.level=read_committed
max.poll.interval.ms=60000
partition.assignment.strategy=cooperative-sticky
queued.max.messages.kbytes=16384
queued.min.messages=1000
reconnect.backoff.max.ms=2000
security.protocol=plaintext
session.timeout.ms=15000
socket.keepalive.enable=true
statistics.interval.ms=5000
";
    assert_eq!(listed(&settings), expect);
}

#[test]
fn five_heartbeats_fit_into_a_session_unless_it_is_said_how_many() {
    let check = |overrides: &[(&str, i64)], expect: &str| {
        let pairs = overrides.iter().map(|(name, value)| ((*name).to_owned(), Setting::Int(*value)));
        let config = KafkaConfig { consumer: pairs.collect(), ..KafkaConfig::new("127.0.0.1:9092") };
        let options =
            ConsumerOptions { drain_timeout: Duration::from_millis(100), ..ConsumerOptions::default() };
        let settings = Settings::consumer(&config, "group", &options).unwrap();
        assert_eq!(settings.get("heartbeat.interval.ms"), Some(expect), "{overrides:?}");
    };
    check(&[], "3000");
    check(&[("session.timeout.ms", 45_000)], "3000");
    check(&[("session.timeout.ms", 6_000)], "1200");
    check(&[("session.timeout.ms", 6_000), ("heartbeat.interval.ms", 2_000)], "2000");
}

#[test]
fn a_producer_has_exactly_these() {
    let settings = Settings::producer(&KafkaConfig::new("127.0.0.1:9092")).unwrap();
    let expect = "\
acks=all
allow.auto.create.topics=false
batch.size=524288
bootstrap.servers=127.0.0.1:9092
client.id=millstream
compression.type=lz4
enable.idempotence=true
linger.ms=2
message.max.bytes=4194304
message.timeout.ms=30000
partitioner=murmur2_random
queue.buffering.max.kbytes=65536
queue.buffering.max.messages=20000
reconnect.backoff.max.ms=2000
security.protocol=plaintext
socket.keepalive.enable=true
";
    assert_eq!(listed(&settings), expect);
}

#[test]
fn librdkafka_accepts_them() {
    let config = KafkaConfig::new("127.0.0.1:9092");
    let options = ConsumerOptions::default();
    for settings in [
        Settings::consumer(&config, "group", &options),
        Settings::reader(&config),
        Settings::producer(&config),
        Settings::admin(&config),
    ] {
        settings.unwrap().client_config().create_native_config().unwrap();
    }
}

#[test]
fn broker_assignment_leaves_to_the_broker_what_is_the_brokers() {
    let settings = consumer(|config| config.group_protocol = GroupProtocol::Consumer).unwrap();
    assert_eq!(settings.get("group.protocol"), Some("consumer"));
    for name in ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"] {
        assert_eq!(settings.get(name), None, "{name}");
    }
    let error = consumer(|config| {
        config.group_protocol = GroupProtocol::Consumer;
        config.consumer = overriding("session.timeout.ms", "20000");
    })
    .unwrap_err();
    assert!(error.to_string().contains("is a setting of the broker"), "{error}");
}

#[test]
fn a_member_with_a_fixed_name_gets_time_to_restart() {
    let check = |overrides: BTreeMap<String, Setting>, session: &str| {
        let config = KafkaConfig { consumer: overrides, ..KafkaConfig::new("127.0.0.1:9092") };
        let options =
            ConsumerOptions { instance_id: Some("inference-0".into()), ..ConsumerOptions::default() };
        let settings = Settings::consumer(&config, "group", &options).unwrap();
        assert_eq!(settings.get("group.instance.id"), Some("inference-0"));
        assert_eq!(settings.get("session.timeout.ms"), Some(session));
    };
    check(BTreeMap::new(), "45000");
    check(overriding("session.timeout.ms", "20000"), "20000");
}

#[test]
fn overrides_are_applied_or_refused() {
    let settings = consumer(|config| config.consumer = overriding("fetch.wait.max.ms", "7")).unwrap();
    assert_eq!(settings.get("fetch.wait.max.ms"), Some("7"));
    let error =
        consumer(|config| config.consumer = overriding("isolation.level", "read_uncommitted")).unwrap_err();
    assert_eq!(error.key, "kafka.consumer.\"isolation.level\"");
}

#[test]
fn the_drain_timeout_fits_into_the_session() {
    let check = |drain: u64, session: &str, poll: &str, expect: Option<&str>| {
        let mut config = KafkaConfig::default();
        config.consumer.insert("session.timeout.ms".into(), session.into());
        config.consumer.insert("max.poll.interval.ms".into(), poll.into());
        let options =
            ConsumerOptions { drain_timeout: Duration::from_millis(drain), ..ConsumerOptions::default() };
        let error = Settings::consumer(&config, "group", &options).err().map(|error| error.to_string());
        match (&error, expect) {
            (None, None) => {}
            (Some(error), Some(expect)) => assert!(error.starts_with(expect), "{error}"),
            _ => panic!("{error:?}, but expected {expect:?}"),
        }
    };
    check(10_000, "15000", "60000", None);
    check(
        15_000,
        "15000",
        "60000",
        Some("drain_timeout: 15000 ms is not below `session.timeout.ms` (15000 ms)"),
    );
    check(1_000, "60000", "60000", Some("kafka.consumer.\"session.timeout.ms\": 60000 ms is not below"));
    check(1_000, "soon", "60000", Some("kafka.…\"session.timeout.ms\": `soon` is not a whole number"));
}

#[test]
fn brokers_are_needed() {
    assert!(
        consumer(|config| config.brokers = "  ".into())
            .unwrap_err()
            .to_string()
            .starts_with("kafka.brokers:")
    );
}

#[cfg(feature = "tls")]
#[test]
fn secrets_reach_the_client_and_nothing_else() {
    let settings = consumer(|config| {
        config.security = SecurityConfig {
            protocol: Protocol::SaslSsl,
            mechanism: Some(Mechanism::ScramSha512),
            username: Some("worker".into()),
            password: Some(Secret::new("hunter2")),
            ..SecurityConfig::default()
        };
    })
    .unwrap();
    assert_eq!(settings.get("sasl.password"), Some("hunter2"));
    let client = settings.client_config();
    assert_eq!(client.get("sasl.password"), Some("hunter2"));
    assert!(!format!("{settings:?} {client:?}").contains("hunter2"));
}
