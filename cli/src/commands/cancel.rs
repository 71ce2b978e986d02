//! `millstream cancel`: jobs that have not started are withdrawn.

use std::io::Write;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args as ClapArgs};
use futures_util::{StreamExt, stream};
use producer::{CancelError, Client};
use schemas::{Cancellation, JobId};
use serde::Serialize;
use transport::Transport;

use super::configure;
use super::results::connect::connect;
use super::results::print::Printer;
use crate::args::{Format, Global};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// How many requests are on their way at once.
const AT_ONCE: usize = 256;

const EXAMPLES: &str = "\
A worker that finds the job's turn has come ends it as a failure with the code `cancelled`, which `millstream results` shows. \
What runs or has ended is not affected. An id that nobody submitted is no error.

Examples:
  millstream cancel digits --id 0198c5a8-7b1e-7c3a-9d52-3f6b1c0e8a41
  millstream cancel digits --id $(cat ids)
  millstream cancel digits --batch monday

What Kafka has taken is printed, one per line; with -o json as {\"id\": …} or {\"batch\": …}.

Exit codes: 0 done · 1 failed · 3 some could not be asked for · 69 Kafka cannot be reached.";

#[derive(Debug, ClapArgs)]
#[command(
    // `--id a b digits` would take the pipeline for an id, so the usage names it first.
    override_usage = "millstream cancel [OPTIONS] <PIPELINE> <--id <ID>...|--batch <BATCH>>",
    after_help = EXAMPLES,
    group(ArgGroup::new("jobs").required(true))
)]
pub(crate) struct CancelArgs {
    /// The pipeline, as declared in the configuration
    pipeline: String,
    /// The jobs of these ids; can be repeated
    #[arg(long = "id", value_name = "ID", num_args = 1.., group = "jobs")]
    ids: Vec<JobId>,
    /// All jobs of this batch
    #[arg(long, value_name = "BATCH", group = "jobs", value_parser = NonEmptyStringValueParser::new())]
    batch: Option<String>,
}

/// What was asked for, as a line of JSON.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Asked<'a> {
    Id(&'a JobId),
    Batch(&'a str),
}

impl CancelArgs {
    fn cancellations(&self) -> Vec<Cancellation> {
        let jobs = self.ids.iter().cloned().map(Cancellation::Job);
        jobs.chain(self.batch.iter().cloned().map(Cancellation::Batch)).collect()
    }
}

pub(crate) async fn run(args: CancelArgs, global: &Global) -> Outcome {
    let file = configure(global)?;
    let topic = file.config.topic_names(&args.pipeline).cancellations;
    let client = connect(&file.config, &args.pipeline, &[topic]).await?;
    cancel(&client, args.cancellations(), &mut Printer::new(std::io::stdout(), global.output)).await
}

/// Asks for each of them, prints those that Kafka has taken, and says what that means.
async fn cancel<T: Transport, W: Write>(
    client: &Client<T>,
    cancellations: Vec<Cancellation>,
    printer: &mut Printer<W>,
) -> Outcome {
    let total = cancellations.len();
    let asking = cancellations
        .into_iter()
        .map(|cancellation| async { client.cancel(cancellation.clone()).await.map(|()| cancellation) });
    let mut asked = stream::iter(asking).buffered(AT_ONCE);
    let (mut taken, mut last_error) = (0, None);
    while let Some(cancellation) = asked.next().await {
        match cancellation {
            Ok(cancellation) => {
                taken += 1;
                printer.line(&line(&cancellation, printer.format())?)?;
            }
            Err(error) => {
                output::note(&format!("error: {error}"));
                last_error = Some(error);
            }
        }
    }
    if taken > 0 {
        output::note(
            "Jobs that have started or ended are not affected; the others end as failures with the code `cancelled` on the \
             results.",
        );
    }
    match last_error {
        None => Ok(Exit::Done),
        Some(error) if taken == 0 => Err(refused(&error, total)),
        Some(_) => Ok(Exit::Partial),
    }
}

fn line(cancellation: &Cancellation, format: Format) -> anyhow::Result<String> {
    let (text, asked) = match cancellation {
        Cancellation::Job(id) => (id.as_str(), Asked::Id(id)),
        Cancellation::Batch(batch) => (batch.as_str(), Asked::Batch(batch)),
    };
    match format {
        Format::Table => Ok(text.to_owned()),
        Format::Json => Ok(serde_json::to_string(&asked)?),
    }
}

/// None of them was taken.
fn refused(error: &CancelError, total: usize) -> Failure {
    let exit = if error.is_retryable { Exit::Unavailable } else { Exit::Failed };
    let advice = "see that the brokers are up (`millstream doctor` looks at them), and ask again";
    Failure::new(exit, anyhow::anyhow!("{error}; none of {total} cancellations was taken; {advice}"))
}

#[cfg(test)]
mod tests;
