//! Up to where dead letters can be deleted. Kafka deletes the oldest records of a partition, so a newer one keeps those
//! behind it.

use std::collections::BTreeSet;

use schemas::{Timestamp, TopicNames};
use transport::{Partition, Progress, ReadFrom, Received, Transport, TransportError};

use super::letter::DeadLetter;
use crate::scan::{self, Ends};

/// What a purge deletes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purge {
    /// For each partition the offset after the last record that goes.
    pub below: Progress,
    /// How many records that are.
    pub records: u64,
    /// How many stay.
    pub kept: u64,
}

/// What has to go if everything that failed before a time is to, or everything up to the end.
///
/// # Errors
///
/// When the topic cannot be read.
pub async fn plan_purge<T: Transport>(
    transport: &T,
    topics: &TopicNames,
    ends: &Ends,
    before: Option<&Timestamp>,
) -> Result<Purge, TransportError> {
    let mut purge = Purge::default();
    let mut closed = BTreeSet::new();
    let mut records = scan::open(transport, &topics.dead_letters, ReadFrom::Beginning, ends).await?;
    while let Some(received) = records.next().await? {
        let position = received.position.clone();
        let goes = before.is_none_or(|before| failed_at(received) < *before);
        if goes && !closed.contains(&position.partition.index) {
            purge.below.record(&position);
            purge.records += 1;
        } else {
            closed.insert(position.partition.index);
            purge.kept += 1;
        }
    }
    if before.is_none() && purge.records > 0 {
        // What lies behind the last record (marks of transactions) goes as well.
        let topic: std::sync::Arc<str> = topics.dead_letters.as_str().into();
        let all = ends.iter().filter(|(_, end)| end.get() > 0);
        purge.below.merge(all.map(|(index, end)| (Partition::new(topic.clone(), *index), *end)).collect());
    }
    Ok(purge)
}

/// When the record failed; if it does not say, when it was written.
fn failed_at(received: Received) -> Timestamp {
    let written = Timestamp::from_unix_millis(received.timestamp_ms.unwrap_or(0));
    DeadLetter::read(received).map_or(written, |letter| letter.reason.time)
}
