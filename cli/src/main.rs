//! The `millstream` binary. Every subcommand is a thin call into a crate; results go to stdout, logs to stderr.

mod args;
mod commands;
mod config_file;
mod exit;
mod local;
mod logging;
mod output;
mod signals;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::runtime::Runtime;

use crate::args::Args;
use crate::exit::Outcome;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::error(&failure);
            failure.exit.into()
        }
    }
}

fn run(args: Args) -> Outcome {
    let runtime = Runtime::new().context(
        "the operating system grants no threads; look at its limits of processes and open files (ulimit -a)",
    )?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = commands::run(args) => outcome,
            // The first signal is a request that commands answer by themselves; the second one is an order.
            exit = signals::second_signal() => Ok(exit),
        }
    });
    // Threads of a native library that hang must not keep the process.
    runtime.shutdown_background();
    outcome
}
