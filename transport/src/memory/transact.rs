//! What a transaction does to the state: all of it, or nothing.

use super::cluster::State;
use super::transactions::{Inner, Membership, TransactionFault};
use crate::error::{FailedRecord, PublishError, PublishErrorKind, TransportError};
use crate::progress::Progress;
use crate::record::Record;
use crate::transactions::TransactionError;

impl State {
    pub(super) fn transact(
        &mut self,
        by: &Inner,
        records: &[Record],
        progress: &Progress,
        note: &str,
    ) -> Result<(), TransactionError> {
        let injected = || "an injected failure".to_owned();
        if self.transaction_epochs.get(&by.id) != Some(&by.epoch) {
            let reason = format!("transactional id `{}` was taken over", by.id);
            return Err(TransactionError::Fenced { reason });
        }
        let lost = |reason: String| TransactionError::LostMembership { reason };
        let member = by.commits_for.get();
        match member {
            Some(Membership { group, member }) => {
                let (_, group) = self.topics_and_group(group);
                group.check_held(*member, progress).map_err(|error| lost(error.to_string()))?;
            }
            None if !progress.is_empty() => return Err(lost("it commits for nobody".into())),
            None => {}
        }
        let fault = self.transaction_faults.pop_front();
        match fault {
            Some(TransactionFault::Aborted) => return Err(TransactionError::Aborted { reason: injected() }),
            Some(TransactionFault::Fenced) => return Err(TransactionError::Fenced { reason: injected() }),
            Some(TransactionFault::Unknown) => return Err(TransactionError::Unknown { reason: injected() }),
            Some(TransactionFault::UnknownCommitted) | None => {}
        }
        self.check_all(records)?;
        for record in records {
            if self.topics.append(record.clone()).is_none() {
                unreachable!("a record of a missing topic is refused");
            }
        }
        if let Some(Membership { group, member }) = member {
            let (_, group) = self.topics_and_group(group);
            group.commit(*member, progress, note).map_err(TransactionError::Fatal)?;
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(TransactionError::Unknown { reason: injected() }),
        }
    }

    // One record that is refused undoes the whole.
    fn check_all(&mut self, records: &[Record]) -> Result<(), TransactionError> {
        let mut failures: Vec<FailedRecord> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            failures.extend(self.refusal(record).map(|(kind, reason)| FailedRecord { index, kind, reason }));
        }
        let of_kind = |kind| failures.iter().find(move |failure| failure.kind == kind);
        let describe = |failure: &FailedRecord| format!("record {}: {}", failure.index, failure.reason);
        if let Some(failure) = of_kind(PublishErrorKind::Fatal) {
            let what = "cannot commit a transaction".into();
            return Err(TransactionError::Fatal(TransportError::Fatal { what, reason: describe(failure) }));
        }
        if of_kind(PublishErrorKind::TooLarge).is_none() {
            return match of_kind(PublishErrorKind::Retryable) {
                Some(failure) => Err(TransactionError::Aborted { reason: describe(failure) }),
                None => Ok(()),
            };
        }
        failures.retain(|failure| failure.kind == PublishErrorKind::TooLarge);
        let count = failures.len();
        PublishError::from_failures(failures, count)
            .map_or(Ok(()), |error| Err(TransactionError::TooLarge(error)))
    }
}
