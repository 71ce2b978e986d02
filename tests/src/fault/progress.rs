//! How far every stage has come, as its committed offsets say: when it stood still, and when it went on.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{Process, Setting, python};

const REPORT: &str = "progress.lines";

/// What a group had committed at some time, partition by partition.
#[derive(Debug, Clone, Deserialize)]
struct Sample {
    at: f64,
    group: String,
    committed: Vec<i64>,
}

/// Asks for everything that is committed, four times a second.
pub struct Watch {
    process: Process,
    groups: Vec<String>,
    path: String,
    read: u64,
    samples: Vec<Sample>,
}

impl Watch {
    /// Starts to look at these stages.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(setting: &Setting, stages: &[&str]) -> Result<Self> {
        let groups: Vec<String> = stages.iter().map(|stage| setting.topic(stage)).collect();
        let path = setting.file(REPORT);
        let all = groups.join(",");
        let arguments = ["--brokers", setting.direct(), "--groups", &all, "--report", &path];
        let process = python::start(setting.folder(), "progress.py", &arguments)?;
        Ok(Self { process, groups, path, read: 0, samples: Vec::new() })
    }

    /// Reads what it has seen since the last time.
    fn refresh(&mut self) -> Result<()> {
        ensure!(self.process.is_running()?, "progress.py ended: {}", self.process.stderr()?);
        // It may not have opened it yet.
        let Ok(mut file) = File::open(&self.path) else { return Ok(()) };
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // The last line may not be whole yet.
        let Some(end) = text.rfind('\n') else { return Ok(()) };
        for line in text[..end].lines() {
            self.samples.push(serde_json::from_str(line).with_context(|| format!("progress.py: {line}"))?);
        }
        self.read += end as u64 + 1;
        Ok(())
    }

    /// How many records the last stage has settled.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn done(&mut self) -> Result<i64> {
        self.refresh()?;
        let last = self.groups.last().context("some stage is watched")?;
        let newest = self.samples.iter().rev().find(|sample| sample.group == *last);
        Ok(newest.map_or(0, |sample| sample.committed.iter().map(|offset| offset.max(&0)).sum()))
    }

    /// Of how many partitions each stage has committed something, at least.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn least_partitions(&mut self) -> Result<Option<usize>> {
        self.refresh()?;
        let used = |group: &String| {
            let newest = self.samples.iter().rev().find(|sample| sample.group == *group)?;
            Some(newest.committed.iter().filter(|offset| **offset >= 0).count())
        };
        Ok(self.groups.iter().map(used).collect::<Option<Vec<_>>>().and_then(|used| used.into_iter().min()))
    }

    /// When every partition of every stage had gone on, after that time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn went_on(&mut self, since: SystemTime) -> Result<Option<SystemTime>> {
        self.refresh()?;
        let since = since.duration_since(UNIX_EPOCH)?.as_secs_f64();
        let each = self.groups.iter().map(|group| went_on(&self.samples, group, since));
        let last = each.collect::<Option<Vec<f64>>>().into_iter().flatten().reduce(f64::max);
        Ok(last.map(|at| UNIX_EPOCH + Duration::from_secs_f64(at)))
    }
}

/// When all partitions of the group had gone on from where they were first seen at or after `since`. What was committed
/// between the fault and that first look counts as before, so the answer is late rather than early.
fn went_on(samples: &[Sample], group: &str, since: f64) -> Option<f64> {
    let begin = samples.partition_point(|sample| sample.at < since - 5.0);
    let mut after = samples[begin..].iter().filter(|sample| sample.group == group && sample.at >= since);
    let first = after.next()?;
    let moved = |sample: &&Sample| {
        sample.committed.len() >= first.committed.len()
            && sample.committed.iter().zip(&first.committed).all(|(now, then)| now > then)
    };
    after.find(moved).map(|sample| sample.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: f64, group: &str, committed: &[i64]) -> Sample {
        Sample { at, group: group.into(), committed: committed.into() }
    }

    #[test]
    fn every_partition_must_go_on() {
        let samples = [
            sample(1.0, "g", &[5, 5]),
            // The first look after the fault: what it shows is from before.
            sample(2.0, "g", &[7, 6]),
            sample(3.0, "g", &[9, 6]),
            sample(3.5, "other", &[90, 90]),
            sample(4.0, "g", &[9, 7]),
            sample(5.0, "g", &[11, 9, 3]),
        ];
        let check = |since: f64, expect: Option<f64>| {
            assert_eq!(went_on(&samples, "g", since), expect, "since {since}");
        };
        check(1.5, Some(4.0));
        check(2.5, Some(5.0));
        check(4.5, None);
        check(6.0, None);
        assert_eq!(went_on(&samples, "other", 0.0), None);
    }
}
