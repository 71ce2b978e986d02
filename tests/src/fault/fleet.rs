//! The worker processes of a fault test, and their supervisor: who dies is started again, as a process manager would.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

use super::say;
use crate::process::Signal;
use crate::{Setting, Worker};

/// The three stages, each in processes of its own.
pub const STAGES: [&str; 3] = ["preprocess", "inference", "postprocess"];
/// The places of each stage that are taken from the beginning.
pub const SLOTS: [&str; 2] = ["a", "b"];
/// How long a worker may take to end when it was asked to; its own limit is `worker.drain_timeout_ms`.
const STOP: Duration = Duration::from_secs(25);

/// A worker in its place.
pub struct Member {
    /// What it runs.
    pub stage: &'static str,
    /// Its place among those that run the same.
    pub slot: &'static str,
    /// The process.
    pub worker: Worker,
}

impl Member {
    fn name(&self) -> String {
        format!("{}/{}", self.stage, self.slot)
    }
}

/// All workers.
pub struct Fleet {
    setting: Arc<Setting>,
    members: Vec<Member>,
    /// Who ended without having been asked to, and was started again.
    pub restarted: Vec<String>,
    /// When the last of them ended so.
    pub last_end: Option<SystemTime>,
    /// The most memory that any of them had resident, in MiB.
    pub peak_mib: u64,
}

impl Fleet {
    /// Two workers of each stage, not ready yet.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(setting: Arc<Setting>) -> Result<Self> {
        let mut fleet =
            Self { setting, members: Vec::new(), restarted: Vec::new(), last_end: None, peak_mib: 0 };
        for stage in STAGES {
            for slot in SLOTS {
                fleet.add(stage, slot, &[])?;
            }
        }
        Ok(fleet)
    }

    /// Starts another one.
    ///
    /// # Errors
    /// When it does not start.
    pub fn add(
        &mut self,
        stage: &'static str,
        slot: &'static str,
        environment: &[(&str, &str)],
    ) -> Result<()> {
        let worker = self.process(stage, slot, environment)?;
        self.members.push(Member { stage, slot, worker });
        Ok(())
    }

    fn process(&self, stage: &str, slot: &str, environment: &[(&str, &str)]) -> Result<Worker> {
        Worker::start_as(&self.setting, stage, &["--slot", slot], environment)
    }

    /// Everybody.
    pub fn members(&mut self) -> &mut [Member] {
        &mut self.members
    }

    /// The last one that was started in that place.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn member(&mut self, stage: &str, slot: &str) -> Result<&mut Member> {
        let at = self.place(stage, slot)?;
        Ok(&mut self.members[at])
    }

    /// Takes out the last one that was started in that place; it is not looked after any more.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn take(&mut self, stage: &str, slot: &str) -> Result<Member> {
        let at = self.place(stage, slot)?;
        Ok(self.members.remove(at))
    }

    fn place(&self, stage: &str, slot: &str) -> Result<usize> {
        let found = self.members.iter().rposition(|member| member.stage == stage && member.slot == slot);
        found.with_context(|| format!("there is no worker {stage}/{slot}"))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn signal(&mut self, stage: &str, slot: &str, signal: Signal) -> Result<()> {
        self.member(stage, slot)?.worker.process().signal(signal)
    }

    /// Kills one (SIGKILL), and starts it again.
    ///
    /// # Errors
    /// When nobody is there.
    pub async fn kill(&mut self, stage: &'static str, slot: &'static str) -> Result<()> {
        let member = self.take(stage, slot)?;
        self.note_memory(&member);
        member.worker.kill().await?;
        self.add(stage, slot, &[])
    }

    /// Stops one in good order.
    ///
    /// # Errors
    /// When nobody is there, or it does not end in time with 0.
    pub async fn stop(&mut self, stage: &str, slot: &str) -> Result<()> {
        let member = self.take(stage, slot)?;
        self.note_memory(&member);
        member.worker.stop().await.map(drop)
    }

    /// Starts those again that have ended; how many.
    ///
    /// # Errors
    /// When one does not start.
    pub fn tend(&mut self) -> Result<usize> {
        let mut started = 0;
        for at in 0..self.members.len() {
            if self.members[at].worker.is_running()? {
                self.peak_mib =
                    self.peak_mib.max(self.members[at].worker.process().peak_memory_mib().unwrap_or(0));
                continue;
            }
            let (stage, slot) = (self.members[at].stage, self.members[at].slot);
            let name = self.members[at].name();
            say(&format!("  {name} has ended; starting it again"));
            self.members[at].worker = self.process(stage, slot, &[])?;
            self.restarted.push(name);
            self.last_end = Some(SystemTime::now());
            started += 1;
        }
        Ok(started)
    }

    /// Waits until everybody is ready.
    ///
    /// # Errors
    /// When one ends, or does not become ready.
    pub async fn ready(&mut self) -> Result<()> {
        for member in &mut self.members {
            member.worker.ready().await.with_context(|| format!("{}/{}", member.stage, member.slot))?;
        }
        Ok(())
    }

    /// The sum of a metric over all workers; those of one that does not answer are missing.
    pub async fn sum_of(&mut self, name: &str) -> f64 {
        let mut sum = 0.0;
        for member in &mut self.members {
            let metrics = member.worker.metrics().await.unwrap_or_default();
            let series = metrics.iter().filter(|(series, _)| series.split('{').next() == Some(name));
            sum += series.map(|(_, value)| value).sum::<f64>();
        }
        sum
    }

    /// What those in that place have resident now, all together, in MiB.
    pub fn resident_mib(&self, slot: &str) -> u64 {
        let there = self.members.iter().filter(|member| member.slot == slot);
        there.filter_map(|member| member.worker.process().resident_mib().ok()).sum()
    }

    fn note_memory(&mut self, member: &Member) {
        self.peak_mib = self.peak_mib.max(member.worker.process().peak_memory_mib().unwrap_or(0));
    }

    /// Stops everybody at once, in good order.
    ///
    /// # Errors
    /// When one does not end in time with 0.
    pub async fn stop_all(&mut self) -> Result<()> {
        self.tend()?;
        for member in &self.members {
            member.worker.process().signal(Signal::TERM)?;
        }
        for mut member in self.members.drain(..) {
            let name = member.name();
            let status = member.worker.wait(STOP).await.with_context(|| name.clone())?;
            ensure!(status.success(), "after SIGTERM {name} ended with {status}: {}", member.worker.log()?);
        }
        Ok(())
    }
}
