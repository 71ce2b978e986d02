//! `millstream dead-letters`: the records of failed jobs, listed, shown, sent again, deleted.

mod confirm;
mod list;
mod purge;
mod replay;
mod show;

use clap::{Args as ClapArgs, Subcommand};
use operations::dead_letters::Filter;
use schemas::{FailureCode, Stage, Timestamp, TopicNames};
use transport::Kafka;
use workers::Config;

use self::list::ListArgs;
use self::purge::PurgeArgs;
use self::replay::ReplayArgs;
use self::show::ShowArgs;
use super::results::connect::look_at;
use super::{configure_quietly, time};
use crate::args::Global;
use crate::exit::{Exit, ExitWith, Failure, Outcome};

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Say which there are, newest first, and count them by code and stage
    List(ListArgs),
    /// Show one with its headers, its reason and its decoded payload
    Show(ShowArgs),
    /// Send the originals again, to the stage that failed or to the start of the pipeline
    Replay(ReplayArgs),
    /// Delete them, up to now or up to a time
    Purge(PurgeArgs),
}

/// Which dead letters are meant.
#[derive(Debug, ClapArgs)]
struct FilterArgs {
    /// Only those that failed so (invalid_input, undecodable, too_large, model_error, timeout, expired, cancelled,
    /// internal); can be repeated
    #[arg(long = "code", value_name = "CODE", value_parser = code)]
    codes: Vec<FailureCode>,
    /// Only those that this stage gave up on; can be repeated
    #[arg(long = "stage", value_name = "STAGE")]
    stages: Vec<Stage>,
    /// Only those that failed then or later: how long ago (30m, 2h, 1d), or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = time::past)]
    since: Option<Timestamp>,
    /// Only those that failed before then
    #[arg(long, value_name = "WHEN", value_parser = time::past)]
    until: Option<Timestamp>,
    /// Only those of this job; can be repeated
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
}

fn code(text: &str) -> Result<FailureCode, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = FailureCode::ALL.iter().map(|code| code.as_str()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

pub(crate) async fn run(command: DeadLettersCommand, global: &Global) -> Outcome {
    let file = configure_quietly(global)?;
    let format = global.output;
    match command {
        DeadLettersCommand::List(args) => args.run(&file.config, format).await,
        DeadLettersCommand::Show(args) => args.run(&file.config, format).await,
        DeadLettersCommand::Replay(args) => args.run(&file.config, format).await,
        DeadLettersCommand::Purge(args) => args.run(&file.config, format).await,
    }
}

/// A pipeline's topics and the way there, after a look at whether Kafka and these of them are there.
async fn open(
    config: &Config,
    pipeline: &str,
    needed: impl FnOnce(&TopicNames) -> Vec<String>,
) -> Result<(Kafka, TopicNames), Failure> {
    let topics = config.topic_names(pipeline);
    let transport = Kafka::new(config.kafka_for_records()).exit_with(Exit::Config)?;
    look_at(config, pipeline, &needed(&topics)).await?;
    Ok((transport, topics))
}

/// The other pipelines whose dead letters lie on the same topic.
fn sharing(config: &Config, pipeline: &str, topics: &TopicNames) -> Vec<String> {
    let others = config.pipelines.keys().filter(|name| *name != pipeline);
    others.filter(|name| config.topic_names(name).dead_letters == topics.dead_letters).cloned().collect()
}

impl FilterArgs {
    fn filter(self, others: Vec<String>) -> Filter {
        Filter {
            codes: self.codes.into_iter().collect(),
            stages: self.stages.into_iter().collect(),
            since: self.since,
            until: self.until,
            ids: self.ids.into_iter().collect(),
            others: others.into_iter().collect(),
        }
    }
}
