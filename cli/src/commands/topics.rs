//! `millstream topics plan|apply`: the topics as they are, and as the configuration wants them.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use transport::{TopicAction, TopicAdmin, TopicPlan};

use crate::args::{Format, TopicsCommand};
use crate::config_file::ConfigFile;
use crate::exit::{Exit, ExitWith, Outcome};
use crate::output;

/// How long the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Row {
    topic: String,
    state: &'static str,
    details: Vec<String>,
}

pub(crate) async fn run(command: TopicsCommand, format: Format, file: ConfigFile) -> Outcome {
    let kafka = &file.config.kafka;
    let admin = TopicAdmin::new(kafka).exit_with(Exit::Config)?;
    // It knows why brokers do not answer, and is quicker to say so than the administration is.
    transport::probe(kafka, &[], PATIENCE)
        .await
        .with_context(|| format!("no answer from kafka.brokers = {}", kafka.brokers))
        .exit_with(Exit::Unavailable)?;
    let mut plans = admin.plan(&file.config.topic_specs()).await.exit_with(Exit::Unavailable)?;
    let mut created = Vec::new();
    if matches!(command, TopicsCommand::Apply) {
        created = plans
            .iter()
            .filter(|plan| plan.action == TopicAction::Create)
            .map(|plan| plan.spec.name.clone())
            .collect();
        admin.apply(&plans).await.exit_with(Exit::Unavailable)?;
        // Another broker may answer than the one that was asked before, and not have heard of everything yet.
        let deadline = Instant::now() + PATIENCE;
        plans = loop {
            let seen = admin.plan(&file.config.topic_specs()).await;
            let is_settled = seen.as_ref().is_ok_and(|plans| !plans.iter().any(TopicPlan::is_change));
            if is_settled || Instant::now() >= deadline {
                break seen.exit_with(Exit::Unavailable)?;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
    }
    let rows: Vec<Row> = plans.iter().map(|plan| row(plan, created.contains(&plan.spec.name))).collect();
    match format {
        Format::Json => output::pretty_json(&rows)?,
        Format::Table => {
            let cells: Vec<_> = rows
                .iter()
                .map(|row| vec![row.topic.clone(), row.state.into(), row.details.join("; ")])
                .collect();
            output::line(&output::table(&["TOPIC", "STATE", "DETAILS"], &cells, usize::MAX))?;
        }
    }
    let as_wanted = plans.iter().all(|plan| plan.action == TopicAction::Keep);
    Ok(if as_wanted { Exit::Done } else { Exit::Failed })
}

fn row(plan: &TopicPlan, created: bool) -> Row {
    let spec = &plan.spec;
    let (state, details) = match &plan.action {
        TopicAction::Create => {
            let wanted = format!(
                "wanted: {} partitions, replication {}, min.insync.replicas {}",
                spec.partitions, spec.replication, spec.min_insync_replicas
            );
            ("missing", vec![wanted])
        }
        TopicAction::Keep if created => ("created", vec![format!("{} partitions", spec.partitions)]),
        TopicAction::Keep => ("as wanted", vec![format!("{} partitions", spec.partitions)]),
        TopicAction::Change(differences) => {
            ("differs", differences.iter().map(ToString::to_string).collect())
        }
    };
    Row { topic: spec.name.clone(), state, details }
}
