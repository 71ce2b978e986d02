//! Reading without a group: all partitions of one topic, and a notion of "the end".

use std::collections::BTreeMap;
use std::future::Future;

use crate::error::TransportError;
use crate::record::{Offset, Received};

/// Where a reader begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the oldest record that is still there.
    Beginning,
    /// After the newest record: only what comes from now on.
    End,
    /// At the given offset of each partition; partitions that are not named begin at the beginning.
    Offsets(BTreeMap<i32, Offset>),
}

/// Reads all partitions of one topic, outside any group, committing nothing.
pub trait Reader: Send {
    /// The next record, in order within each partition.
    ///
    /// `Ok(None)` comes exactly once: when everything that was in the topic as the reader was opened has been
    /// returned. Whoever wants only that stops there; whoever calls again waits for new records. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Result<Option<Received>, TransportError>> + Send;

    /// Whether everything that was in the topic as the reader was opened has been returned.
    fn caught_up(&self) -> bool;

    /// For each partition, by number, the end as it was when the reader was opened: the offset after its last record.
    fn end(&self) -> &BTreeMap<i32, Offset>;
}
