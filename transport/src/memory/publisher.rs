//! Publishes into memory.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::cluster::Cluster;
use crate::error::{FailedRecord, PublishError, PublishErrorKind};
use crate::publisher::Publisher;
use crate::record::Record;

/// Publishes into memory.
#[derive(Clone)]
pub struct MemoryPublisher {
    pub(super) cluster: Arc<Cluster>,
}

impl Publisher for MemoryPublisher {
    fn publish(
        &self,
        records: Vec<Record>,
    ) -> impl Future<Output = Result<(), PublishError>> + Send + 'static {
        let cluster = self.cluster.clone();
        let total = records.len();
        let (held, result) = cluster.publish(records);
        let timeout = cluster.lock().message_timeout;
        async move {
            let mut result = result;
            let settled = match held {
                None => (&mut result).await,
                Some(id) => match tokio::time::timeout(timeout, &mut result).await {
                    Ok(settled) => settled,
                    // Settled in this very moment, or given up.
                    Err(_) if !cluster.give_up(id) => (&mut result).await,
                    Err(_) => return all_failed(total),
                },
            };
            settled.unwrap_or_else(|_| all_failed(total))
        }
    }
}

fn all_failed(total: usize) -> Result<(), PublishError> {
    let failed = |index| FailedRecord {
        index,
        kind: PublishErrorKind::Retryable,
        reason: "no broker took it in time".into(),
    };
    PublishError::from_failures((0..total).map(failed).collect(), total).map_or(Ok(()), Err)
}

impl fmt::Debug for MemoryPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPublisher").finish_non_exhaustive()
    }
}
