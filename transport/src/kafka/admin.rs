//! Creates topics, and changes those that differ from what they should be.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::dev_broker::is_embedded;
use super::errors::client_error;
use super::log::LogLines;
use super::settings::Settings;
use crate::config::KafkaConfig;
use crate::error::TransportError;
use crate::topics::{Remedy, TopicAction, TopicFound, TopicPlan, TopicSpec};

/// How long the brokers may take for one answer.
const LIMIT: Duration = Duration::from_secs(15);

/// Compares the topics of a cluster with what they should be, and makes them so.
#[derive(Clone)]
pub struct TopicAdmin {
    client: Arc<AdminClient<AdminContext>>,
}

impl TopicAdmin {
    /// Checks the settings; connects when it is first used.
    pub fn new(config: &KafkaConfig) -> Result<Self, TransportError> {
        let settings = Settings::admin(config)?;
        let client = settings
            .client_config()
            .create_with_context(AdminContext(LogLines::new("admin")))
            .map_err(|error| client_error("cannot ask for topics", &error))?;
        Ok(Self { client: Arc::new(client) })
    }

    /// What has to happen to each of these topics, in the same order. Changes nothing.
    pub async fn plan(&self, specs: &[TopicSpec]) -> Result<Vec<TopicPlan>, TransportError> {
        let found = self.found(specs.iter().map(|spec| spec.name.clone()).collect()).await?;
        Ok(specs.iter().map(|spec| TopicPlan::compare(spec.clone(), found.get(&spec.name))).collect())
    }

    /// Carries plans out, and waits until the brokers know the new topics. What cannot be changed is left alone.
    ///
    /// Topics are changed one after the other; an error says which could not be, and the others are done.
    pub async fn apply(&self, plans: &[TopicPlan]) -> Result<(), TransportError> {
        let mut faults = Vec::new();
        let mut created = Vec::new();
        for plan in plans {
            let done = match &plan.action {
                TopicAction::Keep => Ok(()),
                TopicAction::Create => {
                    created.push(plan.spec.name.clone());
                    self.create(&plan.spec).await
                }
                TopicAction::Change(differences) => {
                    let has = |remedy| differences.iter().any(|difference| difference.remedy == remedy);
                    self.change(&plan.spec, has(Remedy::AddPartitions), has(Remedy::Alter)).await
                }
            };
            if let Err(reason) = done {
                faults.push(format!("`{}`: {reason}", plan.spec.name));
            }
        }
        if !faults.is_empty() {
            return Err(TransportError::Fatal {
                what: "cannot set up topics".into(),
                reason: faults.join("; "),
            });
        }
        self.wait_for(created).await
    }

    // librdkafka's mock cluster knows no administration, and lets requests for it time out.
    async fn is_embedded(&self) -> bool {
        let client = self.client.clone();
        let id = tokio::task::spawn_blocking(move || client.inner().fetch_cluster_id(LIMIT)).await;
        id.ok().flatten().is_some_and(|id| is_embedded(&id))
    }

    async fn create(&self, spec: &TopicSpec) -> Result<(), String> {
        if self.is_embedded().await {
            return Err(
                "the embedded broker creates topics only as it starts; restart it with this one".into()
            );
        }
        let configuration = spec.configuration();
        let mut topic = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(spec.replication));
        for (name, value) in &configuration {
            topic = topic.set(name, value);
        }
        let results =
            self.client.create_topics([&topic], &options()).await.map_err(|error| reason(&error))?;
        match results.into_iter().next() {
            // Somebody else was faster.
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) | None => Ok(()),
            Some(Err((_, code @ RDKafkaErrorCode::InvalidReplicationFactor))) => Err(format!(
                "{code}: {} copies need as many brokers; set the replication to the number of brokers at most",
                spec.replication
            )),
            Some(Err((_, code))) => Err(advised(code)),
        }
    }

    async fn change(&self, spec: &TopicSpec, partitions: bool, configuration: bool) -> Result<(), String> {
        if partitions {
            let count = usize::try_from(spec.partitions).map_err(|_| "a topic has at least one partition")?;
            let wanted = NewPartitions::new(&spec.name, count);
            let results =
                self.client.create_partitions([&wanted], &options()).await.map_err(|error| reason(&error))?;
            if let Some(Err((_, code))) = results.into_iter().next() {
                return Err(advised(code));
            }
        }
        if configuration {
            self.alter(spec).await?;
        }
        Ok(())
    }

    // Kafka resets whatever this request does not name, so what was set on the topic before is named again.
    async fn alter(&self, spec: &TopicSpec) -> Result<(), String> {
        let name = spec.name.as_str();
        let mut entries = self.configured(name).await?;
        for (setting, value) in spec.configuration() {
            entries.insert(setting.to_owned(), value);
        }
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(name));
        for (setting, value) in &entries {
            alter = alter.set(setting, value);
        }
        let results =
            self.client.alter_configs([&alter], &options()).await.map_err(|error| reason(&error))?;
        match results.into_iter().next() {
            Some(Err((_, code))) => Err(advised(code)),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    // What is set on the topic itself, rather than inherited from the brokers.
    async fn configured(&self, topic: &str) -> Result<BTreeMap<String, String>, String> {
        let resources = self
            .client
            .describe_configs([&ResourceSpecifier::Topic(topic)], &options())
            .await
            .map_err(|error| reason(&error))?;
        let mut configured = BTreeMap::new();
        for resource in resources {
            for entry in resource.map_err(advised)?.entries {
                if let (ConfigSource::DynamicTopic, Some(value)) = (entry.source, entry.value) {
                    configured.insert(entry.name, value);
                }
            }
        }
        Ok(configured)
    }

    // The topics that there are, with all their settings, by name.
    async fn found(&self, names: Vec<String>) -> Result<BTreeMap<String, TopicFound>, TransportError> {
        let mut found = self.existing(names).await?;
        let resources: Vec<ResourceSpecifier<'_>> =
            found.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        // What the embedded broker does not tell is not compared.
        if resources.is_empty() || self.is_embedded().await {
            return Ok(found);
        }
        let described = self.client.describe_configs(&resources, &options()).await.map_err(|error| {
            TransportError::Unavailable {
                what: "cannot read the settings of topics".into(),
                reason: reason(&error),
            }
        })?;
        for resource in described {
            let resource = resource.map_err(|code| TransportError::Fatal {
                what: "cannot read the settings of topics".into(),
                reason: advised(code),
            })?;
            if let rdkafka::admin::OwnedResourceSpecifier::Topic(name) = &resource.specifier
                && let Some(topic) = found.get_mut(name)
            {
                topic.configuration = resource
                    .entries
                    .into_iter()
                    .filter_map(|entry| Some((entry.name, entry.value?)))
                    .collect();
            }
        }
        Ok(found)
    }

    // Those of the named topics that there are, with partitions and copies.
    async fn existing(&self, names: Vec<String>) -> Result<BTreeMap<String, TopicFound>, TransportError> {
        let client = self.client.clone();
        let asked = tokio::task::spawn_blocking(move || {
            // All of them: asking for one that is missing can create it on some brokers.
            let metadata = client.inner().fetch_metadata(None, LIMIT)?;
            let wanted = metadata
                .topics()
                .iter()
                .filter(|topic| topic.error().is_none() && names.iter().any(|name| name == topic.name()));
            Ok(wanted
                .map(|topic| {
                    let partitions = topic.partitions();
                    let replication = partitions.iter().map(|partition| partition.replicas().len()).min();
                    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
                    let found = TopicFound {
                        partitions: count(partitions.len()),
                        replication: count(replication.unwrap_or(0)),
                        configuration: Vec::new(),
                    };
                    (topic.name().to_owned(), found)
                })
                .collect())
        });
        let what = || "cannot ask which topics there are".to_owned();
        asked
            .await
            .map_err(|error| TransportError::Fatal { what: what(), reason: error.to_string() })?
            .map_err(|error: KafkaError| TransportError::Unavailable {
                what: what(),
                reason: format!("{error}; check `kafka.brokers` and that a broker runs there"),
            })
    }

    // The controller answers before every broker has heard of the topic.
    async fn wait_for(&self, names: Vec<String>) -> Result<(), TransportError> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = self.existing(names.clone()).await?;
            match names.iter().find(|name| !found.contains_key(*name)) {
                None => return Ok(()),
                Some(missing) if Instant::now() >= deadline => {
                    return Err(TransportError::Unavailable {
                        what: format!("topic `{missing}` was created"),
                        reason: "but the brokers do not show it; look at their logs".into(),
                    });
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl fmt::Debug for TopicAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicAdmin").finish_non_exhaustive()
    }
}

struct AdminContext(LogLines);

impl ClientContext for AdminContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.0.forward(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "asking the brokers met an error");
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(LIMIT)).operation_timeout(Some(LIMIT))
}

fn reason(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => advised(code),
        None => error.to_string(),
    }
}

fn advised(code: RDKafkaErrorCode) -> String {
    let advice = match code {
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "; the user needs the rights Create, Alter, AlterConfigs and DescribeConfigs"
        }
        RDKafkaErrorCode::OperationTimedOut => "; check `kafka.brokers` and that a broker runs there",
        _ => "",
    };
    format!("{code}{advice}")
}
