//! Writing: a record counts as published when every in-sync replica has it.

use std::future::Future;

use crate::error::PublishError;
use crate::record::Record;

/// Writes records; clones share one connection.
pub trait Publisher: Clone + Send + Sync + 'static {
    /// Publishes records; resolves once, when each of them is acknowledged or has failed.
    ///
    /// The records are queued in order before this returns, whether or not the future is polled: of two calls the
    /// earlier one's records come first in each partition. When more is queued than memory allows, the later ones
    /// wait their turn in the future; nothing is dropped. A future that is dropped does not take its records back.
    fn publish(
        &self,
        records: Vec<Record>,
    ) -> impl Future<Output = Result<(), PublishError>> + Send + 'static;
}
