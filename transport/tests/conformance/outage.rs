//! The brokers go away and come back.

use std::time::Duration;

use transport::{Consumer, ConsumerOptions, Progress, Publisher, Transport};

use crate::backend::{DEADLINE, Interruptible, check_complete, join, numbered, read, soon, unique};

pub(crate) async fn is_survived<B: Interruptible>(backend: &B) {
    let topic = backend.topic(2).await;
    let publisher = backend.transport().publisher().await.unwrap();
    soon("publish", publisher.publish(numbered(&topic, 0..50))).await.unwrap();
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    let mut records = read(&mut consumer, 50).await;
    let mut status = consumer.status();

    backend.set_reachable(false).await;
    tokio::time::timeout(DEADLINE, status.wait_for(|status| !status.brokers_up))
        .await
        .expect("down")
        .unwrap();
    let published = publisher.publish(numbered(&topic, 50..100));
    tokio::time::sleep(Duration::from_secs(2)).await;

    backend.set_reachable(true).await;
    tokio::time::timeout(DEADLINE, status.wait_for(|status| status.brokers_up)).await.expect("up").unwrap();
    soon("publish", published).await.unwrap();
    records.extend(read(&mut consumer, 50).await);
    check_complete(&records, 100);
    let mut progress = Progress::new();
    for received in &records {
        progress.record(&received.position);
    }
    soon("commit", consumer.commit(progress, "")).await.unwrap();
}
