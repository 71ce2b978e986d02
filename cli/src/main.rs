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

use clap::Parser;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime =
        tokio::runtime::Runtime::new().expect("the operating system grants threads to a new process");
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = commands::run(args) => outcome,
            // The first signal is a request that commands answer by themselves; the second one is an order.
            exit = signals::second_signal() => Ok(exit),
        }
    });
    // Threads of a native library that hang must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::error(&failure);
            failure.exit.into()
        }
    }
}
