//! What went wrong in a transaction, sorted by what is certain: undone, somebody else's, or not known.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::{FailedRecord, PublishError, PublishErrorKind, TransportError};
use crate::kafka::errors::{publish_kind, publish_reason, read_advice};
use crate::record::Record;
use crate::transactions::TransactionError;

/// An error of a step, with what librdkafka says about it.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) code: Code,
    /// The producer is of no more use.
    pub(super) fatal: bool,
    /// The transaction has to be undone.
    pub(super) abortable: bool,
    /// The step may be tried again.
    pub(super) retriable: bool,
    pub(super) reason: String,
}

impl Fault {
    pub(super) fn of(error: &KafkaError) -> Self {
        let KafkaError::Transaction(native) = error else {
            // Among others a flush that rdkafka does by itself: nothing is known but the code.
            let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
            return Self {
                code,
                fatal: false,
                abortable: false,
                retriable: false,
                reason: error.to_string(),
            };
        };
        Self {
            code: native.code(),
            fatal: native.is_fatal(),
            abortable: native.txn_requires_abort(),
            retriable: native.is_retriable(),
            reason: native.string(),
        }
    }

    /// Whether the same step may succeed when it is tried again.
    pub(super) fn may_pass(&self) -> bool {
        self.retriable && !self.fatal && !self.abortable
    }

    // Whether another took over the transactional id, or the brokers gave up on the transaction.
    fn is_fenced(&self) -> bool {
        matches!(self.code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
    }

    // The request may be carried out later, when nobody expects it any more.
    fn is_indefinite(&self) -> bool {
        matches!(
            self.code,
            Code::OperationTimedOut
                | Code::TimedOutQueue
                | Code::RequestTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::NetworkException
                | Code::Resolve
        )
    }
}

/// What to do, and what to say when it is done.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Undo the transaction; if that works, this is the outcome.
    Undo(TransactionError),
    /// The producer is of no more use.
    GiveUp(TransactionError),
}

/// Sorts what stopped a transaction before its commit was asked for.
pub(super) fn before_commit(fault: &Fault, id: &str, still_held: bool) -> Verdict {
    let reason = fault.reason.clone();
    if fault.fatal {
        return Verdict::GiveUp(broken(fault, id));
    }
    if !fault.abortable || fault.is_indefinite() {
        return Verdict::GiveUp(TransactionError::Unknown { reason });
    }
    Verdict::Undo(match fault.code {
        // The group moved on to its next generation a moment before its members hear of it.
        Code::IllegalGeneration | Code::StaleMemberEpoch | Code::RebalanceInProgress if still_held => {
            TransactionError::Aborted { reason }
        }
        Code::IllegalGeneration
        | Code::StaleMemberEpoch
        | Code::RebalanceInProgress
        | Code::UnknownMemberId
        | Code::FencedMemberEpoch
        | Code::FencedInstanceId => TransactionError::LostMembership { reason },
        Code::GroupAuthorizationFailed => {
            fatal(format!("{reason}; the user needs the right Read on the group"))
        }
        Code::TopicAuthorizationFailed => fatal(format!(
            "{reason}; the user needs the rights Write and Describe on the topics it publishes to"
        )),
        Code::OffsetMetadataTooLarge => {
            fatal(format!("{reason}; raise `offset.metadata.max.bytes` of the brokers"))
        }
        Code::InvalidTopic | Code::InvalidGroupId | Code::UnknownTopicOrPartition => {
            fatal(format!("{reason}{}", read_advice(fault.code)))
        }
        _ => TransactionError::Aborted { reason },
    })
}

/// Sorts an error of the commit itself: unless the producer was shut out or has no right to it, the commit may have
/// been carried out.
pub(super) fn of_commit(fault: &Fault, id: &str) -> TransactionError {
    if fault.fatal { broken(fault, id) } else { TransactionError::Unknown { reason: fault.reason.clone() } }
}

/// Sorts what became of records; `None` when they failed only because the transaction had.
pub(super) fn of_records(failures: &[(usize, Code)], records: &[Record]) -> Option<Verdict> {
    let of_kind = |kind| failures.iter().filter(move |(_, code)| kind_of(*code) == Some(kind));
    let reason = |(index, code): &(usize, Code)| {
        let record = records.get(*index);
        let (topic, bytes) = record.map_or(("", 0), |record| (&*record.topic, record.size()));
        publish_reason(*code, topic, bytes)
    };
    if let Some(first) = of_kind(PublishErrorKind::Fatal).next() {
        return Some(Verdict::Undo(fatal(format!("record {}: {}", first.0, reason(first)))));
    }
    let too_large: Vec<FailedRecord> = of_kind(PublishErrorKind::TooLarge)
        .map(|failure| FailedRecord {
            index: failure.0,
            kind: PublishErrorKind::TooLarge,
            reason: reason(failure),
        })
        .collect();
    let count = too_large.len();
    // Of a transaction that is undone nothing is published.
    if let Some(error) = PublishError::from_failures(too_large, count) {
        return Some(Verdict::Undo(TransactionError::TooLarge(error)));
    }
    let first = of_kind(PublishErrorKind::Retryable).next()?;
    let reason = format!("record {}: {}", first.0, reason(first));
    Some(Verdict::Undo(TransactionError::Aborted { reason }))
}

// What is wrong with the record itself; `None` when it only shared the fate of its transaction.
fn kind_of(code: Code) -> Option<PublishErrorKind> {
    match code {
        Code::PurgeQueue
        | Code::PurgeInflight
        | Code::State
        | Code::Fatal
        | Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::OutOfOrderSequenceNumber
        | Code::UnknownProducerId
        | Code::TransactionalIdAuthorizationFailed => None,
        code => Some(publish_kind(code)),
    }
}

fn broken(fault: &Fault, id: &str) -> TransactionError {
    let reason = fault.reason.clone();
    match fault.code {
        _ if fault.is_fenced() => TransactionError::Fenced {
            reason: format!(
                "transactional id `{id}` was taken over, or a transaction took too long: {reason}"
            ),
        },
        Code::TransactionalIdAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::UnsupportedFeature
        | Code::UnsupportedForMessageFormat => fatal(format!("{reason}{}", advice(fault.code, id))),
        _ => TransactionError::Unknown { reason },
    }
}

/// Sorts why a transactional id could not be taken over; `None` when trying again may help.
pub(super) fn of_init(fault: &Fault, id: &str) -> Option<TransportError> {
    if fault.may_pass() || (!fault.fatal && fault.is_indefinite()) {
        return None;
    }
    let reason = format!("{}{}", fault.reason, advice(fault.code, id));
    let what = format!("cannot take over transactional id `{id}`");
    if fault.is_fenced() {
        return Some(TransportError::Unavailable { what, reason });
    }
    Some(TransportError::Fatal { what, reason })
}

fn advice(code: Code, id: &str) -> String {
    match code {
        Code::TransactionalIdAuthorizationFailed => {
            format!("; the user needs the rights Write and Describe on TransactionalId `{id}`")
        }
        Code::ClusterAuthorizationFailed => "; the user needs the right IdempotentWrite on the cluster".into(),
        Code::InvalidTransactionTimeout => {
            "; raise `transaction.max.timeout.ms` of the brokers to 10000 at least".into()
        }
        Code::UnsupportedFeature | Code::UnsupportedForMessageFormat => {
            "; the brokers are too old for transactions: use Kafka 2.5 or newer, or `delivery = \"at-least-once\"`".into()
        }
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => {
            "; another worker uses the same id: give each its own slot".into()
        }
        code => read_advice(code).into(),
    }
}

fn fatal(reason: String) -> TransactionError {
    TransactionError::Fatal(TransportError::Fatal { what: "cannot commit a transaction".into(), reason })
}

#[cfg(test)]
#[path = "sort/tests.rs"]
mod tests;
