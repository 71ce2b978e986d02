//! `millstream results`: what jobs came to, as rows for people or JSON lines for programs.

pub(super) mod connect;
mod json;
pub(super) mod print;
mod summary;

use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use producer::{Client, ReadFrom, ResultError, ResultFilter, Results};
use schemas::JobId;
use tokio::time::{Instant, sleep, timeout};
use transport::{Reader, Transport, TransportError};

use self::connect::connect;
use self::print::Printer;
use super::configure;
use crate::args::Global;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// How long reading what is already there may stand still.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two attempts to read from a broker that is away.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  millstream results digits                      what is there now, then end
  millstream results digits --follow             what comes from now on, until Ctrl-C
  millstream results digits --batch monday -o json | jq -r 'select(.status == \"failed\") | .id'
  millstream results digits --follow --id ID     wait for one job

With -o json each line is one object: `id`, `status` (ok, failed or defaulted), `batch_id`, `key`, `submitted`, `headers` (the \
producer's own), `position`, and then the body of the contract: `model_name`, `model_version`, `outputs`, `parameters` \
of a result as the Open Inference Protocol writes them, or `stage`, `code`, `message`, `attempt`, `retriable` of a \
failure. A tensor that JSON cannot carry (FP16, NaN, bytes that are not text) has `data_hex` in place of `data`: its \
little-endian bytes. A result that the pipeline declares for a job that failed has the code of the failure in the header `ms_defaulted`.

After a crash a record can lie in the topic twice: repeats are left out, and counted on stderr. A repeat has the id, the kind (result or failure) and the `ms_replay_count` of the first; so a job that failed and was replayed from the dead letters comes with both.

Exit codes: 0 done · 1 failed, or no result of a job asked for with --id · 3 some records could not be read · \
69 Kafka cannot be reached.";

#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ResultsArgs {
    /// The pipeline, as declared in the configuration
    pipeline: String,
    /// Wait for new results; with --id, until each of the jobs has one
    #[arg(short, long)]
    follow: bool,
    /// Where to begin [default: beginning; with --follow, unless --id or --batch is given: end]
    #[arg(long, value_enum, value_name = "PLACE")]
    from: Option<From>,
    /// End after so many results
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Only what this job came to; can be repeated. With --follow, ends when each of them has come
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<JobId>,
    /// Only results of this batch
    #[arg(long, value_name = "BATCH")]
    batch: Option<String>,
    /// Show repeats too
    #[arg(long)]
    repeats: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// The oldest result that is still there.
    Beginning,
    /// Only what comes from now on.
    End,
}

impl ResultsArgs {
    fn filter(&self) -> ResultFilter {
        let ids = (!self.ids.is_empty()).then(|| self.ids.iter().cloned().collect());
        ResultFilter { ids, batch_id: self.batch.clone() }
    }

    fn from(&self) -> ReadFrom {
        let is_watching = self.follow && self.ids.is_empty() && self.batch.is_none();
        match self.from.unwrap_or(if is_watching { From::End } else { From::Beginning }) {
            From::Beginning => ReadFrom::Beginning,
            From::End => ReadFrom::End,
        }
    }
}

pub(crate) async fn run(args: ResultsArgs, global: &Global) -> Outcome {
    let file = configure(global)?;
    let topic = file.config.topic_names(&args.pipeline).results;
    let client = connect(&file.config, &args.pipeline, &[topic]).await?;
    let mut printer = Printer::new(std::io::stdout(), global.output);
    let exit = show(&client, &args, &mut printer).await?;
    Ok(exit)
}

/// Prints the outcomes that are asked for, until there are no more of them.
async fn show<T: Transport, W: Write>(
    client: &Client<T>,
    args: &ResultsArgs,
    printer: &mut Printer<W>,
) -> Outcome {
    let mut results =
        client.results(args.from(), args.filter()).await.map_err(|error| unavailable(&error))?;
    if args.repeats {
        results = results.with_repeats();
    }
    let mut waiting: HashSet<JobId> = args.ids.iter().cloned().collect();
    let (mut shown, mut unreadable) = (0, 0_u64);
    while printer.is_open() && args.limit.is_none_or(|limit| shown < limit) {
        match next(&mut results, args.follow).await? {
            None => break,
            Some(Ok(outcome)) => {
                printer.outcome(&outcome, None)?;
                shown += 1;
                waiting.remove(&outcome.id);
            }
            Some(Err(ResultError::Undecodable(undecodable))) => {
                output::note(&format!("warning: {undecodable}"));
                unreadable += 1;
                undecodable.id.as_ref().map(|id| waiting.remove(id));
            }
            Some(Err(error)) => return Err(Failure::new(Exit::Unavailable, error)),
        }
        // Of what is there already, everything is shown: a replayed job has a failure and then a result.
        if args.follow && !args.ids.is_empty() && waiting.is_empty() {
            break;
        }
    }
    if results.repeats_dropped() > 0 {
        output::note(&format!("{} repeats left out; --repeats shows them", results.repeats_dropped()));
    }
    Ok(exit_of(args, shown, unreadable, waiting.len()))
}

/// The next outcome; a broker that is away is waited for: for ever when following, else only as long as [`PATIENCE`].
async fn next<R: Reader>(
    results: &mut Results<R>,
    follow: bool,
) -> Result<Option<Result<producer::JobOutcome, ResultError>>, Failure> {
    let begin = Instant::now();
    loop {
        let next = if follow {
            results.next().await
        } else {
            match timeout(PATIENCE, results.next_existing()).await {
                Ok(next) => next,
                Err(_) => {
                    let what = "reading results".to_owned();
                    let reason = format!("nothing came for {} s", PATIENCE.as_secs());
                    return Err(unavailable(&TransportError::Unavailable { what, reason }));
                }
            }
        };
        match next {
            Some(Err(ResultError::Transport(error))) if error.is_retryable() => {
                if !follow && begin.elapsed() > PATIENCE {
                    return Err(unavailable(&error));
                }
                tracing::warn!(%error, "cannot read results for now; trying again");
                sleep(RETRY_PAUSE).await;
            }
            next => return Ok(next),
        }
    }
}

fn unavailable(error: &TransportError) -> Failure {
    let message = format!("{error}; see that the brokers are up (`millstream doctor` looks at them)");
    Failure::new(Exit::Unavailable, anyhow::anyhow!(message))
}

fn exit_of(args: &ResultsArgs, shown: u64, unreadable: u64, missing: usize) -> Exit {
    if missing > 0 {
        let asked = args.ids.len();
        output::note(&format!("no result of {missing} of {asked} jobs; --follow waits for them"));
        return Exit::Failed;
    }
    if shown == 0 && !args.follow {
        output::note(&format!("no results of {} that match; --follow waits for them", args.pipeline));
    }
    if unreadable > 0 { Exit::Partial } else { Exit::Done }
}

#[cfg(test)]
mod tests;
