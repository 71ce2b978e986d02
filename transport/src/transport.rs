//! The ends of a transport behind one trait: Kafka and its in-memory twin.

use std::collections::BTreeMap;
use std::future::Future;

use crate::consumer::{Consumer, ConsumerOptions};
use crate::error::TransportError;
use crate::publisher::Publisher;
use crate::reader::{ReadFrom, Reader};
use crate::transactions::Transactions;

/// Where records travel. Clones lead to the same place.
pub trait Transport: Clone + Send + Sync + 'static {
    /// Reads as a member of a group.
    type Consumer: Consumer + Sync + 'static;
    /// Writes.
    type Publisher: Publisher;
    /// Writes and commits as one.
    type Transactions: Transactions<Consumer = Self::Consumer>;
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

    /// Transactions under the id `transactional_id`. Whoever had the id before is shut
    /// out, and what it left unfinished is undone (or finished) before this returns.
    ///
    /// # Errors
    ///
    /// [`TransportError::Config`] on a broker that knows no transactions.
    fn transactions(
        &self,
        transactional_id: &str,
    ) -> impl Future<Output = Result<Self::Transactions, TransportError>> + Send;

    /// The largest record that each of these topics takes, in bytes of key, value and headers, where the brokers tell:
    /// a topic that they do not tell of is not in the answer.
    fn max_record_bytes(
        &self,
        topics: &[String],
    ) -> impl Future<Output = Result<BTreeMap<String, usize>, TransportError>> + Send;

    /// The same transport, whose publishers and transactions put no more than so many bytes into one batch, unless the
    /// configuration says how many: a topic refuses a batch that is larger than it takes, with all its records.
    #[must_use]
    fn with_batches_up_to(&self, bytes: usize) -> Self;

    /// The same transport for topics on which little comes, and where half a second matters to nobody: its readers and
    /// consumers ask less often whether there is something, unless the configuration says how often. What comes is told at
    /// once all the same; only partitions that are assigned or resumed wait.
    #[must_use]
    fn at_leisure(&self) -> Self;

    /// A reader of all partitions of `topic`.
    fn reader(
        &self,
        topic: &str,
        from: ReadFrom,
    ) -> impl Future<Output = Result<Self::Reader, TransportError>> + Send;
}
