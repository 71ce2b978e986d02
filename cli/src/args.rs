//! The command line: what can be typed, and the help that a stranger reads.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use schemas::Stage;
use workers::slot::{Slot, SlotError};

use crate::commands::cancel::CancelArgs;
use crate::commands::dead_letters::DeadLettersCommand;
use crate::commands::reconcile::ReconcileArgs;
use crate::commands::results::ResultsArgs;
use crate::commands::submit::SubmitArgs;

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 failed · 2 wrong usage · 3 some items failed · 69 Kafka cannot be reached or refuses · 78 wrong configuration ·
130 ended by Ctrl-C.
Results are written to stdout, logs to stderr.";

/// Message-queue driven inference: jobs come in on Kafka topics, workers preprocess them, run ONNX models and
/// postprocess, results go out on a topic.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, ClapArgs)]
pub(crate) struct Global {
    /// The configuration file [default: millstream.toml, if there is one]. A variable such as
    /// MILLSTREAM__KAFKA__BROKERS=host:9092 overrides the key kafka.brokers
    #[arg(short, long, global = true, value_name = "FILE", env = "MILLSTREAM_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// How logs are written [default: as the configuration says, text]
    #[arg(long, global = true, value_enum)]
    pub(crate) log_format: Option<LogFormat>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people.
    Table,
    /// JSON for programs: one object, or one per line where results stream.
    Json,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Readable lines.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole thing at work: an embedded broker, one worker per stage, a thousand real images, and a table
    Demo(DemoArgs),
    /// Start an embedded development broker and all stages of all pipelines, until Ctrl-C
    Dev,
    /// Run one stage of a pipeline, or several neighbouring ones fused
    Worker(WorkerArgs),
    /// Submit files as jobs
    Submit(SubmitArgs),
    /// Read results
    Results(ResultsArgs),
    /// Withdraw jobs that have not started
    Cancel(CancelArgs),
    /// Work the records of failed jobs: list, show, send again, delete
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Prove from the topics that every job has exactly one terminal record or is still waiting
    Reconcile(ReconcileArgs),
    /// Compare the topics with the configuration, or create those that are missing
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Check the configuration, the models and their labels, without Kafka
    Validate,
    /// Look at the broker, the topics, ONNX Runtime and the models, and say what is wrong and what to do
    Doctor,
    /// About the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the versions of millstream and of the libraries under it
    Version,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  millstream demo\n  millstream demo --jobs 5000 -o json")]
pub(crate) struct DemoArgs {
    /// The folder with images and their labels.csv [default: models/digits/images beside the configuration]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) images: Option<PathBuf>,
    /// How many images to submit, going round the folder
    #[arg(long, default_value_t = 1000)]
    pub(crate) jobs: usize,
    /// The pipeline to run
    #[arg(long, default_value = "digits")]
    pub(crate) pipeline: String,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Workers of the same stage share its topic's partitions; start as many as there are partitions.
SIGTERM or Ctrl-C: finish what runs within worker.drain_timeout_ms, commit, and leave.

Examples:
  millstream worker --pipeline digits --stage inference
  millstream worker --pipeline digits --stage preprocess,inference,postprocess --http 127.0.0.1:0
  millstream worker --pipeline digits --stage inference --slot digits-inference-0")]
pub(crate) struct WorkerArgs {
    /// The pipeline, as declared in the configuration
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: String,
    /// The stages, separated by commas; more than one are fused and skip the topics between them
    #[arg(long = "stage", value_name = "STAGE[,STAGE…]", value_delimiter = ',', required = true)]
    pub(crate) stages: Vec<Stage>,
    /// Address of /healthz, /readyz and /metrics; port 0 takes a free one [default: worker.http, 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<SocketAddr>,
    /// The name of this worker's place: the same after a restart, and no other worker's of its stage, such as the name of a
    /// StatefulSet's pod [default: worker.slot, or HOSTNAME-N with the lowest number free on this host]
    #[arg(long, value_name = "NAME", value_parser = slot)]
    pub(crate) slot: Option<String>,
}

fn slot(name: &str) -> Result<String, SlotError> {
    Slot::named(name).map(|slot| slot.name().to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// Say which topics are missing and which differ from the configuration; exit 0 if all is as it should be, else 1
    Plan,
    /// Create the topics that are missing, add partitions and change settings as the configuration says; what Kafka
    /// cannot change is said
    Apply,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the JSON Schema of millstream.toml, for editors
    Schema,
    /// Print the configuration as it is in force, with overrides and defaults, secrets hidden
    Show,
}
