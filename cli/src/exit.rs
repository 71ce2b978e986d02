//! How a command ends: the exit codes that scripts rely on.

use std::fmt;
use std::process::ExitCode;

/// The outcome of a command, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was done.
    Done = 0,
    /// It failed; stderr says why.
    Failed = 1,
    /// Some of several items failed, the others are done.
    Partial = 3,
    /// Kafka (or what else it needs) cannot be reached. `EX_UNAVAILABLE` of sysexits.h.
    Unavailable = 69,
    /// The configuration is wrong. `EX_CONFIG` of sysexits.h.
    Config = 78,
    /// Ended by Ctrl-C, as shells count it: 128 + SIGINT.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that already knows with which code the process should end.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Exit::Failed, error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The alternate form prints the causes too.
        write!(f, "{:#}", self.error)
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

/// Marks an error as one of the configuration or of Kafka's availability.
pub(crate) trait ExitWith<T> {
    fn exit_with(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> ExitWith<T> for Result<T, E> {
    fn exit_with(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}
