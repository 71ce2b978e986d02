//! Named places at which a process can be told to die, so that tests see what is left of it.
//!
//! `MILLSTREAM_CRASH_AT=after-run:3` ends the process (SIGABRT), without any cleaning up, the third time that it
//! comes to that place. Without the variable each place costs one load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that names the place.
pub const VARIABLE: &str = "MILLSTREAM_CRASH_AT";

/// A place to die at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Records have been read; nothing has been done with them.
    AfterFetch,
    /// A batch has been run; nothing of it has been published.
    AfterRun,
    /// Outcomes are acknowledged (in a transaction: sent); no offset has been committed.
    AfterProduce,
    /// The offsets are about to be committed, or to be added to the transaction.
    BeforeOffsets,
    /// The offsets are committed, or have been added to the transaction.
    AfterOffsets,
    /// The transaction is about to be committed.
    BeforeCommit,
    /// The transaction has been committed.
    AfterCommit,
    /// Partitions are being given up.
    InRevoke,
}

impl CrashPoint {
    /// Every place.
    pub const ALL: [Self; 8] = [
        Self::AfterFetch,
        Self::AfterRun,
        Self::AfterProduce,
        Self::BeforeOffsets,
        Self::AfterOffsets,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::InRevoke,
    ];

    /// The name in the variable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AfterFetch => "after-fetch",
            Self::AfterRun => "after-run",
            Self::AfterProduce => "after-produce",
            Self::BeforeOffsets => "before-offsets",
            Self::AfterOffsets => "after-offsets",
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::InRevoke => "in-revoke",
        }
    }

    /// Dies here, if that is what the process was told.
    pub fn pass(self) {
        if let Some(armed) = armed()
            && armed.at == self
            && armed.passes_left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            die();
        }
    }
}

struct Armed {
    at: CrashPoint,
    passes_left: AtomicU64,
}

fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    ARMED.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?)).as_ref()
}

fn parse(text: &str) -> Option<Armed> {
    let (name, count) = text.split_once(':').unwrap_or((text, "1"));
    let at = CrashPoint::ALL.into_iter().find(|point| point.as_str() == name)?;
    Some(Armed { at, passes_left: AtomicU64::new(count.parse().ok()?) })
}

// No destructor, no flushing, no leaving of groups.
fn die() -> ! {
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_place_and_a_count() {
        let check = |text: &str, expect: Option<(CrashPoint, u64)>| {
            let read = parse(text).map(|armed| (armed.at, armed.passes_left.into_inner()));
            assert_eq!(read, expect, "{text}");
        };
        check("after-run:3", Some((CrashPoint::AfterRun, 3)));
        check("in-revoke", Some((CrashPoint::InRevoke, 1)));
        check("after-lunch", None);
        check("after-run:soon", None);
    }
}
