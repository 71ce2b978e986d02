//! Transactions on Kafka.

use std::future::Future;
use std::sync::Arc;

use crate::progress::Progress;
use crate::record::Record;
use crate::transactions::{TransactionError, Transactions};

/// Transactions on Kafka.
#[derive(Debug)]
pub struct KafkaTransactions {}

impl Transactions for KafkaTransactions {
    fn commit(
        &self,
        _records: Arc<Vec<Record>>,
        _progress: Progress,
        _note: &str,
    ) -> impl Future<Output = Result<(), TransactionError>> + Send + 'static {
        std::future::ready(Err(TransactionError::Unknown { reason: "not built yet".into() }))
    }
}
