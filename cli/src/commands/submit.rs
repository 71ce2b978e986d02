//! `millstream submit`: files become jobs, and with `--wait` what they came to is printed.

mod input;
mod run;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args as ClapArgs, CommandFactory};
use producer::{Payload, Submission};
use schemas::{JobId, Stage, Timestamp};

use self::run::Run;
use super::configure;
use super::results::connect::connect;
use super::results::print::Printer;
use super::time;
use crate::args::{Args, Global};
use crate::exit::Outcome;

const EXAMPLES: &str = "\
Each file is one job, and its content type follows from its name: .png, .jpg, .jpeg, .webp, .json, .msgpack, .txt; \
anything else is application/octet-stream. JSON and MessagePack are jobs of the contract when they have `inputs`.

Examples:
  millstream submit digits seven.png --wait
  millstream submit digits images/*.png --batch monday > ids
  curl -s https://example.org/7.png | millstream submit digits - --content-type image/png --wait
  millstream submit digits tensors.json --stage inference --deadline 10s --key camera-7

Without --wait the ids are printed, one per line, each as soon as Kafka has its job; `millstream results` shows later \
what they came to. With --wait the results are printed in the order in which they come.

Exit codes: 0 done · 1 failed, or --timeout passed · 3 some files could not be submitted, or with --wait some jobs \
failed · 69 Kafka cannot be reached.";

#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SubmitArgs {
    /// The pipeline, as declared in the configuration
    pipeline: String,
    /// Files to submit, each as one job; `-` reads standard input as one job
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Content type of every file [default: from its name; of standard input application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Key of the jobs: jobs of one key keep their order
    #[arg(long)]
    key: Option<String>,
    /// Id of the job, for a single file: submitting the same id again marks a retry [default: a new UUID]
    #[arg(long)]
    id: Option<JobId>,
    /// When it is too late to run the jobs: a duration from now (500ms, 30s, 5m, 2h) or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = time::deadline)]
    deadline: Option<Timestamp>,
    /// The stage to start at; later stages take model inputs (inference) or outputs (postprocess) as JSON or MessagePack
    #[arg(long, default_value_t = Stage::Preprocess)]
    stage: Stage,
    /// A header that passes through to the result; can be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Name of the batch, by which `millstream results --batch` finds the results
    #[arg(long, value_name = "BATCH")]
    batch: Option<String>,
    /// Wait for the results and print them
    #[arg(long)]
    wait: bool,
    /// How long to wait for the results, after the last job is submitted
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = time::duration, requires = "wait")]
    timeout: Duration,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

impl SubmitArgs {
    /// The job of one file. The trace of the caller goes into its own fields: the contract renews it.
    fn submission(&self, id: JobId, payload: Payload) -> Submission {
        let mut submission = Submission {
            id: Some(id),
            key: self.key.as_ref().map(|key| key.clone().into_bytes().into()),
            deadline: self.deadline.clone(),
            batch_id: self.batch.clone(),
            stage: self.stage,
            ..Submission::new(payload)
        };
        for (name, value) in &self.headers {
            match name.as_str() {
                "traceparent" => submission.traceparent = Some(value.clone()),
                "tracestate" => submission.tracestate = Some(value.clone()),
                _ => submission = submission.with_header(name, value.clone()),
            }
        }
        submission
    }
}

/// An error as those that the command line itself is refused with.
fn wrong_usage(message: &str) -> clap::Error {
    let mut command = Args::command();
    // Only then does the usage begin with the name of the program.
    command.build();
    let submit = command.find_subcommand_mut("submit").expect("this is the command `submit`");
    submit.error(ErrorKind::ArgumentConflict, message)
}

pub(crate) async fn run(args: SubmitArgs, global: &Global) -> Outcome {
    if args.id.is_some() && args.files.len() > 1 {
        wrong_usage("--id names one job, so it goes with one FILE").exit();
    }
    let file = configure(global)?;
    let config = &file.config;
    let inputs =
        input::open(&args.files, args.content_type.as_deref(), config.limits.max_record_bytes).await?;
    let topics = config.topic_names(&args.pipeline);
    let mut needed = vec![topics.of_stage(args.stage).to_owned()];
    if args.wait {
        needed.push(topics.results);
    }
    let client = connect(config, &args.pipeline, &needed).await?;
    let names: Vec<String> = inputs.iter().map(|input| input.name().to_owned()).collect();
    let printer = Printer::new(std::io::stdout(), global.output).with_files(names.iter().map(String::as_str));
    Run { client, args: Arc::new(args), printer }.all(inputs).await
}

#[cfg(test)]
mod tests;
