//! `millstream dead-letters purge`.

use anyhow::anyhow;
use clap::Args as ClapArgs;
use operations::dead_letters;
use schemas::Timestamp;
use serde::Serialize;
use workers::Config;

use super::confirm::confirm;
use super::{open, sharing};
use crate::args::Format;
use crate::commands::time;
use crate::exit::{Exit, ExitWith, Failure, Outcome};
use crate::output;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Kafka deletes the oldest records of a partition, so with --before one that failed later keeps those behind it.

Examples:
  millstream dead-letters purge digits --before 7d --dry-run
  millstream dead-letters purge digits -y")]
pub(crate) struct PurgeArgs {
    /// The pipeline, as declared in the configuration
    pipeline: String,
    /// Only those that failed before then: how long ago (30m, 2h, 1d), or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = time::past)]
    before: Option<Timestamp>,
    /// Say how many would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Serialize)]
struct Purged {
    deleted: u64,
    kept: u64,
    dry_run: bool,
}

impl PurgeArgs {
    pub(super) async fn run(self, config: &Config, format: Format) -> Outcome {
        let (transport, topics) =
            open(config, &self.pipeline, |topics| vec![topics.dead_letters.clone()]).await?;
        let others = sharing(config, &self.pipeline, &topics);
        if !others.is_empty() {
            let message = anyhow!(
                "the topic {} also holds the dead letters of {}, and Kafka deletes all or none; let them expire \
                 (topics.dead_letter_retention_hours), or use kafka-delete-records.sh",
                topics.dead_letters,
                others.join(", ")
            );
            return Err(Failure::new(Exit::Failed, message));
        }
        let ends = dead_letters::ends(&transport, &topics).await.exit_with(Exit::Unavailable)?;
        let purge = dead_letters::plan_purge(&transport, &topics, &ends, self.before.as_ref())
            .await
            .exit_with(Exit::Unavailable)?;
        if !self.dry_run && purge.records > 0 {
            let question = format!("Delete {} dead letters of {} for good?", purge.records, self.pipeline);
            if !confirm(self.yes, &question).await? {
                return Ok(Exit::Failed);
            }
            transport::delete_records(&config.kafka, &purge.below).await.exit_with(Exit::Unavailable)?;
        }
        let purged = Purged { deleted: purge.records, kept: purge.kept, dry_run: self.dry_run };
        match format {
            Format::Json => output::pretty_json(&purged)?,
            Format::Table => {
                let verb = if self.dry_run { "would be deleted" } else { "deleted" };
                output::line(&format!("{} dead letters {verb}, {} kept", purged.deleted, purged.kept))?;
            }
        }
        Ok(Exit::Done)
    }
}
