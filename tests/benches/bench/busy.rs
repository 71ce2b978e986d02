//! How busy a core was, with whatever ran on it: a latency says little when it was the load generator's core that was full.

use std::fs;

use anyhow::{Context, Result};

/// What the system has counted for a core so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Busy {
    core: usize,
    total: u64,
    idle: u64,
}

impl Busy {
    pub(crate) fn of(core: usize) -> Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let name = format!("cpu{core} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        let ticks = line.with_context(|| format!("/proc/stat has no core {core}"))?;
        let ticks = ticks.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        // user nice system idle iowait irq softirq steal; what guests use is counted under user already.
        let idle = ticks.iter().skip(3).take(2).sum();
        Ok(Self { core, total: ticks.iter().take(8).sum(), idle })
    }

    /// Percent of the time since then.
    pub(crate) fn percent_since(self) -> Result<f64> {
        let now = Self::of(self.core)?;
        let total = now.total.saturating_sub(self.total).max(1) as f64;
        Ok(100.0 * (1.0 - now.idle.saturating_sub(self.idle) as f64 / total))
    }
}
