//! Which process runs on which core: what is measured has one to itself.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tests::{Setting, Stages, Worker};

/// The core of the workers and the core of everything else; none on a machine with a single core.
pub(crate) struct Placement {
    cores: Option<(usize, usize)>,
}

impl Placement {
    pub(crate) fn of_this_machine() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("which cores may be used")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        Ok(Self { cores: cores.next().zip(cores.next()) })
    }

    /// Moves this thread, and all threads and processes that it starts from now on.
    pub(crate) fn stay_with_the_broker(&self) -> Result<()> {
        self.cores.map_or(Ok(()), |(_, others)| move_to(others))
    }

    /// Starts a process on the workers' core.
    pub(crate) fn on_workers_core<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some((workers, others)) = self.cores else { return start() };
        move_to(workers)?;
        let started = start();
        move_to(others)?;
        started
    }

    /// Workers on their core, all ready.
    pub(crate) async fn workers(&self, setting: &Setting, stages: Stages) -> Result<Vec<Worker>> {
        let mut workers = self.start_workers(setting, stages)?;
        for worker in &mut workers {
            worker.ready().await?;
        }
        Ok(workers)
    }

    /// Workers on their core, just started.
    pub(crate) fn start_workers(&self, setting: &Setting, stages: Stages) -> Result<Vec<Worker>> {
        let start = |stage: &&str| Worker::start(setting, stage);
        self.on_workers_core(|| stages.of_each_process().iter().map(start).collect())
    }

    /// The cores of the workers and of everything else.
    pub(crate) fn cores(&self) -> Vec<usize> {
        self.cores.map_or_else(|| vec![0], |(workers, others)| vec![workers, others])
    }

    pub(crate) fn describe(&self) -> String {
        match self.cores {
            Some((workers, others)) => {
                format!("workers on core {workers}; broker, load generator and reader on core {others}")
            }
            None => "everything on the one core there is".to_owned(),
        }
    }
}

/// A process that starts later inherits the core of the thread that starts it, and sizes its pools accordingly.
fn move_to(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot move to core {core}"))
}
