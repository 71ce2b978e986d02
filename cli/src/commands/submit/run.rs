//! One run of `millstream submit`: jobs out, and with `--wait` outcomes in.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use futures_util::stream::{self, Stream, StreamExt};
use producer::{Client, ReadFrom, ResultError, ResultFilter, Results, Submission, SubmitError};
use schemas::JobId;
use serde::Serialize;
use tokio::time::{Instant, timeout, timeout_at};
use transport::Transport;

use super::SubmitArgs;
use super::input::Input;
use crate::args::Format;
use crate::commands::results::print::Printer;
use crate::exit::{Exit, ExitWith, Failure, Outcome};
use crate::output;

/// How long acknowledgements may stand still before Kafka counts as out of reach.
const PATIENCE: Duration = Duration::from_secs(30);

/// One run of the command.
pub(super) struct Run<T: Transport, W> {
    pub(super) client: Client<T>,
    pub(super) args: Arc<SubmitArgs>,
    pub(super) printer: Printer<W>,
}

/// What became of the files so far.
#[derive(Debug, Default)]
struct Tally {
    /// Files that could not be read, and jobs that were refused or failed.
    failed: u64,
    /// The last job that was not acknowledged.
    unacknowledged: Option<SubmitError>,
}

#[derive(Serialize)]
struct Submitted<'a> {
    id: &'a JobId,
    file: &'a str,
}

impl<T: Transport, W: Write> Run<T, W> {
    pub(super) async fn all(mut self, inputs: Vec<Input>) -> Outcome {
        let id = || self.args.id.clone().unwrap_or_else(JobId::random);
        let jobs: Vec<(JobId, Input)> = inputs.into_iter().map(|input| (id(), input)).collect();
        // Opened before anything is submitted, so that no result is missed.
        let results = if self.args.wait {
            let filter = ResultFilter::of_jobs(jobs.iter().map(|(id, _)| id.clone()));
            Some(self.client.results(ReadFrom::End, filter).await.exit_with(Exit::Unavailable)?)
        } else {
            None
        };
        let mut tally = Tally::default();
        let submitted = self.submit(jobs, &mut tally).await?;
        let mut exit = if tally.failed > 0 { Exit::Partial } else { Exit::Done };
        if let Some(results) = results {
            exit = self.wait(results, submitted, exit).await?;
        }
        match tally.unacknowledged {
            Some(error) => {
                Err(Failure::new(Exit::Unavailable, anyhow!("{error}; submit it again under the same --id")))
            }
            None => Ok(exit),
        }
    }

    /// Submits every input that can be read; gives the ids with the names of their files.
    async fn submit(
        &mut self,
        jobs: Vec<(JobId, Input)>,
        tally: &mut Tally,
    ) -> Result<HashMap<JobId, String>, Failure> {
        let mut files: HashMap<JobId, String> =
            jobs.iter().map(|(id, input)| (id.clone(), input.name().to_owned())).collect();
        let unreadable = Arc::new(AtomicU64::new(0));
        let mut acknowledged =
            self.client.submit_all(submissions(jobs, Arc::clone(&self.args), Arc::clone(&unreadable)));
        let mut submitted = HashMap::with_capacity(files.len());
        loop {
            let Ok(next) = timeout(PATIENCE, acknowledged.next()).await else {
                return Err(no_acknowledgement(submitted.len(), self.args.files.len()));
            };
            match next {
                None => break,
                Some(Ok(id)) => {
                    let file = files.remove(&id).unwrap_or_default();
                    if !self.args.wait {
                        self.print_id(&id, &file)?;
                    }
                    submitted.insert(id, file);
                }
                Some(Err(error)) => {
                    let file = files.remove(error.id()).unwrap_or_default();
                    if let SubmitError::Broken { .. } = error {
                        return Err(Failure::new(Exit::Failed, error));
                    }
                    output::note(&format!("error: {file}: {error}"));
                    tally.failed += 1;
                    if error.is_retryable() {
                        tally.unacknowledged = Some(error);
                    }
                }
            }
        }
        tally.failed += unreadable.load(Ordering::Relaxed);
        Ok(submitted)
    }

    fn print_id(&mut self, id: &JobId, file: &str) -> anyhow::Result<()> {
        let line = match self.printer.format() {
            Format::Table => id.to_string(),
            Format::Json => serde_json::to_string(&Submitted { id, file })?,
        };
        Ok(self.printer.line(&line)?)
    }

    /// Prints what the jobs came to, as it comes.
    async fn wait(
        &mut self,
        mut results: Results<T::Reader>,
        files: HashMap<JobId, String>,
        mut exit: Exit,
    ) -> Outcome {
        let deadline = Instant::now() + self.args.timeout;
        let mut waiting: HashSet<JobId> = files.keys().cloned().collect();
        while !waiting.is_empty() && self.printer.is_open() {
            let Ok(outcome) = timeout_at(deadline, results.next_of(&mut waiting)).await else {
                return Err(too_late(&waiting, &files, self.args.timeout));
            };
            match outcome {
                Ok(outcome) => {
                    if let schemas::Outcome::Failure(_) = outcome.outcome {
                        exit = Exit::Partial;
                    }
                    self.printer.outcome(&outcome, files.get(&outcome.id).map(String::as_str))?;
                }
                Err(ResultError::Undecodable(undecodable)) => {
                    output::note(&format!("error: {undecodable}"));
                    exit = Exit::Partial;
                }
                Err(error) => return Err(Failure::new(Exit::Unavailable, error)),
            }
        }
        Ok(exit)
    }
}

/// The jobs of these files, read one after the other as they are wanted. A file that cannot be read is noted and counted.
fn submissions(
    jobs: Vec<(JobId, Input)>,
    args: Arc<SubmitArgs>,
    unreadable: Arc<AtomicU64>,
) -> impl Stream<Item = Submission> + Send + 'static {
    stream::iter(jobs).filter_map(move |(id, input)| {
        let (args, unreadable) = (Arc::clone(&args), Arc::clone(&unreadable));
        async move {
            match input.read().await {
                Ok(payload) => Some(args.submission(id, payload)),
                Err(error) => {
                    output::note(&format!("error: {error:#}"));
                    unreadable.fetch_add(1, Ordering::Relaxed);
                    None
                }
            }
        }
    })
}

fn no_acknowledgement(acknowledged: usize, files: usize) -> Failure {
    Failure::new(
        Exit::Unavailable,
        anyhow!(
            "Kafka acknowledged nothing for {} s, and {acknowledged} of {files} jobs before; see that the brokers are up \
             (`millstream doctor` looks at them), and submit the others again",
            PATIENCE.as_secs()
        ),
    )
}

fn too_late(waiting: &HashSet<JobId>, files: &HashMap<JobId, String>, timeout: Duration) -> Failure {
    let first =
        waiting.iter().min().map_or_else(String::new, |id| format!(", first of them {id} ({})", files[id]));
    Failure::new(
        Exit::Failed,
        anyhow!(
            "no result of {} of {} jobs after {} s{first}; see that a worker runs for each stage; `millstream results` finds \
             them when they are done",
            waiting.len(),
            files.len(),
            timeout.as_secs_f64()
        ),
    )
}
