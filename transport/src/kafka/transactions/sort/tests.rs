use super::*;

enum Flag {
    Fatal,
    Abortable,
    Retriable,
    None,
}

fn fault(code: Code, flag: &Flag) -> Fault {
    Fault {
        code,
        fatal: matches!(flag, Flag::Fatal),
        abortable: matches!(flag, Flag::Abortable),
        retriable: matches!(flag, Flag::Retriable),
        reason: "why".into(),
    }
}

fn name(error: &TransactionError) -> &'static str {
    match error {
        TransactionError::Aborted { .. } => "aborted",
        TransactionError::LostMembership { .. } => "lost",
        TransactionError::TooLarge(_) => "too large",
        TransactionError::Fenced { .. } => "fenced",
        TransactionError::Unknown { .. } => "unknown",
        TransactionError::Fatal(_) => "fatal",
    }
}

#[test]
fn what_happens_before_the_commit_is_certain_or_given_up() {
    let check = |code, flag, held, expect: &str| {
        let verdict = match before_commit(&fault(code, &flag), "id", held) {
            Verdict::Undo(error) => format!("undo: {}", name(&error)),
            Verdict::GiveUp(error) => name(&error).to_owned(),
        };
        assert_eq!(verdict, expect, "{code:?}, held: {held}");
    };
    check(Code::Fenced, Flag::Fatal, true, "fenced");
    check(Code::InvalidProducerEpoch, Flag::Fatal, true, "fenced");
    check(Code::TransactionalIdAuthorizationFailed, Flag::Fatal, true, "fatal");
    check(Code::InvalidTransactionalState, Flag::Fatal, true, "unknown");
    check(Code::IllegalGeneration, Flag::Abortable, true, "undo: aborted");
    check(Code::IllegalGeneration, Flag::Abortable, false, "undo: lost");
    check(Code::UnknownMemberId, Flag::Abortable, true, "undo: lost");
    check(Code::FencedInstanceId, Flag::Abortable, true, "undo: lost");
    check(Code::GroupAuthorizationFailed, Flag::Abortable, true, "undo: fatal");
    check(Code::TopicAuthorizationFailed, Flag::Abortable, true, "undo: fatal");
    check(Code::Inconsistent, Flag::Abortable, true, "undo: aborted");
    check(Code::OperationTimedOut, Flag::Abortable, true, "unknown");
    check(Code::BrokerTransportFailure, Flag::Retriable, true, "unknown");
    check(Code::State, Flag::None, true, "unknown");
}

#[test]
fn a_commit_that_fails_may_have_happened() {
    let check =
        |code, flag, expect| assert_eq!(name(&of_commit(&fault(code, &flag), "id")), expect, "{code:?}");
    check(Code::Fenced, Flag::Fatal, "fenced");
    check(Code::OperationTimedOut, Flag::Retriable, "unknown");
    check(Code::UnknownProducerId, Flag::Abortable, "unknown");
    check(Code::TransactionalIdAuthorizationFailed, Flag::Fatal, "fatal");
    check(Code::State, Flag::None, "unknown");
}

#[test]
fn records_decide_when_they_are_to_blame() {
    let check = |failures: &[(usize, Code)], expect: &str| {
        let records = vec![Record::new("t", "x"); 8];
        let verdict = match of_records(failures, &records) {
            None => "not to blame".to_owned(),
            Some(Verdict::Undo(TransactionError::TooLarge(error))) => {
                let indexes: Vec<usize> = error.failures().iter().map(|failure| failure.index).collect();
                format!("too large: {indexes:?}")
            }
            Some(Verdict::Undo(error)) => name(&error).to_owned(),
            Some(Verdict::GiveUp(error)) => panic!("{error}"),
        };
        assert_eq!(verdict, expect, "{failures:?}");
    };
    check(&[], "not to blame");
    check(&[(0, Code::PurgeQueue), (1, Code::State)], "not to blame");
    check(&[(0, Code::PurgeQueue), (3, Code::MessageSizeTooLarge)], "too large: [3]");
    check(&[(1, Code::MessageTimedOut), (3, Code::MessageSizeTooLarge)], "too large: [3]");
    check(&[(2, Code::UnknownTopic), (3, Code::MessageSizeTooLarge)], "fatal");
    check(&[(1, Code::MessageTimedOut), (2, Code::PurgeInflight)], "aborted");
}

#[test]
fn a_take_over_is_tried_again_or_explained() {
    let check = |code, flag, expect: Option<&str>| {
        let text = of_init(&fault(code, &flag), "id").map(|error| error.to_string());
        assert_eq!(text.as_deref(), expect, "{code:?}");
    };
    check(Code::OperationTimedOut, Flag::Retriable, None);
    check(Code::BrokerTransportFailure, Flag::None, None);
    check(
        Code::TransactionalIdAuthorizationFailed,
        Flag::Fatal,
        Some(
            "cannot take over transactional id `id`: why; the user needs the rights Write and Describe on \
             TransactionalId `id`",
        ),
    );
}
