//! A worker process: `millstream worker` with its health, its metrics and its log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::binary::command;
use crate::process::Signal;
use crate::setting::PIPELINE;
use crate::wait::until;
use crate::{Process, Setting, http};

/// How long a worker may take to become ready: to load its model in an unoptimised build, and to join its group while a
/// member that was killed has not timed out.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end after SIGTERM; its own limit is `worker.drain_timeout_ms`, 10 s.
const STOP: Duration = Duration::from_secs(25);

/// A worker process.
pub struct Worker {
    process: Process,
    stage: String,
    address: Option<SocketAddr>,
}

impl Worker {
    /// Starts a worker of the stages (as `--stage` takes them); it is not ready yet.
    ///
    /// # Errors
    /// When the process does not start.
    pub fn start(setting: &Setting, stages: &str) -> Result<Self> {
        Self::start_with(setting, stages, &[])
    }

    /// The same with additional environment.
    ///
    /// # Errors
    /// When the process does not start.
    pub fn start_with(setting: &Setting, stages: &str, environment: &[(&str, &str)]) -> Result<Self> {
        Self::start_as(setting, stages, &[], environment)
    }

    /// The same with additional arguments and environment.
    ///
    /// # Errors
    /// When the process does not start.
    pub fn start_as(
        setting: &Setting,
        stages: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let config = setting.config();
        let config = config.to_str().context("temporary folders have names in UTF-8")?;
        let mut command = command(&[
            "-c",
            config,
            "worker",
            "--pipeline",
            PIPELINE,
            "--stage",
            stages,
            "--http",
            "127.0.0.1:0",
        ]);
        command.args(arguments).envs(environment.iter().copied());
        let first = stages.split(',').next().unwrap_or(stages);
        let name = format!("worker-{first}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let process = Process::start(&name, setting.folder(), &mut command)?;
        Ok(Self { process, stage: first.to_owned(), address: None })
    }

    /// Waits until it says that it is ready; how long that took from its start, roughly.
    ///
    /// # Errors
    /// When it ends instead, or does not become ready; the error holds its log.
    pub async fn ready(&mut self) -> Result<Duration> {
        let start = Instant::now();
        until("the worker is ready", START, async || {
            ensure!(self.is_running()?, "the worker ended");
            Ok((self.readiness().await == Some(200)).then_some(()))
        })
        .await
        .with_context(|| self.log().unwrap_or_default())?;
        Ok(start.elapsed())
    }

    /// The status of `/readyz`; none while nobody answers.
    pub async fn readiness(&mut self) -> Option<u16> {
        let address = self.address()?;
        http::get(address, "/readyz").await.ok().map(|(status, _)| status)
    }

    /// Waits until `/readyz` answers with this status; how long that took.
    ///
    /// # Errors
    /// When it does not.
    pub async fn readiness_becomes(&mut self, status: u16, within: Duration) -> Result<Duration> {
        let start = Instant::now();
        let what = format!("/readyz of {} says {status}", self.stage);
        until(&what, within, async || {
            ensure!(self.is_running()?, "{} ended", self.stage);
            Ok((self.readiness().await == Some(status)).then_some(()))
        })
        .await
        .with_context(|| self.end_of_log())?;
        Ok(start.elapsed())
    }

    /// Where it serves its health, as its log says.
    fn address(&mut self) -> Option<SocketAddr> {
        if self.address.is_none() {
            let log = self.log().ok()?;
            let logged = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            self.address = logged.filter_map(|event| event["address"].as_str()?.parse().ok()).next();
        }
        self.address
    }

    /// GET of its admin server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn get(&mut self, path: &str) -> Result<(u16, String)> {
        http::get(self.address().context("it does not serve yet")?, path).await
    }

    /// Every series of `/metrics` with its value.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&mut self) -> Result<BTreeMap<String, f64>> {
        let (status, text) = self.get("/metrics").await?;
        ensure!(status == 200, "/metrics: {status}");
        let series = text.lines().filter(|line| !line.starts_with('#'));
        series
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').context("a series has a value")?;
                Ok((name.to_owned(), value.parse()?))
            })
            .collect()
    }

    /// How many jobs it has settled: results and failures, or what it handed on to the next stage.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn settled(&mut self) -> Result<usize> {
        let metrics = self.metrics().await?;
        let counts = metrics.iter().filter(|(name, _)| name.starts_with("millstream_messages_total{"));
        Ok(counts.map(|(_, count)| *count).sum::<f64>() as usize)
    }

    /// How many records it has read whose offsets it has not committed yet.
    ///
    /// # Errors
    /// When the metrics cannot be read.
    pub async fn inflight(&mut self) -> Result<usize> {
        self.gauge("millstream_inflight").await
    }

    /// How many partitions of its topic it has.
    ///
    /// # Errors
    /// When the metrics cannot be read.
    pub async fn partitions(&mut self) -> Result<usize> {
        self.gauge("millstream_assigned_partitions").await
    }

    async fn gauge(&mut self, name: &str) -> Result<usize> {
        let value = self.metrics().await?.remove(name);
        Ok(value.with_context(|| format!("there is no metric {name}"))? as usize)
    }

    /// Waits until it has settled so many jobs.
    ///
    /// # Errors
    /// When it does not.
    pub async fn has_settled(&mut self, jobs: usize, within: Duration) -> Result<()> {
        let what = format!("{} settles {jobs} jobs", self.stage);
        until(&what, within, async || Ok((self.settled().await? >= jobs).then_some(())))
            .await
            .with_context(|| self.end_of_log())
    }

    /// The stage whose topic it reads.
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        self.process.is_running()
    }

    /// Its log so far.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn log(&self) -> Result<String> {
        self.process.stderr()
    }

    /// The last lines of its log, for whoever reads why a test failed.
    fn end_of_log(&self) -> String {
        const LINES: usize = 15;
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
        format!("--- the end of the log of {} ---\n{end}", self.stage)
    }

    /// Asks it to stop (SIGTERM), and waits until it has; how long that took.
    ///
    /// # Errors
    /// When it does not end in time, or not with 0; the error holds its log.
    pub async fn stop(mut self) -> Result<Duration> {
        let start = Instant::now();
        self.process.signal(Signal::TERM)?;
        let status = self.wait(STOP).await?;
        ensure!(status.success(), "after SIGTERM {} ended with {status}: {}", self.stage, self.log()?);
        Ok(start.elapsed())
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// When it has ended by itself.
    pub async fn kill(mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.wait(STOP).await.map(drop)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it runs on.
    pub async fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.wait(within).await.with_context(|| self.log().unwrap_or_default())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // What a failed test leaves behind to look at, since the files go with the test.
        if std::thread::panicking() {
            report(&self.end_of_log());
        }
    }
}

#[expect(clippy::print_stderr, reason = "shown by the test harness beside the panic that it belongs to")]
fn report(text: &str) {
    eprintln!("{text}");
}

/// Stops workers, all at once as a supervisor would.
///
/// # Errors
/// When one does not end in time, or not with 0.
pub async fn stop_all(workers: Vec<Worker>) -> Result<()> {
    for worker in &workers {
        worker.process.signal(Signal::TERM)?;
    }
    for mut worker in workers {
        let status = worker.wait(STOP).await?;
        ensure!(status.success(), "after SIGTERM {} ended with {status}: {}", worker.stage, worker.log()?);
    }
    Ok(())
}
