//! One file per subcommand; each is a thin call into a crate.

pub(crate) mod cancel;
pub(crate) mod reconcile;
pub(crate) mod results;
pub(crate) mod submit;

mod config;
mod demo;
mod dev;
mod doctor;
mod time;
mod topics;
mod validate;
mod version;
mod worker;

use std::path::Path;

use crate::args::{Args, Command, Global, LogFormat};
use crate::config_file::ConfigFile;
use crate::exit::{Exit, Failure, Outcome};
use crate::{logging, signals};

/// Runs the command that was typed.
pub(crate) async fn run(Args { global, command }: Args) -> Outcome {
    match command {
        // These three work until they are told to stop, and then finish what they have begun.
        Command::Worker(args) => worker::run(args, configure(&global)?).await,
        Command::Dev => dev::run(configure(&global)?).await,
        Command::Demo(args) => demo::run(args, &global).await,
        command => tokio::select! {
            outcome = run_to_the_end(command, &global) => outcome,
            () = signals::first_signal() => Ok(Exit::Interrupted),
        },
    }
}

async fn run_to_the_end(command: Command, global: &Global) -> Outcome {
    match command {
        Command::Submit(args) => submit::run(args, global).await,
        Command::Results(args) => results::run(args, global).await,
        Command::Cancel(args) => cancel::run(args, global).await,
        Command::Reconcile(args) => reconcile::run(args, global).await,
        Command::Topics(command) => topics::run(command, global.output, configure(global)?).await,
        Command::Validate => validate::run(global).await,
        Command::Doctor => doctor::run(global).await,
        Command::Config(command) => config::run(&command, global),
        Command::Version => version::run(global),
        Command::Worker(_) | Command::Dev | Command::Demo(_) => unreachable!("`run` handles these"),
    }
}

/// Reads the configuration and starts the logs as it says.
pub(crate) fn configure(global: &Global) -> Result<ConfigFile, Failure> {
    start_logs(ConfigFile::load(global.config.as_deref())?, global)
}

/// As [`configure`], for a command whose own output is what people look at: only errors are logged, unless `RUST_LOG`
/// asks for more.
fn configure_quietly(global: &Global) -> Result<ConfigFile, Failure> {
    let mut file = ConfigFile::load(global.config.as_deref())?;
    file.config.log.level = "error".into();
    start_logs(file, global)
}

fn start_logs(mut file: ConfigFile, global: &Global) -> Result<ConfigFile, Failure> {
    if let Some(format) = global.log_format {
        file.config.log.format = match format {
            LogFormat::Text => workers::config::LogFormat::Text,
            LogFormat::Json => workers::config::LogFormat::Json,
        };
    }
    logging::start(&file.config.log);
    Ok(file)
}

/// The folder that the configuration file is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
