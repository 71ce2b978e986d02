//! How much is measured.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// Counts and times of one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Plan {
    pub(crate) is_quick: bool,
    /// Jobs before anything is measured.
    pub(crate) warm_up: usize,
    /// Jobs that wait when the workers go on.
    pub(crate) backlog: usize,
    /// How many backlogs; their median counts.
    pub(crate) rounds: usize,
    pub(crate) latency_seconds: u64,
    /// The first part of a run at half load, which does not count.
    pub(crate) latency_warm_up_seconds: u64,
    /// How many cold starts; their median counts.
    pub(crate) starts: usize,
    pub(crate) idle_seconds: u64,
    pub(crate) model_seconds: u64,
}

impl Plan {
    pub(crate) fn from_environment() -> Result<Self> {
        let is_quick = std::env::var("MILLSTREAM_BENCH_QUICK").is_ok_and(|quick| quick == "1");
        let mut plan = if is_quick { Self::quick() } else { Self::full() };
        if let Ok(seconds) = std::env::var("MILLSTREAM_BENCH_IDLE_SECONDS") {
            plan.idle_seconds = seconds.parse().context("MILLSTREAM_BENCH_IDLE_SECONDS is not a number")?;
        }
        Ok(plan)
    }

    fn full() -> Self {
        Self {
            is_quick: false,
            warm_up: 10_000,
            backlog: 100_000,
            rounds: 3,
            latency_seconds: 30,
            latency_warm_up_seconds: 5,
            starts: 5,
            idle_seconds: 600,
            model_seconds: 10,
        }
    }

    fn quick() -> Self {
        Self {
            is_quick: true,
            warm_up: 2_000,
            backlog: 15_000,
            rounds: 1,
            latency_seconds: 6,
            latency_warm_up_seconds: 1,
            starts: 2,
            idle_seconds: 10,
            model_seconds: 2,
        }
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }
}
