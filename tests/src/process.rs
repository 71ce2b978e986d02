//! A child process that is ended and reaped with its owner, and what the system knows about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::wait::until;

/// A running process whose output goes to files.
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts a command; its output goes to `<name>.stdout` and `<name>.stderr` in `folder`.
    ///
    /// # Errors
    /// When the command or the files cannot be opened.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Result<Self> {
        let (stdout, stderr) = (folder.join(format!("{name}.stdout")), folder.join(format!("{name}.stderr")));
        let child = command
            .stdin(Stdio::null())
            .stdout(fs::File::create(&stdout)?)
            .stderr(fs::File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, stdout, stderr })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stdout so far.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn stdout(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.stdout)?).into_owned())
    }

    /// What it has written to stderr so far.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn stderr(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.stderr)?).into_owned())
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("not a process id")?;
        kill_process(id, signal).with_context(|| format!("{} cannot be sent {signal:?}", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it runs on for longer.
    pub async fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let (name, child) = (&self.name, &mut self.child);
        until(&format!("{name} ends"), within, async || Ok(child.try_wait()?)).await
    }

    /// Waits for its end, which must be a success, and returns its stdout.
    ///
    /// # Errors
    /// When it runs on for longer, or fails; the error holds its stderr.
    pub async fn finish(&mut self, within: Duration) -> Result<String> {
        let status = self.wait(within).await.with_context(|| self.stderr().unwrap_or_default())?;
        if status.success() {
            return self.stdout();
        }
        Err(anyhow!("{} ended with {status}: {}", self.name, self.stderr()?.trim()))
    }

    /// Processor time that it has used, in user and system mode.
    ///
    /// # Errors
    /// When it has ended.
    pub fn processor_time(&self) -> Result<Duration> {
        // USER_HZ, which is 100 on every Linux that Rust runs on.
        const TICKS_PER_SECOND: u64 = 100;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The second field is the name in parentheses, which may hold anything; user and system time are 14th and 15th.
        let (_, rest) = stat.rsplit_once(')').context("a stat line has a name")?;
        let ticks =
            rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// The most memory that it has had resident, in MiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_memory_mib(&self) -> Result<u64> {
        self.memory_mib("VmHWM:")
    }

    /// The memory that it has resident now, in MiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_mib(&self) -> Result<u64> {
        self.memory_mib("VmRSS:")
    }

    fn memory_mib(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let line = line.with_context(|| format!("no {field}"))?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // It cannot fail while the child is ours and not reaped; and there is nobody left to tell.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
