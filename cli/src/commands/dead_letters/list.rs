//! `millstream dead-letters list`.

use clap::Args as ClapArgs;
use operations::dead_letters::{self, Listing};
use workers::Config;

use super::{FilterArgs, open, sharing};
use crate::args::Format;
use crate::commands::results::summary::printable;
use crate::exit::{Exit, ExitWith, Outcome};
use crate::output;

/// Messages are cut to fit a line; `show` has all of it.
const MESSAGE_WIDTH: usize = 60;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  millstream dead-letters list digits --since 2h --code model_error
  millstream dead-letters list digits --summary
  millstream dead-letters list digits -o json | jq '.by_code'")]
pub(crate) struct ListArgs {
    /// The pipeline, as declared in the configuration
    pipeline: String,
    #[command(flatten)]
    filter: FilterArgs,
    /// How many to show, the newest; all are counted
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Only the counts by code and stage
    #[arg(long)]
    summary: bool,
}

impl ListArgs {
    pub(super) async fn run(self, config: &Config, format: Format) -> Outcome {
        let Self { pipeline, filter, limit, summary } = self;
        let (transport, topics) = open(config, &pipeline, |topics| vec![topics.dead_letters.clone()]).await?;
        let filter = filter.filter(sharing(config, &pipeline, &topics));
        let ends = dead_letters::ends(&transport, &topics).await.exit_with(Exit::Unavailable)?;
        let limit = if summary { 0 } else { limit };
        let listing = dead_letters::list(&transport, &topics, &filter, &ends, limit)
            .await
            .exit_with(Exit::Unavailable)?;
        match format {
            Format::Json => output::pretty_json(&listing)?,
            Format::Table => print(&listing, summary)?,
        }
        Ok(Exit::Done)
    }
}

fn print(listing: &Listing, summary: bool) -> anyhow::Result<()> {
    if !summary {
        let rows: Vec<_> = listing
            .letters
            .iter()
            .map(|letter| {
                vec![
                    letter.time.to_string(),
                    letter.code.to_owned(),
                    printable(&letter.stage),
                    letter.id.to_string(),
                    format!("{}/{}", letter.partition, letter.offset),
                    shortened(&printable(&letter.message)),
                ]
            })
            .collect();
        output::line(&output::table(
            &["TIME", "CODE", "STAGE", "ID", "POSITION", "MESSAGE"],
            &rows,
            usize::MAX,
        ))?;
        output::line("")?;
    }
    let by_code = listing.by_code.iter().map(|(code, count)| (*code, *count));
    let by_stage = listing.by_stage.iter().map(|(stage, count)| (stage.as_str(), *count));
    let counts = |counts: Vec<(&str, u64)>| {
        let counts: Vec<String> =
            counts.iter().map(|(name, count)| format!("{} {count}", printable(name))).collect();
        if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
    };
    output::line(&format!(
        "{} dead letters, {} shown; by code: {}; by stage: {}",
        listing.matching,
        listing.letters.len(),
        counts(by_code.collect()),
        counts(by_stage.collect())
    ))?;
    if listing.unreadable > 0 {
        output::note(&format!(
            "{} records on the topic are no dead letters that can be read",
            listing.unreadable
        ));
    }
    Ok(())
}

fn shortened(message: &str) -> String {
    let mut characters = message.chars();
    let head: String = characters.by_ref().take(MESSAGE_WIDTH).collect();
    if characters.next().is_some() { format!("{head}…") } else { head }
}
