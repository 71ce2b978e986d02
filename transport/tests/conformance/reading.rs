//! Reading without a group.

use std::collections::BTreeMap;
use std::time::Duration;

use transport::{Offset, ReadFrom, Reader, Received, Transport};

use crate::backend::{Backend, check_complete, number, numbered, publish, soon, unique};

async fn to_end(reader: &mut impl Reader) -> Vec<Received> {
    let mut records = Vec::new();
    while let Some(received) = soon("a record", reader.next()).await.unwrap() {
        records.push(received);
    }
    records
}

pub(crate) async fn knows_the_end<B: Backend>(backend: &B) {
    let topic = backend.topic(3).await;
    let mut empty = backend.transport().reader(&topic, ReadFrom::Beginning).await.unwrap();
    assert!(to_end(&mut empty).await.is_empty());
    assert!(empty.caught_up());

    publish(backend, numbered(&topic, 0..500)).await;
    let mut reader = backend.transport().reader(&topic, ReadFrom::Beginning).await.unwrap();
    assert!(!reader.caught_up());
    assert_eq!(reader.end().values().map(|end| end.get()).sum::<i64>(), 500);
    check_complete(&to_end(&mut reader).await, 500);
    assert!(reader.caught_up());

    // Whoever calls again follows, and is not told of the end again.
    publish(backend, numbered(&topic, [500])).await;
    assert_eq!(soon("the new one", reader.next()).await.unwrap().as_ref().map(number), Some(500));
    let nothing = tokio::time::timeout(Duration::from_millis(300), reader.next()).await;
    assert!(nothing.is_err());
    assert!(soon("the first", empty.next()).await.unwrap().is_some());
}

pub(crate) async fn starts_where_it_is_told<B: Backend>(backend: &B) {
    let topic = backend.topic(2).await;
    publish(backend, numbered(&topic, 0..100)).await;
    let all = to_end(&mut backend.transport().reader(&topic, ReadFrom::Beginning).await.unwrap()).await;
    let in_first = all.iter().filter(|r| r.position.partition.index == 0).count();

    let offsets = BTreeMap::from([(0, Offset::new(10))]);
    let mut reader = backend.transport().reader(&topic, ReadFrom::Offsets(offsets)).await.unwrap();
    let some = to_end(&mut reader).await;
    assert_eq!(some.len(), 90);
    assert_eq!(some.iter().filter(|r| r.position.partition.index == 0).count(), in_first - 10);

    let mut reader = backend.transport().reader(&topic, ReadFrom::End).await.unwrap();
    assert!(to_end(&mut reader).await.is_empty());
    publish(backend, numbered(&topic, [100])).await;
    assert_eq!(soon("the new one", reader.next()).await.unwrap().as_ref().map(number), Some(100));
}

pub(crate) async fn of_an_unknown_topic_fails<B: Backend>(backend: &B) {
    let topic = unique("missing");
    let error =
        backend.transport().reader(&topic, ReadFrom::Beginning).await.err().expect("there is no such topic");
    assert!(error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("create"), "{error}");
}
