use proptest::prelude::*;
use schemas::{Limits, Stage, Timestamp};
use transport::{Offset, Position, Received, Record};

use super::*;
use crate::fetch::Fetcher;

const DELAY: Duration = Duration::from_millis(10);

fn batcher(max_size: usize, max_bytes: usize) -> Batcher {
    Batcher::new(BatchLimits { max_size, max_bytes, max_delay: DELAY })
}

fn entry(index: i32, offset: i64, bytes: usize, at: Instant) -> Entry {
    let fetcher = Fetcher {
        pipeline: "p".into(),
        stage: Stage::Preprocess,
        sharing: vec!["p".into()],
        limits: Limits::default(),
    };
    let partition = Partition::new("t", index);
    let received = Received {
        record: Record::new("t", vec![0; bytes]),
        position: Position { partition, offset: Offset::new(offset) },
        timestamp_ms: None,
    };
    fetcher.entry(received, at, &Timestamp::from_unix_micros(0))
}

fn offsets(batch: &Batch) -> Vec<(i32, i64)> {
    let position = |entry: &Entry| entry.origin.received.position.clone();
    batch.entries.iter().map(position).map(|at| (at.partition.index, at.offset.get())).collect()
}

#[test]
fn leaves_when_full_due_or_idle() {
    let start = Instant::now();
    let mut batcher = batcher(2, 1000);
    assert_eq!(batcher.ready(start, true), None, "nothing waits");
    batcher.push(entry(0, 0, 10, start));
    assert_eq!(batcher.ready(start, false), None);
    assert_eq!(batcher.ready(start, true), Some(Release::Idle));
    assert_eq!(batcher.ready(start + DELAY, false), Some(Release::Delay));
    batcher.push(entry(0, 1, 10, start));
    assert_eq!(batcher.ready(start, false), Some(Release::Full));
}

#[test]
fn is_due_by_its_oldest_entry() {
    let start = Instant::now();
    let mut batcher = batcher(10, 1000);
    batcher.push(entry(0, 0, 1, start));
    batcher.push(entry(0, 1, 1, start + DELAY));
    assert_eq!(batcher.due_at(), Some(start + DELAY));
    batcher.take(Release::Delay, |_| true);
    assert_eq!(batcher.due_at(), None);
}

#[test]
fn takes_no_more_than_the_limits() {
    let start = Instant::now();
    let mut by_size = batcher(2, 1000);
    (0..5).for_each(|offset| by_size.push(entry(0, offset, 1, start)));
    assert_eq!(offsets(&by_size.take(Release::Full, |_| true)), [(0, 0), (0, 1)]);
    assert_eq!(by_size.len(), 3);

    let mut by_bytes = batcher(10, 100);
    for (offset, bytes) in [(0, 60), (1, 60), (2, 500), (3, 10)] {
        by_bytes.push(entry(0, offset, bytes, start));
    }
    assert_eq!(offsets(&by_bytes.take(Release::Full, |_| true)), [(0, 0)]);
    assert_eq!(offsets(&by_bytes.take(Release::Full, |_| true)), [(0, 1)]);
    assert_eq!(
        offsets(&by_bytes.take(Release::Full, |_| true)),
        [(0, 2)],
        "a record over the limit travels alone"
    );
    assert_eq!(offsets(&by_bytes.take(Release::Full, |_| true)), [(0, 3)]);
    assert_eq!(by_bytes.bytes(), 0);
}

#[test]
fn forgets_only_revoked_partitions() {
    let start = Instant::now();
    let mut batcher = batcher(10, 1000);
    for (index, offset) in [(0, 0), (1, 0), (0, 1), (2, 0)] {
        batcher.push(entry(index, offset, 7, start));
    }
    assert_eq!(batcher.forget(&[Partition::new("t", 0), Partition::new("t", 9)]), 2);
    assert_eq!(batcher.bytes(), 14);
    assert_eq!(offsets(&batcher.take(Release::Idle, |_| true)), [(1, 0), (2, 0)]);
}

proptest! {
    /// Nothing is lost, doubled or reordered within a partition, and the progress of the batches taken so far is
    /// exactly what they hold.
    #[test]
    fn every_entry_leaves_once_in_order(
        pushes in prop::collection::vec((0..4i32, 0..50usize), 0..80),
        max_size in 1..10usize,
        max_bytes in 1..200usize,
    ) {
        let start = Instant::now();
        let mut batcher = batcher(max_size, max_bytes);
        let mut expected: Vec<Vec<i64>> = vec![Vec::new(); 4];
        for &(index, bytes) in &pushes {
            let offset = i64::try_from(expected[index as usize].len()).unwrap();
            expected[index as usize].push(offset);
            batcher.push(entry(index, offset, bytes, start));
        }
        let mut seen: Vec<Vec<i64>> = vec![Vec::new(); 4];
        while !batcher.is_empty() {
            let batch = batcher.take(Release::Full, |_| true);
            prop_assert!(!batch.entries.is_empty() && batch.entries.len() <= max_size);
            prop_assert!(batch.bytes <= max_bytes || batch.entries.len() == 1);
            for (index, offset) in offsets(&batch) {
                seen[index as usize].push(offset);
            }
            for (partition, next) in batch.progress.iter() {
                prop_assert_eq!(Some(next.get() - 1), seen[partition.index as usize].last().copied());
            }
        }
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(batcher.bytes(), 0);
    }
}
