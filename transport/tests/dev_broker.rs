//! What holds on the embedded broker and has no counterpart in memory.

use std::time::Duration;

use transport::{
    Consumer, ConsumerOptions, DevBroker, Event, Kafka, KafkaConfig, Publisher, ReadFrom, Reader, Record,
    TopicAction, TopicAdmin, TopicSpec, Transport, TransportError, probe,
};

const LIMIT: Duration = Duration::from_secs(30);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

#[tokio::test]
async fn the_first_record_comes_within_two_seconds() {
    let begin = std::time::Instant::now();
    let broker = DevBroker::start(&[TopicSpec::new("jobs", 2)]).unwrap();
    let kafka = Kafka::new(broker.config()).unwrap();
    let publisher = kafka.publisher().await.unwrap();
    soon(publisher.publish(vec![Record::new("jobs", "x")])).await.unwrap();
    let mut consumer = kafka.consumer("group", &["jobs".into()], ConsumerOptions::default()).await.unwrap();
    while !matches!(soon(consumer.next()).await, Some(Event::Records(_))) {}
    // Three seconds is what the group's own delay would take.
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_dropped_publisher_sends_what_it_has_taken() {
    let broker = DevBroker::start(&[TopicSpec::new("jobs", 1)]).unwrap();
    let kafka = Kafka::new(broker.config()).unwrap();
    let publisher = kafka.publisher().await.unwrap();
    drop(publisher.publish(vec![Record::new("jobs", "x")]));
    drop(publisher);
    let mut reader = kafka.reader("jobs", ReadFrom::Beginning).await.unwrap();
    loop {
        if let Some(received) = soon(reader.next()).await.unwrap() {
            assert_eq!(received.record.value.as_deref(), Some(&b"x"[..]));
            break;
        }
    }
}

#[tokio::test]
async fn flushing_is_bounded() {
    let broker = DevBroker::start(&[TopicSpec::new("jobs", 1)]).unwrap();
    let publisher = Kafka::new(broker.config()).unwrap().publisher().await.unwrap();
    drop(publisher.publish(vec![Record::new("jobs", "x")]));
    assert!(publisher.flush(LIMIT).await);
    broker.set_reachable(false).await;
    drop(publisher.publish(vec![Record::new("jobs", "y")]));
    assert!(!publisher.flush(Duration::from_millis(200)).await);
}

#[tokio::test]
async fn closing_is_quick_also_without_a_broker() {
    let broker = DevBroker::start(&[TopicSpec::new("jobs", 1)]).unwrap();
    let kafka = Kafka::new(broker.config()).unwrap();
    let mut consumer = kafka.consumer("group", &["jobs".into()], ConsumerOptions::default()).await.unwrap();
    while !matches!(soon(consumer.next()).await, Some(Event::Assigned(_))) {}
    broker.set_reachable(false).await;
    let begin = std::time::Instant::now();
    consumer.close().await;
    assert!(begin.elapsed() < Duration::from_secs(16), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_consumer_that_is_dropped_leaves_the_group() {
    let broker = DevBroker::start(&[TopicSpec::new("jobs", 2)]).unwrap();
    let kafka = Kafka::new(broker.config()).unwrap();
    let topics = ["jobs".to_owned()];
    let join = || kafka.consumer("group", &topics, ConsumerOptions::default());
    let mut first = join().await.unwrap();
    while !matches!(soon(first.next()).await, Some(Event::Assigned(partitions)) if partitions.len() == 2) {}
    let mut second = join().await.unwrap();
    drop(first);
    let mut count = 0;
    while count < 2 {
        if let Some(Event::Assigned(partitions)) = soon(second.next()).await {
            count += partitions.len();
        }
    }
}

#[tokio::test]
async fn the_cluster_is_described() {
    let broker = DevBroker::start(&[TopicSpec::new("jobs", 3)]).unwrap();
    let report = probe(&broker.config(), &["jobs".into(), "other".into()], LIMIT).await.unwrap();
    assert_eq!(report.brokers.len(), 1);
    assert_eq!(report.brokers[0].address, broker.brokers());
    assert!(report.cluster_id.is_some());
    assert_eq!(report.topics[0].partitions.as_ref().unwrap().len(), 3);
    assert_eq!(report.topics[1].partitions, Err("it does not exist; create it".into()));
}

#[tokio::test]
async fn an_unreachable_cluster_is_explained() {
    // Nothing listens on port 1.
    let config = KafkaConfig::new("127.0.0.1:1");
    let error = probe(&config, &[], Duration::from_secs(1)).await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_retryable(), "{error:?}");
    assert!(text.starts_with("no broker of `127.0.0.1:1` answered within 1000 ms: "), "{text}");
    assert!(text.contains("Connection refused; check that a broker runs there"), "{text}");
    assert!(!text.contains("(after "), "{text}");
}

#[tokio::test]
async fn transactions_are_refused() {
    let broker = DevBroker::start(&[TopicSpec::new("jobs", 1)]).unwrap();
    let kafka = Kafka::new(broker.config()).unwrap();
    let error = soon(kafka.transactions("id")).await.unwrap_err();
    assert!(matches!(error, TransportError::Config(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "delivery: `delivery = \"exactly-once\"` needs transactions, which the embedded broker only pretends to have; \
         set `delivery = \"at-least-once\"`, or `kafka.brokers` to a real Kafka"
    );
}

#[tokio::test]
async fn limits_are_not_told() {
    let broker = DevBroker::start(&[TopicSpec::new("jobs", 1)]).unwrap();
    let kafka = Kafka::new(broker.config()).unwrap();
    assert!(soon(kafka.max_record_bytes(&["jobs".into()])).await.unwrap().is_empty());
}

#[tokio::test]
async fn plans_know_what_there_is() {
    let broker = DevBroker::start(&[TopicSpec::new("jobs", 3)]).unwrap();
    let admin = TopicAdmin::new(&broker.config()).unwrap();
    let plan = admin.plan(&[TopicSpec::new("jobs", 3), TopicSpec::new("other", 1)]).await.unwrap();
    assert_eq!(plan[0].action, TopicAction::Keep);
    assert_eq!(plan[1].action, TopicAction::Create);
    let error = admin.apply(&plan).await.unwrap_err();
    assert!(error.to_string().contains("`other`"), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_is_connected() {
    let config = KafkaConfig::new("");
    assert!(Kafka::new(config).is_err());
    let kafka = Kafka::new(KafkaConfig::new("127.0.0.1:1")).unwrap();
    let options = ConsumerOptions { drain_timeout: Duration::from_secs(20), ..ConsumerOptions::default() };
    let error = kafka.consumer("group", &["jobs".into()], options).await.unwrap_err();
    assert!(matches!(error, TransportError::Config(_)), "{error:?}");
    let error = kafka.consumer("group", &[], ConsumerOptions::default()).await.unwrap_err();
    assert!(matches!(error, TransportError::Config(_)), "{error:?}");
}
