//! Takes the next records of several partitions, within bounds, so that no partition starves.

use super::log::Topics;
use crate::consumer::ConsumerOptions;
use crate::record::{Offset, Partition, Received};

/// The next chunk of partitions, each with the next offset to read; moves those on.
pub(super) fn chunk(
    topics: &Topics,
    mut positions: Vec<(&Partition, &mut Offset)>,
    turn: &mut usize,
    options: &ConsumerOptions,
) -> Vec<Received> {
    let mut records = Vec::new();
    let mut bytes = 0;
    let count = positions.len();
    let most = options.max_chunk.min(options.max_queued_records).max(1);
    let begin = *turn;
    *turn = turn.wrapping_add(1);
    if count > 0 {
        positions.rotate_left(begin % count);
    }
    for (partition, next) in positions {
        while let Some(received) = topics.get(partition, *next) {
            let size = received.record.size();
            let full =
                records.len() >= most || (!records.is_empty() && bytes + size > options.max_queued_bytes);
            if full {
                return records;
            }
            bytes += size;
            records.push(received.clone());
            *next = next.next();
        }
    }
    records
}
