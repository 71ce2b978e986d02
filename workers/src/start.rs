//! From a configuration to a running worker: load and warm the model, connect, join the group.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use schemas::{RetryDelay, Stage, TopicNames};
use stages::{LoadError, Pipeline, PipelineSpec};
use transport::{Transport, TransportError};

use crate::attempt_mark::Author;
use crate::cancellations::Cancellations;
use crate::config::{Config, ConfigFault, DeliveryMode};
use crate::fetch::Fetcher;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::on_failure::Policies;
use crate::publish::Outbox;
use crate::service::{Blueprint, Service};
use crate::slot::{Slot, SlotError};
use crate::topic_limits::TopicLimits;

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The pipeline is not in the configuration.
    #[error("there is no pipeline `{name}` under [pipelines] (declared: {declared})")]
    UnknownPipeline {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        declared: String,
    },
    /// No stage was asked for.
    #[error("name at least one stage: preprocess, inference, postprocess")]
    NoStage,
    /// The stages asked for are not neighbours.
    #[error("the stages {0} are not neighbours; a worker runs one stage or a run without gaps")]
    NotNeighbours(String),
    /// The model cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What is declared for jobs that fail cannot be used.
    #[error("pipelines.{pipeline}.{fault}")]
    OnFailure {
        /// The pipeline that is wrongly declared.
        pipeline: String,
        /// The key in its section and what is wrong with it.
        fault: ConfigFault,
    },
    /// The worker's slot cannot be used.
    #[error("worker.slot: {0}")]
    Slot(#[from] SlotError),
    /// Kafka cannot be reached or refuses the settings.
    #[error("cannot connect the worker to its topics")]
    Transport(#[from] TransportError),
}

/// Loads the model and the labels that these stages of a pipeline need.
///
/// # Errors
/// When the pipeline is not declared, or a file of it does not load.
pub async fn load_pipeline(config: &Config, name: &str, stages: &[Stage]) -> Result<Pipeline, StartError> {
    let (first, last) = neighbours(stages)?;
    let Some(declared) = config.pipelines.get(name) else {
        let declared = config.pipelines.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(StartError::UnknownPipeline { name: name.to_owned(), declared });
    };
    let (name, pipeline, model) =
        (name.to_owned(), declared.stages(), config.models[&declared.model].clone());
    let runtime = config.runtime.clone();
    let load = move || {
        let spec = PipelineSpec { name: &name, pipeline: &pipeline, model: &model, runtime: &runtime };
        Pipeline::load(first..=last, spec)
    };
    let loaded = tokio::task::spawn_blocking(load).await;
    Ok(loaded.expect("loading reports its faults as errors and does not panic")?)
}

/// Runs the model once, so that the first job does not pay for what is done lazily. A model that cannot run on zeros
/// may still work on real jobs, so that is only said.
pub async fn warm_up(pipeline: &Pipeline) {
    if let Err(error) = pipeline.warm_up().await {
        tracing::warn!(%error, "the model did not run on zeros; it may still run on real jobs");
    }
}

/// Joins the consumer group of the first stage and builds the worker around `pipeline`.
///
/// # Errors
/// When Kafka refuses the settings, or cannot be reached where that is needed at once.
pub async fn join<T: Transport>(
    transport: &T,
    config: &Config,
    name: &str,
    stages: &[Stage],
    pipeline: Pipeline,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
) -> Result<Service<T>, StartError> {
    let (first, last) = neighbours(stages)?;
    let declared = &config.pipelines[name];
    let topics = config.topic_names(name);
    let topic_limits = TopicLimits::new(config.max_outcome_bytes(), written_topics(&topics));
    let ((), topic_limits) = tokio::join!(warm_up(&pipeline), topic_limits.look_up(transport));
    health.models_warm.store(true, Ordering::Relaxed);
    let group = config.group(name, first);
    let is_transactional = declared.delivery == DeliveryMode::ExactlyOnce;
    let slot = match &config.worker.slot {
        _ if !is_transactional && !config.worker.static_membership => None,
        Some(slot) => Some(Slot::named(slot)?),
        None => Some(Slot::claim(&group)),
    };
    let name_in_groups = |slot: &Slot| {
        if !slot.outlasts_restarts() {
            tracing::warn!(
                slot = slot.name(),
                "worker.static_membership has no effect: under a random slot this worker is another member after each restart"
            );
            return None;
        }
        // The workers of all stages share the group that reads the retry topics.
        Some(format!("{first}.{}", slot.name()))
    };
    let blueprint = Blueprint {
        topic: topics.of_stage(first).to_owned(),
        transactional_id: slot
            .as_ref()
            .filter(|_| is_transactional)
            .map(|slot| format!("{group}.{}", slot.name())),
        instance_id: slot.as_ref().filter(|_| config.worker.static_membership).and_then(name_in_groups),
        group,
        author: Author::new(),
        _slot: slot,
        retry_group: format!("{}.{name}.retry", config.topics.prefix),
        retry_targets: Stage::ALL.map(|stage| topics.of_stage(stage).to_owned()),
        limits: config.worker_limits(declared),
        fetcher: Fetcher {
            pipeline: name.to_owned(),
            stage: first,
            sharing: config.sharing_topic(name, first),
            // Only what enters at the first stage comes from a producer alone.
            limits: if first == Stage::Preprocess { config.limits.clone() } else { config.limits.of_hops() },
        },
        outbox: Outbox {
            pipeline: name.to_owned(),
            stage: first,
            next: last.next().map(|next| topics.of_stage(next).into()),
            results: topics.results.as_str().into(),
            dead_letters: topics.dead_letters.as_str().into(),
            retries: RetryDelay::ALL.map(|delay| topics.of_retry(delay).into()),
            source: format!("/millstream/{name}/{last}"),
            encoding: declared.results.into(),
            provenance: pipeline.provenance().clone(),
            limits: topic_limits,
        },
        cancellations: Cancellations::start(&transport.at_leisure(), &topics.cancellations).await,
        max_attempts: declared.retry.max_attempts,
        on_failure: Policies::new(&declared.on_failure, &config.limits)
            .map_err(|fault| StartError::OnFailure { pipeline: name.to_owned(), fault })?,
        name: name.to_owned(),
        stages: stages.to_vec(),
        pipeline,
    };
    let service = Service::new(transport.clone(), blueprint, health, metrics).await?;
    tracing::info!(
        pipeline = name, first = %first, last = %last, topic = topics.of_stage(first), delivery = ?declared.delivery,
        "worker joins its group"
    );
    Ok(service)
}

/// Every topic that a worker may write to: outcomes, and jobs that are run again, whichever stage they go back to.
fn written_topics(topics: &TopicNames) -> Vec<String> {
    let mut written = Stage::ALL.map(|stage| topics.of_stage(stage).to_owned()).to_vec();
    written.extend([topics.results.clone(), topics.dead_letters.clone()]);
    written.extend(topics.retries.iter().cloned());
    written
}

/// The first and last of stages that have no gap between them.
fn neighbours(stages: &[Stage]) -> Result<(Stage, Stage), StartError> {
    let mut sorted = stages.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else {
        return Err(StartError::NoStage);
    };
    if sorted != Stage::ALL.into_iter().filter(|stage| (first..=last).contains(stage)).collect::<Vec<_>>() {
        let named = sorted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        return Err(StartError::NotNeighbours(named));
    }
    Ok((first, last))
}
