//! `millstream doctor`: what is wrong here, and what to do about it.

use std::time::Duration;

use schemas::Stage;
use serde::Serialize;
use stages::runtime;
use transport::{ClusterReport, TopicAction, TopicAdmin};
use workers::start;

use crate::args::{Format, Global};
use crate::config_file::ConfigFile;
use crate::exit::{Exit, Outcome};
use crate::{logging, output};

/// How long the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    subject: String,
    well: bool,
    says: String,
    /// The exit code that this finding asks for when it is not well.
    #[serde(skip)]
    exit: Exit,
}

impl Finding {
    fn well(subject: impl Into<String>, says: impl Into<String>) -> Self {
        Self { subject: subject.into(), well: true, says: says.into(), exit: Exit::Done }
    }

    fn wrong(subject: impl Into<String>, exit: Exit, says: impl Into<String>) -> Self {
        Self { subject: subject.into(), well: false, says: says.into(), exit }
    }
}

pub(crate) async fn run(global: &Global) -> Outcome {
    let file = ConfigFile::read(global.config.as_deref())?;
    // What the libraries log while they fail is said again, better, in the findings.
    let mut quiet = file.config.log.clone();
    quiet.level = "error,transport=off".into();
    logging::start(&quiet);

    let mut findings = configuration(&file);
    findings.push(onnx_runtime(&file));
    if findings.iter().all(|finding| finding.well) {
        findings.extend(models(&file).await);
    }
    findings.extend(kafka(&file).await);

    match global.output {
        Format::Json => output::pretty_json(&findings)?,
        Format::Table => {
            let mark = |finding: &Finding| if finding.well { "ok" } else { "WRONG" }.to_owned();
            let rows: Vec<_> =
                findings.iter().map(|f| vec![mark(f), f.subject.clone(), f.says.clone()]).collect();
            output::line(&output::table(&["", "WHAT", "FINDING"], &rows, usize::MAX))?;
        }
    }
    // The most basic fault decides: without a configuration that holds, nothing else means much.
    let exits = findings.iter().filter(|finding| !finding.well).map(|finding| finding.exit);
    Ok(exits.max_by_key(|exit| *exit as u8).unwrap_or(Exit::Done))
}

fn configuration(file: &ConfigFile) -> Vec<Finding> {
    let faults = file.check();
    if faults.is_empty() {
        let pipelines = file.config.pipelines.len();
        let says = format!("{} is valid, {pipelines} pipeline(s)", file.path.display());
        return vec![Finding::well("configuration", says)];
    }
    faults.iter().map(|fault| Finding::wrong("configuration", Exit::Config, fault.to_string())).collect()
}

fn onnx_runtime(file: &ConfigFile) -> Finding {
    match runtime::locate(&file.config.runtime) {
        Ok(library) => Finding::well("ONNX Runtime", library.to_string()),
        Err(error) => Finding::wrong("ONNX Runtime", Exit::Config, error.to_string()),
    }
}

async fn models(file: &ConfigFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, pipeline) in &file.config.pipelines {
        let subject = format!("pipeline {name}");
        findings.push(match start::load_pipeline(&file.config, name, &Stage::ALL).await {
            Ok(_) => Finding::well(subject, format!("model {} loads", pipeline.model)),
            Err(error) => Finding::wrong(subject, Exit::Config, format!("{:#}", anyhow::Error::new(error))),
        });
    }
    findings
}

async fn kafka(file: &ConfigFile) -> Vec<Finding> {
    let kafka = &file.config.kafka;
    let specs = file.config.topic_specs();
    let names: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
    let cluster = match transport::probe(kafka, &names, PATIENCE).await {
        Ok(cluster) => cluster,
        Err(error) => {
            let says =
                format!("{:#}; for development, `millstream dev` starts a broker", anyhow::Error::new(error));
            return vec![Finding::wrong("Kafka", Exit::Unavailable, says)];
        }
    };
    let mut findings = vec![brokers(&cluster)];
    match TopicAdmin::new(kafka) {
        Ok(admin) => match admin.plan(&specs).await {
            Ok(plans) => {
                findings.extend(plans.iter().map(|plan| topic(&plan.spec.name, &plan.action, &cluster)))
            }
            Err(error) => findings.push(Finding::wrong(
                "topics",
                Exit::Failed,
                format!("{:#}", anyhow::Error::new(error)),
            )),
        },
        Err(error) => findings.push(Finding::wrong("topics", Exit::Config, error.to_string())),
    }
    findings
}

fn brokers(cluster: &ClusterReport) -> Finding {
    let addresses: Vec<&str> = cluster.brokers.iter().map(|broker| broker.address.as_str()).collect();
    let id = cluster.cluster_id.as_deref().map(|id| format!(" of cluster {id}")).unwrap_or_default();
    Finding::well("Kafka", format!("{} broker(s){id}: {}", addresses.len(), addresses.join(", ")))
}

fn topic(name: &str, action: &TopicAction, cluster: &ClusterReport) -> Finding {
    let subject = format!("topic {name}");
    match action {
        TopicAction::Create => {
            Finding::wrong(subject, Exit::Failed, "missing; `millstream topics apply` creates it")
        }
        TopicAction::Change(differences) => {
            let says = differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            Finding::wrong(subject, Exit::Failed, says)
        }
        TopicAction::Keep => partitions(subject, name, cluster),
    }
}

/// A topic that is declared right can still lack leaders or replicas.
fn partitions(subject: String, name: &str, cluster: &ClusterReport) -> Finding {
    let Some(report) = cluster.topics.iter().find(|topic| topic.name == name) else {
        return Finding::well(subject, "as wanted");
    };
    match &report.partitions {
        Err(reason) => Finding::wrong(subject, Exit::Failed, reason.clone()),
        Ok(partitions) => {
            let leaderless = partitions.iter().filter(|partition| partition.leader.is_none()).count();
            let behind = partitions.iter().filter(|partition| partition.in_sync < partition.replicas).count();
            match (leaderless, behind) {
                (0, 0) => Finding::well(subject, format!("as wanted, {} partitions", partitions.len())),
                (0, behind) => Finding::wrong(
                    subject,
                    Exit::Failed,
                    format!("{behind} partition(s) have replicas that are behind; look at the brokers"),
                ),
                (leaderless, _) => Finding::wrong(
                    subject,
                    Exit::Failed,
                    format!(
                        "{leaderless} partition(s) have no leader and cannot be used; start the brokers that hold them"
                    ),
                ),
            }
        }
    }
}
