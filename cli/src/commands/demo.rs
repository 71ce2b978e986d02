//! `millstream demo`: real images through an embedded broker, one worker per stage and a real model, and a table of what
//! came out and where the time went.

mod images;
mod report;

use std::collections::HashMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use producer::{Client, ClientOptions, ReadFrom, ResultFilter, Submission};
use schemas::JobId;
use transport::Kafka;

use self::images::Image;
use self::report::Report;
use super::{configure_quietly, folder_of};
use crate::args::{DemoArgs, Format, Global};
use crate::exit::{Exit, ExitWith, Failure, Outcome};
use crate::local::Local;
use crate::{output, signals};

/// The embedded broker keeps 5 MiB per partition, so only so many jobs are under way at once.
const JOBS_UNDER_WAY: usize = 2_000;
/// Longer than any single job takes here; a demo that stands still should end and say so.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: DemoArgs, global: &Global) -> Outcome {
    let file = configure_quietly(global)?;
    let folder = args.images.unwrap_or_else(|| folder_of(&file.path).join("models/digits/images"));
    let images = images::read(&folder).exit_with(Exit::Config)?;
    let stop = signals::stop_token();
    output::note(
        "Starting an embedded broker and one worker for each stage (preprocess, inference, postprocess) …",
    );
    let mut local = Local::start(file.config, std::slice::from_ref(&args.pipeline)).await?;
    let client = Client::new(
        Kafka::new(local.config.kafka_for_records()).exit_with(Exit::Config)?,
        ClientOptions {
            topics: local.config.topic_names(&args.pipeline),
            limits: local.config.limits.clone(),
            name: "demo".into(),
            ..ClientOptions::new(&args.pipeline)
        },
    );
    let jobs = images::jobs(&images, args.jobs);
    let outcome = tokio::select! {
        report = submit_and_follow(&client, jobs) => report.map(Some),
        () = stop.cancelled() => Ok(None),
        failure = local.worker_ended() => Err(failure),
    };
    // Before the broker goes, or the client would complain that it is gone.
    drop(client);
    local.stop().await?;
    let Some(report) = outcome? else { return Ok(Exit::Interrupted) };
    match global.output {
        Format::Json => output::pretty_json(&report)?,
        Format::Table => output::line(&report.to_string())?,
    }
    Ok(if report.is_as_expected() { Exit::Done } else { Exit::Failed })
}

/// Submits every job, a bounded number at a time, and gathers the outcomes.
async fn submit_and_follow(
    client: &Client<Kafka>,
    jobs: Vec<(Submission, Image)>,
) -> Result<Report, Failure> {
    let mut results =
        client.results(ReadFrom::Beginning, ResultFilter::all()).await.exit_with(Exit::Unavailable)?;
    let progress = progress_bar(jobs.len());
    let started = Instant::now();
    let mut waiting: HashMap<JobId, Image> = HashMap::with_capacity(jobs.len());
    let mut remaining = jobs.into_iter();
    let mut report = Report::default();
    loop {
        let room = JOBS_UNDER_WAY.saturating_sub(waiting.len());
        if room >= JOBS_UNDER_WAY / 2 && remaining.len() > 0 {
            let (submissions, expected): (Vec<_>, Vec<_>) = remaining.by_ref().take(room).unzip();
            let ids: Vec<_> = client.submit_all(futures_util::stream::iter(submissions)).collect().await;
            for (id, image) in ids.into_iter().zip(expected) {
                waiting.insert(id?, image);
            }
        }
        if waiting.is_empty() {
            break;
        }
        let outcome = tokio::time::timeout(PATIENCE, results.next())
            .await
            .map_err(|_| anyhow::anyhow!("no result for {PATIENCE:?}, {} jobs are missing", waiting.len()))?
            .ok_or_else(|| anyhow::anyhow!("the results ended, {} jobs are missing", waiting.len()))??;
        // A repeat of a result that was seen already (delivery is at least once) has no image waiting.
        if let Some(image) = waiting.remove(&outcome.id) {
            report.add(&image, &outcome);
            progress.inc(1);
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    progress.finish_and_clear();
    Ok(report)
}

/// Drawn on stderr, and only on a terminal.
fn progress_bar(jobs: usize) -> ProgressBar {
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        // The bar shows what could be written; there is nobody to tell of an error.
        write!(out, "{:.0} jobs/s", state.per_sec()).ok();
    };
    let style = ProgressStyle::with_template("  {bar:40} {pos}/{len} jobs  {rate}  {elapsed}")
        .expect("the template is a constant and valid")
        .with_key("rate", rate);
    let progress = ProgressBar::new(jobs as u64).with_style(style);
    progress.tick();
    progress
}
