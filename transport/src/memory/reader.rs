//! Reads a topic in memory outside any group.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::cluster::{Cluster, wait_for_change};
use super::fetch;
use crate::consumer::ConsumerOptions;
use crate::error::TransportError;
use crate::reader::{ReadFrom, Reader};
use crate::record::{Offset, Partition, Received};

/// Reads all partitions of a topic in memory.
pub struct MemoryReader {
    cluster: Arc<Cluster>,
    next: BTreeMap<Partition, Offset>,
    end: BTreeMap<i32, Offset>,
    turn: usize,
    told_end: bool,
}

impl MemoryReader {
    pub(super) fn open(cluster: &Arc<Cluster>, topic: &str, from: &ReadFrom) -> Result<Self, TransportError> {
        let state = cluster.lock();
        let what = || format!("cannot read `{topic}`");
        if !state.reachable {
            return Err(TransportError::Unavailable {
                what: what(),
                reason: "no broker is reachable".into(),
            });
        }
        let Some(count) = state.topics.partitions(topic) else {
            let reason = "the topic does not exist; create it".into();
            return Err(TransportError::Unavailable { what: what(), reason });
        };
        let mut next = BTreeMap::new();
        let mut end = BTreeMap::new();
        for index in 0..count {
            let partition = Partition::new(topic, index);
            let last = state.topics.end(&partition);
            let begin = match from {
                ReadFrom::Beginning => Offset::ZERO,
                ReadFrom::End => last,
                ReadFrom::Offsets(offsets) => offsets.get(&index).copied().unwrap_or(Offset::ZERO),
            };
            next.insert(partition, begin);
            end.insert(index, last);
        }
        drop(state);
        Ok(Self { cluster: cluster.clone(), next, end, turn: 0, told_end: false })
    }
}

impl Reader for MemoryReader {
    async fn next(&mut self) -> Result<Option<Received>, TransportError> {
        let one = ConsumerOptions { max_chunk: 1, ..ConsumerOptions::default() };
        let mut changes = self.cluster.changes();
        loop {
            changes.mark_unchanged();
            if !self.told_end && self.caught_up() {
                self.told_end = true;
                return Ok(None);
            }
            {
                let state = self.cluster.lock();
                if state.reachable {
                    let positions = self.next.iter_mut().collect();
                    let mut records = fetch::chunk(&state.topics, positions, &mut self.turn, &one);
                    if let Some(received) = records.pop() {
                        return Ok(Some(received));
                    }
                }
            }
            wait_for_change(&mut changes, None).await;
        }
    }

    fn caught_up(&self) -> bool {
        self.next
            .iter()
            .all(|(partition, next)| *next >= self.end.get(&partition.index).copied().unwrap_or(Offset::ZERO))
    }

    fn end(&self) -> &BTreeMap<i32, Offset> {
        &self.end
    }
}

impl fmt::Debug for MemoryReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReader").finish_non_exhaustive()
    }
}
