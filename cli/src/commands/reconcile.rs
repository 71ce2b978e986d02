//! `millstream reconcile`: the topics of a pipeline, proven record by record.

use std::time::Duration;

use anyhow::anyhow;
use clap::{Args as ClapArgs, ValueEnum};
use operations::reconcile::{self, Delivery, Options, Plan, Report, Role};
use schemas::{RetryDelay, Stage, Timestamp};
use transport::{Kafka, Progress, TransportError};
use workers::Config;
use workers::config::DeliveryMode;

use super::{configure_quietly, time};
use crate::args::{Format, Global};
use crate::exit::{Exit, ExitWith, Failure, Outcome};
use crate::output;

/// How long the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much earlier reading begins with each stage, so that clocks need not agree to the second.
const MARGIN_MS: i64 = 60_000;

const EXAMPLES: &str = "\
Reads every topic of the pipeline up to where it ends now, beside running workers, and commits nothing. Every record that a \
stage has committed must have led on: to a later stage, a retry topic or a terminal record. Says which did not, and what \
else is wrong: repeated, contradictory or unasked results, failures without their dead letter and the other way round, \
records that carry another job's identity, results of one key out of order.

Examples:
  millstream reconcile digits
  millstream reconcile digits --from 2h -o json | jq '.lost, .faults'

Exit codes: 0 everything adds up · 3 there are faults · 1 failed · 69 Kafka cannot be reached.";

#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReconcileArgs {
    /// The pipeline, as declared in the configuration
    pipeline: String,
    /// Where to begin: `beginning`, how long ago (30m, 2h, 1d), or an RFC 3339 time
    #[arg(long, value_name = "WHEN", default_value = "beginning", value_parser = from)]
    from: From,
    /// What is promised: with exactly-once a repeat is a fault, else it is counted [default: as the pipeline declares]
    #[arg(long, value_enum, value_name = "MODE")]
    delivery: Option<Mode>,
    /// Stages whose failures write no dead letter, separated by commas, beside those that the configuration declares so
    #[arg(long, value_name = "STAGE[,STAGE…]", value_delimiter = ',')]
    without_dead_letters: Vec<Stage>,
    /// No worker runs more than one stage, so every job passes every topic after the one that it enters at
    #[arg(long)]
    apart: bool,
    /// The number of partitions before some were added; can be repeated
    #[arg(long, value_name = "N")]
    partitions_were: Vec<i32>,
    /// How many faults to tell; all are counted
    #[arg(long, value_name = "N", default_value_t = Options::MAX_FAULTS)]
    faults: usize,
}

#[derive(Debug, Clone)]
enum From {
    Beginning,
    Time(Timestamp),
}

fn from(text: &str) -> Result<From, String> {
    if text == "beginning" { Ok(From::Beginning) } else { time::past(text).map(From::Time) }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    AtLeastOnce,
    ExactlyOnce,
}

pub(crate) async fn run(args: ReconcileArgs, global: &Global) -> Outcome {
    let file = configure_quietly(global)?;
    let config = &file.config;
    let format = global.output;
    let options = options(config, &args);
    let transport = Kafka::new(config.kafka_for_records()).exit_with(Exit::Config)?;
    let absent = absent(config, &args.pipeline, &options).await?;
    let plan = plan(config, &args, &options, absent).await.exit_with(Exit::Unavailable)?;
    let report = reconcile::run(&transport, options, &plan).await.exit_with(Exit::Unavailable)?;
    match format {
        Format::Json => output::pretty_json(&report)?,
        Format::Table => print(&report)?,
    }
    Ok(if report.holds { Exit::Done } else { Exit::Partial })
}

fn options(config: &Config, args: &ReconcileArgs) -> Options {
    let pipeline = config.pipelines.get(&args.pipeline);
    let declared = pipeline.into_iter().flat_map(|pipeline| pipeline.on_failure.without_dead_letters());
    let promised = pipeline.map(|pipeline| pipeline.delivery).unwrap_or_default();
    let sharing = Stage::ALL.map(|stage| (stage, config.sharing_topic(&args.pipeline, stage)));
    Options {
        delivery: match (args.delivery, promised) {
            (Some(Mode::ExactlyOnce), _) | (None, DeliveryMode::ExactlyOnce) => Delivery::ExactlyOnce,
            (Some(Mode::AtLeastOnce), _) | (None, DeliveryMode::AtLeastOnce) => Delivery::AtLeastOnce,
        },
        limits: config.limits.clone(),
        sharing: sharing.into_iter().collect(),
        without_dead_letters: declared.chain(args.without_dead_letters.iter().copied()).collect(),
        apart: args.apart,
        partitions_were: args.partitions_were.clone(),
        since: match &args.from {
            From::Beginning => None,
            From::Time(time) => Some(time.clone()),
        },
        max_faults: args.faults,
        ..Options::new(&args.pipeline, config.topic_names(&args.pipeline))
    }
}

/// The roles whose topics are not there: only those of the retries may be missing, of a pipeline that is older than they are.
async fn absent(config: &Config, pipeline: &str, options: &Options) -> Result<Vec<Role>, Failure> {
    let names: Vec<String> = Role::DOWNSTREAM_FIRST.map(|role| role.topic(&options.topics).to_owned()).into();
    let cluster = transport::probe(&config.kafka, &names, PATIENCE).await.exit_with(Exit::Unavailable)?;
    let mut absent = Vec::new();
    for (role, topic) in Role::DOWNSTREAM_FIRST.into_iter().zip(cluster.topics) {
        match (role, topic.partitions) {
            (_, Ok(_)) => {}
            (Role::Retry(_), Err(_)) => absent.push(role),
            (_, Err(reason)) => {
                let advice = if config.pipelines.contains_key(pipeline) {
                    "`millstream topics apply` creates what is missing".to_owned()
                } else {
                    format!(
                        "the pipeline `{pipeline}` is not declared under [pipelines] of the configuration"
                    )
                };
                return Err(Failure::new(Exit::Failed, anyhow!("topic {}: {reason}; {advice}", topic.name)));
            }
        }
    }
    Ok(absent)
}

/// What is known before the topics are read: first what is committed, then where everything ends.
async fn plan(
    config: &Config,
    args: &ReconcileArgs,
    options: &Options,
    absent: Vec<Role>,
) -> Result<Plan, TransportError> {
    let kafka = config.kafka_for_records();
    let topic = |role: Role| role.topic(&options.topics).to_owned();
    let there = |role: &Role| !absent.contains(role);
    let mut committed = Progress::new();
    for stage in Stage::ALL {
        let group = config.group(&args.pipeline, stage);
        committed.merge(transport::group_offsets(&kafka, &group, &[topic(Role::Stage(stage))]).await?);
    }
    let retries: Vec<_> = RetryDelay::ALL.into_iter().map(Role::Retry).filter(there).map(topic).collect();
    if !retries.is_empty() {
        let group = format!("{}.{}.retry", config.topics.prefix, args.pipeline);
        committed.merge(transport::group_offsets(&kafka, &group, &retries).await?);
    }
    let topics: Vec<String> = Role::DOWNSTREAM_FIRST.into_iter().filter(there).map(topic).collect();
    let bounds = transport::topic_bounds(&kafka, &topics).await?;
    let mut begin = Progress::new();
    if let From::Time(time) = &args.from {
        let millis = time.unix_micros() / 1000;
        for role in Role::DOWNSTREAM_FIRST.into_iter().filter(there) {
            let hops = match role {
                Role::Stage(stage) => stage as i64,
                Role::Retry(_) | Role::Results | Role::DeadLetters => 3,
            };
            let at = millis.saturating_sub(hops * MARGIN_MS);
            begin.merge(transport::offsets_at(&kafka, &[topic(role)], at).await?);
        }
    }
    Ok(Plan { committed, at_least: bounds.high, begin, low: bounds.low, absent })
}

fn print(report: &Report) -> anyhow::Result<()> {
    let counts = [
        ("records read", report.records),
        ("jobs submitted", report.jobs),
        ("  under different ids", report.ids),
        ("terminal records", report.terminal),
        ("  results", report.results),
        ("    in place of failures", report.defaulted),
        ("  failures", report.failures),
        ("waiting", report.waiting),
        ("dead letters", report.dead_letters),
        ("retries", report.retries),
        ("lost", report.lost),
        ("repeated", report.repeated),
        ("repeated after de-duplication", report.repeated_after_deduplication),
        ("repeated between stages", report.repeated_between_stages),
        ("unproven", report.unproven),
        ("faults", report.fault_count()),
    ];
    let rows: Vec<_> =
        counts.iter().map(|(name, count)| vec![(*name).to_owned(), count.to_string()]).collect();
    output::line(&output::table(&["WHAT", "COUNT"], &rows, 1))?;
    if !report.faults.is_empty() {
        let row = |fault: &reconcile::Fault| {
            vec![fault.kind.as_str().to_owned(), fault.id.clone(), fault.r#where.clone(), fault.why.clone()]
        };
        let rows: Vec<_> = report.faults.iter().map(row).collect();
        output::line("")?;
        output::line(&output::table(&["FAULT", "ID", "LAST SEEN AT", "WHY"], &rows, usize::MAX))?;
        let more = report.fault_count() - report.faults.len() as u64;
        if more > 0 {
            output::note(&format!("{more} more; --faults tells more of them"));
        }
    }
    Ok(())
}
