//! Topics as vectors of records, one per partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::partitioner::partition_of_key;
use crate::record::{Offset, Partition, Position, Received, Record};

/// All topics, by name.
#[derive(Debug, Default)]
pub(super) struct Topics(BTreeMap<Arc<str>, Topic>);

#[derive(Debug)]
struct Topic {
    partitions: Vec<Vec<Received>>,
    // Records without a key go round.
    turn: i32,
}

impl Topics {
    /// Whether the topic is new.
    pub(super) fn create(&mut self, name: &str, partitions: i32) -> bool {
        assert!(partitions > 0, "a topic has at least one partition");
        if self.0.contains_key(name) {
            return false;
        }
        let partitions = (0..partitions).map(|_| Vec::new()).collect();
        self.0.insert(name.into(), Topic { partitions, turn: 0 });
        true
    }

    /// Number of partitions, if the topic exists.
    pub(super) fn partitions(&self, name: &str) -> Option<i32> {
        self.0.get(name).map(|topic| i32::try_from(topic.partitions.len()).expect("created with an i32"))
    }

    /// Where the record went; `None` when its topic does not exist.
    pub(super) fn append(&mut self, record: Record) -> Option<Position> {
        let count = self.partitions(&record.topic)?;
        let topic = self.0.get_mut(&record.topic)?;
        let index = match &record.key {
            Some(key) => partition_of_key(key, count),
            None => {
                topic.turn = (topic.turn + 1) % count;
                topic.turn
            }
        };
        let log = topic.partitions.get_mut(usize::try_from(index).expect("a partition is not negative"))?;
        let offset = Offset::new(i64::try_from(log.len()).expect("memory is smaller than an i64"));
        let position = Position { partition: Partition { topic: record.topic.clone(), index }, offset };
        log.push(Received { record, position: position.clone(), timestamp_ms: Some(now_ms()) });
        Some(position)
    }

    /// The record at an offset.
    pub(super) fn get(&self, partition: &Partition, offset: Offset) -> Option<&Received> {
        self.log(partition)?.get(usize::try_from(offset.get()).ok()?)
    }

    /// The offset after the last record.
    pub(super) fn end(&self, partition: &Partition) -> Offset {
        let length = self.log(partition).map_or(0, Vec::len);
        Offset::new(i64::try_from(length).expect("memory is smaller than an i64"))
    }

    /// All records of a topic, partition by partition.
    pub(super) fn records(&self, name: &str) -> Vec<Received> {
        self.0.get(name).map(|topic| topic.partitions.concat()).unwrap_or_default()
    }

    fn log(&self, partition: &Partition) -> Option<&Vec<Received>> {
        self.0.get(&partition.topic)?.partitions.get(usize::try_from(partition.index).ok()?)
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
