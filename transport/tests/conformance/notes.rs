//! What a group has written down comes back.

use transport::{Consumer, ConsumerOptions, Offset, Partition, Progress};

use crate::backend::{Backend, join, numbered, publish, read, soon, unique};

pub(crate) async fn come_back_with_offsets_and_ends<B: Backend>(backend: &B) {
    let topic = backend.topic(3).await;
    let group = unique("group");
    publish(backend, numbered(&topic, 0..90)).await;
    let mut first = join(backend, &group, &topic, ConsumerOptions::default()).await;
    let records = read(&mut first, 90).await;
    let partitions: Vec<Partition> = (0..3).rev().map(|index| Partition::new(&*topic, index)).collect();

    // Before the first commit there is nothing but the ends.
    let before = soon("committed", first.committed(&partitions)).await.unwrap();
    let ends = partitions.iter().map(|partition| {
        let count = records.iter().filter(|received| received.position.partition == *partition).count();
        (partition.clone(), Offset::new(count as i64))
    });
    let ends: Vec<_> = ends.collect();
    let told: Vec<_> = before.iter().map(|committed| (committed.partition.clone(), committed.end)).collect();
    assert_eq!(told, ends);
    assert!(before.iter().all(|committed| committed.next.is_none() && committed.note.is_empty()));

    let commit = |index: i32, next: i64| -> Progress {
        [(Partition::new(&*topic, index), Offset::new(next))].into_iter().collect()
    };
    let note = r#"{"attempts":[3,"ä"]}"#;
    soon("commit", first.commit(commit(0, 2), note)).await.unwrap();
    soon("commit", first.commit(commit(1, 1), "")).await.unwrap();
    soon("commit", first.commit(commit(1, 1), "first")).await.unwrap();
    // The same offset again, only with another note.
    soon("commit", first.commit(commit(1, 1), "second")).await.unwrap();
    let check = |told: &[transport::Committed]| {
        let told: Vec<_> =
            told.iter().map(|c| (c.partition.index, c.next.map(Offset::get), &*c.note)).collect();
        assert_eq!(told, [(2, None, ""), (1, Some(1), "second"), (0, Some(2), note)]);
    };
    check(&soon("committed", first.committed(&partitions)).await.unwrap());
    soon("close", first.close()).await;

    let second = join(backend, &group, &topic, ConsumerOptions::default()).await;
    check(&soon("committed", second.committed(&partitions)).await.unwrap());
    assert!(soon("committed", second.committed(&[])).await.unwrap().is_empty());
}
