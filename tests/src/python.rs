//! The scripts in `python/`: producers and readers that share no code with the project.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{Process, repository};

/// How long a script may take that is not told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(300);

static STARTED: AtomicU32 = AtomicU32::new(0);

/// Starts a script; what it writes goes to files in `folder`.
///
/// # Errors
/// When there is no Python to run it.
pub fn start(folder: &Path, script: &str, arguments: &[impl AsRef<OsStr>]) -> Result<Process> {
    let python = std::env::var_os("MILLSTREAM_PYTHON")
        .map_or_else(|| repository().join("target/python/bin/python"), Into::into);
    ensure!(python.exists(), "there is no {}: run `make setup-tests`", python.display());
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script)).args(arguments);
    // Compiled files do not belong beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Process::start(&format!("{script}-{number}"), folder, &mut command)
}

/// Runs a script to its end, and returns its stdout.
///
/// # Errors
/// When it fails or takes too long.
pub async fn run(folder: &Path, script: &str, arguments: &[impl AsRef<OsStr>]) -> Result<String> {
    start(folder, script, arguments)?.finish(PATIENCE).await
}
