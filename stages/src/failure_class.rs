//! Failures, sorted by what the caller does next.

/// What to do about a failure. What it was and where is told by its code and its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The same job will always fail: it is a dead letter at once.
    Permanent,
    /// The job was unlucky, as where memory was short or the model took too long: it is run again later.
    Transient,
    /// Whatever is run next fails as well, as on a device that was lost: the worker stops consuming and leaves the
    /// backlog unanswered, for no job of it is to blame.
    Fatal,
}

impl FailureClass {
    /// Whether the same job can succeed when it is run again, by this worker or by another.
    pub const fn is_retriable(self) -> bool {
        !matches!(self, Self::Permanent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_always_fails_is_not_run_again() {
        let check = |class: FailureClass, expect: bool| assert_eq!(class.is_retriable(), expect, "{class:?}");
        check(FailureClass::Permanent, false);
        check(FailureClass::Transient, true);
        check(FailureClass::Fatal, true);
    }
}
