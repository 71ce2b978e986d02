//! Errors, sorted by what the caller does next.

use std::fmt;

use crate::record::Partition;

/// The world is broken in some way; which way decides what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    /// The settings cannot work: tell the user and stop. Trying again changes nothing.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// It may well work a moment later: try again.
    #[error("{what}: {reason}")]
    Unavailable {
        /// What was attempted.
        what: String,
        /// Why it did not work, and what to look at.
        reason: String,
    },
    /// The group has given the partitions to somebody else: forget the work on them and go on.
    #[error("{what}: {reason}")]
    LostMembership {
        /// What was attempted.
        what: String,
        /// Why it did not work.
        reason: String,
    },
    /// It will not heal by itself: stop without committing; a restart is the retry.
    #[error("{what}: {reason}")]
    Fatal {
        /// What was attempted.
        what: String,
        /// Why it did not work, and what to do.
        reason: String,
    },
}

impl TransportError {
    /// Whether trying the same again may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the partitions belong to somebody else by now.
    pub fn is_lost_membership(&self) -> bool {
        matches!(self, Self::LostMembership { .. })
    }

    /// Whether the only thing left is to stop.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Fatal { .. })
    }
}

/// Settings that cannot work: names the key and says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    /// The key, as it is written in the configuration (`kafka.security.mechanism`).
    pub key: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl ConfigError {
    /// The fault of `key`.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }
}

/// What to do about a record that was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishErrorKind {
    /// A fact about this record: it is larger than the client or the topic allows. Sending it again never helps.
    TooLarge,
    /// The broker did not answer in time; sending again may succeed (and may double the record).
    Retryable,
    /// The publisher or its rights are broken: stop.
    Fatal,
}

/// One record that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRecord {
    /// Its place in the records given to `publish`.
    pub index: usize,
    /// What to do about it.
    pub kind: PublishErrorKind,
    /// Why, in words.
    pub reason: String,
}

/// Some records of one call were not acknowledged; all others were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishError {
    // Ordered by index, never empty.
    failures: Vec<FailedRecord>,
    published: usize,
}

impl PublishError {
    /// From the failures of one call over `total` records. `None` when nothing failed.
    pub fn from_failures(mut failures: Vec<FailedRecord>, total: usize) -> Option<Self> {
        if failures.is_empty() {
            return None;
        }
        failures.sort_by_key(|failure| failure.index);
        let published = total.saturating_sub(failures.len());
        Some(Self { failures, published })
    }

    /// Every record that was not acknowledged, by index; never empty. Records not listed are acknowledged.
    pub fn failures(&self) -> &[FailedRecord] {
        &self.failures
    }

    /// The index of the first record that was not acknowledged.
    pub fn index(&self) -> usize {
        self.worst().index
    }

    /// Whether every failure is about its own record being too large, so that the rest of the world is well.
    pub fn too_large(&self) -> bool {
        self.failures.iter().all(|failure| failure.kind == PublishErrorKind::TooLarge)
    }

    /// Whether nothing failed fatally and at least one record may succeed when it is sent again.
    pub fn is_retryable(&self) -> bool {
        !self.is_fatal() && !self.too_large()
    }

    /// Whether the publisher or its rights are broken.
    pub fn is_fatal(&self) -> bool {
        self.failures.iter().any(|failure| failure.kind == PublishErrorKind::Fatal)
    }

    // The failure that decides what the caller does: a fatal one before a retryable one before a large one.
    fn worst(&self) -> &FailedRecord {
        let by_kind = |kind| self.failures.iter().find(|failure| failure.kind == kind);
        by_kind(PublishErrorKind::Fatal)
            .or_else(|| by_kind(PublishErrorKind::Retryable))
            .or_else(|| self.failures.first())
            .expect("a publish error holds at least one failure")
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = self.worst();
        write!(f, "record {} was not acknowledged: {}", worst.index, worst.reason)?;
        if self.failures.len() > 1 {
            write!(f, " ({} records failed, {} were acknowledged)", self.failures.len(), self.published)?;
        }
        Ok(())
    }
}

impl std::error::Error for PublishError {}

/// Lists partitions for people: `jobs/0, jobs/3`.
pub(crate) fn list_partitions(partitions: &[Partition]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
