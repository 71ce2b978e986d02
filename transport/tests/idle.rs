//! An idle consumer and an idle publisher cost next to nothing. Alone in its binary, because it measures the process.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use transport::{
    Consumer, ConsumerOptions, DevBroker, Event, Kafka, Publisher, Record, TopicSpec, Transport,
};

// User and system time of this process, all threads.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let after_name = stat.rsplit(')').next().expect("the name is in parentheses");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 =
        [fields[11], fields[12]].map(|field| field.parse::<u64>().expect("a number")).iter().sum();
    // `USER_HZ` is 100 on every Linux.
    Duration::from_millis(ticks * 10)
}

#[tokio::test]
async fn idling_takes_less_than_one_percent_of_a_core() {
    let broker = DevBroker::start(&[TopicSpec::new("jobs", 4)]).unwrap();
    let kafka = Kafka::new(broker.config()).unwrap();
    let publisher = kafka.publisher().await.unwrap();
    publisher.publish(vec![Record::new("jobs", "x")]).await.unwrap();
    let mut consumer = kafka.consumer("group", &["jobs".into()], ConsumerOptions::default()).await.unwrap();
    while !matches!(consumer.next().await, Some(Event::Records(_))) {}

    let (begin, before) = (Instant::now(), processor_time());
    tokio::time::timeout(Duration::from_secs(10), async { while consumer.next().await.is_some() {} })
        .await
        .ok();
    let share = (processor_time() - before).as_secs_f64() / begin.elapsed().as_secs_f64();
    // The embedded broker is in the same process and counts too.
    assert!(share < 0.01, "{:.1} % of a core", share * 100.0);
    drop(publisher);
}
