//! librdkafka's error codes, sorted by what the caller does next.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::{ConfigError, PublishErrorKind, TransportError};

/// What an error reported while reading means for the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadFault {
    /// Nothing to say: librdkafka tries again by itself, and the status shows how the brokers are.
    Passing,
    /// No broker can be reached any more.
    AllBrokersDown,
    /// Worth telling; it may heal.
    Unavailable,
    /// The brokers refuse this client: it can only be a mistake if it never worked before.
    Refused,
    /// The membership is gone; the client joins again by itself.
    LostMembership,
    /// It will not heal.
    Fatal,
}

/// Sorts an error that came up while reading.
pub(crate) fn read_fault(code: Code) -> ReadFault {
    match code {
        Code::AllBrokersDown => ReadFault::AllBrokersDown,
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::SSL
        | Code::UnreleasedInstanceId
        | Code::GroupMaxSizeReached => ReadFault::Unavailable,
        Code::Authentication | Code::SaslAuthenticationFailed => ReadFault::Refused,
        Code::PollExceeded | Code::AssignmentLost => ReadFault::LostMembership,
        // A corrupt batch is skipped by librdkafka; going on would commit past records that nobody has seen.
        Code::BadMessage
        | Code::BadCompression
        | Code::NotImplemented
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::UnsupportedFeature
        | Code::UnsupportedVersion
        | Code::UnsupportedAssignor
        | Code::InconsistentGroupProtocol
        | Code::InvalidGroupId
        | Code::InvalidSessionTimeout
        | Code::InvalidTopic
        | Code::FencedInstanceId
        | Code::CriticalSystemResource
        | Code::Fatal => ReadFault::Fatal,
        _ => ReadFault::Passing,
    }
}

/// Says what can be done about an error that came up while reading.
pub(crate) fn read_advice(code: Code) -> &'static str {
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "; create the topic, it is then read without a restart"
        }
        Code::TopicAuthorizationFailed => "; the user needs the rights Read and Describe on the topic",
        Code::GroupAuthorizationFailed => "; the user needs the right Read on the group",
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "; check username, password and mechanism in `kafka.security`"
        }
        Code::SSL => "; check `kafka.security.ca_file` and the certificates' dates",
        Code::InconsistentGroupProtocol => {
            "; other members of the group assign partitions differently: stop them, or use another group"
        }
        Code::FencedInstanceId | Code::UnreleasedInstanceId => {
            "; another member has the same name: give each worker of a stage its own slot (worker.slot or --slot)"
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature => {
            "; the brokers are too old for this setting (`kafka.group_protocol = \"consumer\"` needs Kafka 4.0)"
        }
        Code::BadMessage | Code::BadCompression => "; the record was damaged on disk or on its way",
        _ => "",
    }
}

/// Sorts the answer to a commit.
pub(crate) fn commit_error(error: &KafkaError) -> Option<TransportError> {
    let what = || "cannot commit offsets".to_owned();
    let Some(code) = error.rdkafka_error_code() else {
        return Some(TransportError::Fatal { what: what(), reason: error.to_string() });
    };
    let reason = code.to_string();
    match code {
        // Every offset was committed already.
        Code::NoError | Code::NoOffset => None,
        Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::FencedMemberEpoch
        | Code::AssignmentLost
        | Code::UnknownGroup
        | Code::DestroyBroker => Some(TransportError::LostMembership { what: what(), reason }),
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::NetworkException
        | Code::WaitingForCoordinator
        | Code::InProgress
        | Code::PreviousInProgress
        | Code::Conflict
        | Code::Outdated
        | Code::Retry
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::RebalanceInProgress
        | Code::StaleMemberEpoch
        | Code::UnstableOffsetCommit
        | Code::ThrottlingQuotaExceeded
        | Code::Unknown => Some(TransportError::Unavailable { what: what(), reason }),
        Code::GroupAuthorizationFailed => Some(TransportError::Fatal {
            what: what(),
            reason: format!("{reason}; the user needs the right Read on the group"),
        }),
        Code::FencedInstanceId => {
            Some(TransportError::Fatal { what: what(), reason: format!("{reason}{}", read_advice(code)) })
        }
        _ => Some(TransportError::Fatal { what: what(), reason }),
    }
}

/// Sorts what became of a record.
pub(crate) fn publish_kind(code: Code) -> PublishErrorKind {
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            PublishErrorKind::TooLarge
        }
        Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::InvalidTopic
        | Code::InvalidArgument
        | Code::InvalidRecord
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::InvalidRequiredAcks
        | Code::PolicyViolation
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::Fatal
        | Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::OutOfOrderSequenceNumber
        | Code::UnknownProducerId
        | Code::GaplessGuarantee
        | Code::Inconsistent
        | Code::PurgeQueue
        | Code::PurgeInflight
        | Code::State => PublishErrorKind::Fatal,
        _ => PublishErrorKind::Retryable,
    }
}

/// Says why a record was not published, and what can be done.
pub(crate) fn publish_reason(code: Code, topic: &str, bytes: usize) -> String {
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => format!(
            "its {bytes} bytes are more than topic `{topic}` or this producer takes (`max.message.bytes` of the topic, \
             `kafka.producer.\"message.max.bytes\"`)"
        ),
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            format!("topic `{topic}` does not exist; create it")
        }
        Code::TopicAuthorizationFailed => {
            format!("no permission for topic `{topic}`; the user needs the rights Write and Describe on it")
        }
        Code::MessageTimedOut => {
            format!("topic `{topic}` did not take it in time (`kafka.producer.\"message.timeout.ms\"`)")
        }
        Code::PurgeQueue | Code::PurgeInflight => "the publisher was closed before it was sent".into(),
        code => format!("topic `{topic}`: {code}"),
    }
}

/// An error while a client is made or set up: librdkafka refuses a setting, or there is no thread or socket left.
pub(crate) fn client_error(what: &str, error: &KafkaError) -> TransportError {
    match error {
        // The value is left out: it may be a password.
        KafkaError::ClientConfig(_, description, name, _) => {
            ConfigError::new(format!("kafka.…\"{name}\""), shorten(description, name)).into()
        }
        // librdkafka refuses settings that do not go together, and keys that it cannot read.
        KafkaError::ClientCreation(reason) => ConfigError::new("kafka", creation_problem(reason)).into(),
        error => TransportError::Fatal { what: what.into(), reason: error.to_string() },
    }
}

fn creation_problem(reason: &str) -> String {
    let advice = if reason.contains("ssl.key") {
        "; check `kafka.security.key_file` and its passphrase, `key_password`"
    } else if reason.contains("ssl.certificate") {
        "; check `kafka.security.certificate_file`"
    } else if reason.contains("ssl.ca") {
        "; check `kafka.security.ca_file`"
    } else {
        ""
    };
    format!("librdkafka does not accept the settings: {reason}{advice}")
}

// librdkafka's text often quotes the value; keep what comes before it when the setting is a secret.
fn shorten(description: &str, name: &str) -> String {
    if name.contains("password") || name.contains("username") {
        "is not accepted by librdkafka".into()
    } else {
        format!("is not accepted by librdkafka: {description}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_sorted_by_what_to_do() {
        let check = |code, expect: &str| {
            let sorted = match commit_error(&KafkaError::ConsumerCommit(code)) {
                None => "done",
                Some(error) if error.is_retryable() => "again",
                Some(error) if error.is_lost_membership() => "lost",
                Some(error) if error.is_fatal() => "stop",
                Some(error) => panic!("{error:?}"),
            };
            assert_eq!(sorted, expect, "{code:?}");
        };
        check(Code::NoOffset, "done");
        check(Code::BrokerTransportFailure, "again");
        check(Code::RebalanceInProgress, "again");
        check(Code::StaleMemberEpoch, "again");
        check(Code::IllegalGeneration, "lost");
        check(Code::UnknownMemberId, "lost");
        check(Code::FencedMemberEpoch, "lost");
        check(Code::FencedInstanceId, "stop");
        check(Code::GroupAuthorizationFailed, "stop");
        check(Code::OffsetMetadataTooLarge, "stop");
    }

    #[test]
    fn records_are_sorted_by_what_to_do() {
        let check = |code, expect| assert_eq!(publish_kind(code), expect, "{code:?}");
        check(Code::MessageSizeTooLarge, PublishErrorKind::TooLarge);
        check(Code::MessageTimedOut, PublishErrorKind::Retryable);
        check(Code::NotEnoughReplicas, PublishErrorKind::Retryable);
        check(Code::UnknownTopic, PublishErrorKind::Fatal);
        check(Code::Fatal, PublishErrorKind::Fatal);
    }

    #[test]
    fn damaged_records_stop_the_reader() {
        assert_eq!(read_fault(Code::BadMessage), ReadFault::Fatal);
        assert_eq!(read_fault(Code::BrokerTransportFailure), ReadFault::Passing);
        assert_eq!(read_fault(Code::AllBrokersDown), ReadFault::AllBrokersDown);
    }

    #[test]
    fn a_refused_password_is_not_repeated() {
        let error = KafkaError::ClientConfig(
            rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
            "bad hunter2".into(),
            "sasl.password".into(),
            "hunter2".into(),
        );
        let error = client_error("x", &error);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
