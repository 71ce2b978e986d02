//! The three ends of a transport behind one trait: Kafka and its in-memory twin.

use std::future::Future;

use crate::consumer::{Consumer, ConsumerOptions};
use crate::error::TransportError;
use crate::publisher::Publisher;
use crate::reader::{ReadFrom, Reader};

/// Where records travel. Clones lead to the same place.
pub trait Transport: Clone + Send + Sync + 'static {
    /// Reads as a member of a group.
    type Consumer: Consumer + 'static;
    /// Writes.
    type Publisher: Publisher;
    /// Reads without a group.
    type Reader: Reader + 'static;

    /// Joins `group` to read `topics`; a group that has committed nothing begins at the oldest record.
    fn consumer(
        &self,
        group: &str,
        topics: &[String],
        options: ConsumerOptions,
    ) -> impl Future<Output = Result<Self::Consumer, TransportError>> + Send;

    /// A publisher; share its clones rather than making several.
    fn publisher(&self) -> impl Future<Output = Result<Self::Publisher, TransportError>> + Send;

    /// A reader of all partitions of `topic`.
    fn reader(
        &self,
        topic: &str,
        from: ReadFrom,
    ) -> impl Future<Output = Result<Self::Reader, TransportError>> + Send;
}
