//! What happens to a record on its way.

use bytes::Bytes;
use transport::{ConsumerOptions, Header, PublishErrorKind, Publisher, Record, Transport};

use crate::backend::{Backend, Complete, check_complete, join, noise, numbered, publish, read, soon, unique};

pub(crate) async fn keep_their_order_within_a_partition<B: Backend>(backend: &B) {
    let topic = backend.topic(3).await;
    let publisher = backend.transport().publisher().await.unwrap();
    // Not awaited one by one: the order of the calls counts, not that of the polls.
    let calls: Vec<_> =
        (0..20).map(|call| publisher.publish(numbered(&topic, call * 100..(call + 1) * 100))).collect();
    for call in calls.into_iter().rev() {
        soon("publish", call).await.unwrap();
    }
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    check_complete(&read(&mut consumer, 2000).await, 2000);
}

pub(crate) async fn go_where_java_puts_them<B: Backend>(backend: &B) {
    // `Utils.toPositive(Utils.murmur2(key)) % 12` in Java.
    let expect = [("21", 0), ("foobar", 6), ("a-little-bit-long-string", 8), ("abc", 3), ("", 9)];
    let topic = backend.topic(12).await;
    publish(backend, expect.map(|(key, _)| Record::new(&*topic, key).with_key(key)).into()).await;
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    let records = read(&mut consumer, expect.len()).await;
    for (key, partition) in expect {
        let received = records.iter().find(|r| r.record.key.as_deref() == Some(key.as_bytes())).unwrap();
        assert_eq!(received.position.partition.index, partition, "{key}");
    }
}

pub(crate) async fn keep_headers_keys_and_nulls<B: Backend>(backend: &B) {
    let topic = backend.topic(1).await;
    let null = |name: &'static str| Header { name: name.into(), value: None };
    let with_headers = Record {
        headers: vec![
            Header::new("b", "1"),
            Header::new("a", "2"),
            Header::new("b", "3"),
            Header::new("empty", ""),
            null("null"),
            Header::new("bytes", vec![0, 159, 146, 150]),
            null("b"),
        ],
        ..Record::new(&*topic, "value")
    };
    let sent = vec![
        with_headers,
        Record { value: None, ..Record::new(&*topic, "").with_key("key") },
        Record::new(&*topic, "").with_key(""),
    ];
    publish(backend, sent.clone()).await;
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    let came: Vec<Record> = read(&mut consumer, sent.len()).await.into_iter().map(|r| r.record).collect();
    assert_eq!(came, sent);
}

pub(crate) async fn may_be_big<B: Backend>(backend: &B) {
    let topic = backend.topic(1).await;
    let value: Bytes =
        (0..3 * 1024 * 1024_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    publish(backend, vec![Record::new(&*topic, value.clone())]).await;
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    let records = read(&mut consumer, 1).await;
    assert!(records[0].record.value == Some(value), "the bytes differ");
}

pub(crate) async fn that_are_too_large_fail_alone<B: Backend>(backend: &B) {
    let topic = backend.topic(1).await;
    let publisher = backend.transport().publisher().await.unwrap();
    let small = |text: &'static str| Record::new(&*topic, text);
    let records = vec![small("first"), Record::new(&*topic, vec![7; 5 * 1024 * 1024]), small("last")];
    let error = soon("publish", publisher.publish(records)).await.unwrap_err();
    assert!(error.too_large() && !error.is_retryable() && !error.is_fatal(), "{error}");
    assert_eq!(error.index(), 1);
    assert_eq!(error.failures().len(), 1);
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    let came: Vec<_> = read(&mut consumer, 2).await.into_iter().map(|r| r.record.value.unwrap()).collect();
    assert_eq!(came, ["first", "last"]);
}

pub(crate) async fn are_limited_by_their_topic<B: Complete>(backend: &B) {
    let (small, normal) = (backend.topic_of_small_records(10_000).await, backend.topic(1).await);
    let missing = unique("missing");
    let topics = [small.clone(), normal.clone(), missing];
    let limits = soon("limits", backend.transport().max_record_bytes(&topics)).await.unwrap();
    assert_eq!(limits.len(), 2, "{limits:?}");
    assert!((9_000..=10_000).contains(&limits[&small]), "{limits:?}");
    assert!(limits[&normal] > 1_000_000, "{limits:?}");
    let publisher = backend.transport().publisher().await.unwrap();
    let publish = async |bytes: usize| {
        let record = Record::new(&*small, noise(bytes));
        soon("publish", publisher.publish(vec![record])).await
    };
    publish(limits[&small]).await.unwrap();
    assert!(publish(limits[&small] + 1_000).await.unwrap_err().too_large());
    assert!(backend.transport().max_record_bytes(&[]).await.unwrap().is_empty());
}

pub(crate) async fn of_an_unknown_topic_fail<B: Backend>(backend: &B) {
    let topic = unique("missing");
    let publisher = backend.transport().publisher().await.unwrap();
    let error = soon("publish", publisher.publish(vec![Record::new(&*topic, "x")])).await.unwrap_err();
    assert!(error.is_fatal(), "{error}");
    assert_eq!(error.failures()[0].kind, PublishErrorKind::Fatal);
    assert!(error.to_string().contains(&format!("topic `{topic}` does not exist")), "{error}");
}

/// More records than the producer holds (20,000), from several callers at once.
pub(crate) async fn more_than_fit_into_memory_wait_their_turn<B: Backend>(backend: &B) {
    let topic = backend.topic(4).await;
    let publisher = backend.transport().publisher().await.unwrap();
    let calls: Vec<_> =
        (0..6).map(|call| publisher.publish(numbered(&topic, call * 5_000..(call + 1) * 5_000))).collect();
    for call in calls {
        soon("publish", call).await.unwrap();
    }
    let mut consumer = join(backend, &unique("group"), &topic, ConsumerOptions::default()).await;
    check_complete(&read(&mut consumer, 30_000).await, 30_000);
}
