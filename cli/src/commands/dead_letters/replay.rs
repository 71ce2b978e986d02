//! `millstream dead-letters replay`.

use clap::{Args as ClapArgs, ValueEnum};
use operations::dead_letters::{self, Replay, ReplayTo, Replayed, Skip};
use workers::Config;

use super::confirm::confirm;
use super::{FilterArgs, open, sharing};
use crate::args::Format;
use crate::exit::{Exit, ExitWith, Outcome};
use crate::output;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Each original is sent with its key, value, headers and id as a new job; of several dead letters of one job only the newest. \
What fails meanwhile is not sent again. Dead letters stay where they are: `purge` deletes them, --since leaves older ones out.

Examples:
  millstream dead-letters replay digits --code timeout --since 1d --dry-run
  millstream dead-letters replay digits --code timeout --since 1d --rate 50 -y

Exit codes: 0 done · 3 some were not sent (sent too often, truncated, not acknowledged) · 1 failed · 69 Kafka cannot be \
reached.")]
pub(crate) struct ReplayArgs {
    /// The pipeline, as declared in the configuration
    pipeline: String,
    #[command(flatten)]
    filter: FilterArgs,
    /// Where to
    #[arg(long, value_enum, value_name = "PLACE", default_value_t = To::Failed)]
    to: To,
    /// Records a second at most, such as 50 or 0.5/s
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Leave those where they are that were sent so often already
    #[arg(long, value_name = "N", default_value_t = 3)]
    max_replays: u32,
    /// Leave out a deadline that has passed; otherwise the job fails as `expired`
    #[arg(long)]
    reset_deadline: bool,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// The topic of the stage that failed.
    Failed,
    /// The first topic of the pipeline.
    Start,
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("expected records a second, such as 50 or 0.5/s".to_owned()),
    }
}

impl ReplayArgs {
    pub(super) async fn run(self, config: &Config, format: Format) -> Outcome {
        let (transport, topics) = open(config, &self.pipeline, |topics| {
            let jobs = [&topics.preprocess, &topics.inference, &topics.postprocess];
            jobs.into_iter().chain([&topics.dead_letters]).cloned().collect()
        })
        .await?;
        let filter = self.filter.filter(sharing(config, &self.pipeline, &topics));
        let ends = dead_letters::ends(&transport, &topics).await.exit_with(Exit::Unavailable)?;
        let mut options = Replay {
            to: match self.to {
                To::Failed => ReplayTo::Failed,
                To::Start => ReplayTo::Start,
            },
            max_replays: self.max_replays,
            reset_deadline: self.reset_deadline,
            rate: self.rate,
            dry_run: true,
        };
        let replay = async |options: &Replay| {
            let replayed = dead_letters::replay(&transport, &topics, &filter, &ends, options).await;
            replayed.exit_with(Exit::Unavailable)
        };
        let mut replayed = replay(&options).await?;
        if !self.dry_run && replayed.sent > 0 {
            let to: Vec<String> =
                replayed.by_topic.iter().map(|(topic, count)| format!("{count} to {topic}")).collect();
            let question = format!("Send {} dead letters again ({})?", replayed.sent, to.join(", "));
            if !confirm(self.yes, &question).await? {
                return Ok(Exit::Failed);
            }
            options.dry_run = false;
            replayed = replay(&options).await?;
        }
        match format {
            Format::Json => output::pretty_json(&replayed)?,
            Format::Table => print(&replayed, self.dry_run)?,
        }
        Ok(exit_of(&replayed))
    }
}

fn exit_of(replayed: &Replayed) -> Exit {
    let refused = replayed.skipped.contains_key(&Skip::NotAcknowledged);
    match (replayed.skipped_count(), replayed.sent) {
        (0, _) => Exit::Done,
        (_, 0) if refused => Exit::Unavailable,
        _ => Exit::Partial,
    }
}

fn print(replayed: &Replayed, dry_run: bool) -> anyhow::Result<()> {
    let verb = if dry_run { "would be sent" } else { "sent" };
    let to: Vec<String> =
        replayed.by_topic.iter().map(|(topic, count)| format!("{count} to {topic}")).collect();
    let to = if to.is_empty() { String::new() } else { format!(" ({})", to.join(", ")) };
    output::line(&format!("{} of {} dead letters {verb}{to}", replayed.sent, replayed.matching))?;
    if replayed.superseded > 0 {
        output::line(&format!("{} are earlier failures of jobs that have a newer one", replayed.superseded))?;
    }
    if replayed.deadlines_reset > 0 {
        output::line(&format!("{} without their deadline, which had passed", replayed.deadlines_reset))?;
    }
    for (skip, count) in &replayed.skipped {
        output::line(&format!("{count} not: {}", skip.reason()))?;
    }
    for skipped in &replayed.skipped_letters {
        let id = skipped.id.as_ref().map_or_else(String::new, |id| format!(" ({id})"));
        output::note(&format!("not sent: {}{id}: {}", skipped.position, skipped.why));
    }
    if replayed.expired > 0 {
        output::note(&format!(
            "warning: the deadlines of {} have passed, so they fail as expired; --reset-deadline leaves them out",
            replayed.expired
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let check = |text: &str, expect: Option<f64>| assert_eq!(rate(text).ok(), expect, "{text}");
        check("50", Some(50.0));
        check("0.5/s", Some(0.5));
        check("0", None);
        check("-1", None);
        check("inf", None);
        check("50/m", None);
    }

    #[test]
    fn exits_say_what_was_not_sent() {
        let check = |sent, skip: Option<Skip>, expect| {
            let skipped = skip.into_iter().map(|skip| (skip, 1)).collect();
            assert_eq!(exit_of(&Replayed { sent, skipped, ..Replayed::default() }), expect);
        };
        check(0, None, Exit::Done);
        check(1, Some(Skip::OverLimit), Exit::Partial);
        check(0, Some(Skip::OverLimit), Exit::Partial);
        check(0, Some(Skip::NotAcknowledged), Exit::Unavailable);
    }
}
