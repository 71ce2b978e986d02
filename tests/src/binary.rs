//! The `millstream` binary: built once per test run, so that it is never an old one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::process::Process;
use crate::repository;

/// Where the binary is. `MILLSTREAM_BIN` names one that is there already; `MILLSTREAM_TEST_PROFILE=release` has an
/// optimised one built.
///
/// # Panics
/// When it does not build.
pub fn path() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("MILLSTREAM_BIN") {
        Some(path) => path.into(),
        None => build().expect("the binary builds"),
    })
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(repository()).args([
        "build",
        "--quiet",
        "--package",
        "millstream",
        "--message-format=json",
    ]);
    if std::env::var_os("MILLSTREAM_TEST_PROFILE").is_some_and(|profile| profile == "release") {
        command.arg("--release");
    }
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "cargo build --package millstream: {}", output.status);
    String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "millstream")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .context("cargo names no executable")
}

/// A command line that ran to its end.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// Results.
    pub stdout: String,
    /// Logs and notes.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Ended {
    /// The same, if the code is that one.
    ///
    /// # Panics
    /// When it is another; the message holds what was printed.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        let Self { code: got, stdout, stderr, .. } = &self;
        assert_eq!(*got, Some(code), "exit code\nstdout: {stdout}\nstderr: {stderr}");
        self
    }

    /// The same, if each of the texts was printed, wherever.
    ///
    /// # Panics
    /// When one was not.
    #[track_caller]
    pub fn expect_texts(self, texts: &[&str]) -> Self {
        for text in texts {
            let said = self.stdout.contains(text) || self.stderr.contains(text);
            assert!(said, "not said: {text}\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        }
        self
    }
}

/// The command as it is typed, in an environment without settings of whoever runs the tests.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(path());
    command.args(arguments).current_dir(repository()).env_remove("RUST_LOG").env_remove("MILLSTREAM_CONFIG");
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MILLSTREAM__"))
    {
        command.env_remove(name);
    }
    command
}

/// Runs `millstream` with these arguments and additional environment, to its end.
///
/// # Errors
/// When it does not end within a minute.
pub async fn millstream(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Ended> {
    millstream_within(arguments, environment, Duration::from_secs(60)).await
}

/// The same for one that may take longer.
///
/// # Errors
/// When it does not end in time.
pub async fn millstream_within(
    arguments: &[&str],
    environment: &[(&str, &str)],
    within: Duration,
) -> Result<Ended> {
    let folder = tempfile::tempdir()?;
    let start = Instant::now();
    let mut command = command(arguments);
    command.envs(environment.iter().copied());
    let mut process = Process::start("millstream", folder.path(), &mut command)?;
    let status = process.wait(within).await;
    let (stdout, stderr) = (process.stdout()?, process.stderr()?);
    let status =
        status.with_context(|| format!("millstream {arguments:?}\nstdout: {stdout}\nstderr: {stderr}"))?;
    Ok(Ended { code: status.code(), stdout, stderr, took: start.elapsed() })
}
