//! A pipeline: a run of neighbouring stages as one function over a batch of jobs.
//!
//! The work is done on threads for blocking work: one call for the preprocessing of the whole batch, and one for the
//! run of the model with the postprocessing after it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::{Job, Stage, Tensor, Timestamp};

use crate::blocking::blocking;
use crate::config::{ModelConfig, PipelineConfig, RuntimeConfig};
use crate::error::{Fault, JobError, LoadError};
use crate::inference::{Inference, Inferred, run_jobs};
use crate::model::Model;
use crate::postprocess::{Labels, Postprocess};
use crate::preprocess::Preprocess;
use crate::provenance::{Provenance, digest, pipeline_digest};
use crate::signature::Signature;
use crate::task::{Task, check_deadline};

/// What a pipeline is declared as, gathered from the sections of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct PipelineSpec<'a> {
    /// The pipeline's name.
    pub name: &'a str,
    /// Its declaration.
    pub pipeline: &'a PipelineConfig,
    /// The declaration of the model that it names.
    pub model: &'a ModelConfig,
    /// Where ONNX Runtime is.
    pub runtime: &'a RuntimeConfig,
}

/// A run of neighbouring stages of a pipeline, loaded and ready. Cheap to clone; clones share the sessions.
#[derive(Debug, Clone)]
pub struct Pipeline {
    stages: RangeInclusive<Stage>,
    preprocess: Option<Arc<Preprocess>>,
    inference: Option<Inference>,
    postprocess: Option<Arc<Postprocess>>,
    provenance: Arc<Provenance>,
}

/// A job that went through all stages of a [`Pipeline`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processed {
    /// The job; its tensors are those after the last stage.
    pub job: Job,
    /// What the stages took.
    pub times: StageTimes,
}

/// How long the stages took for one job. A stage that is not part of the pipeline took no time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Preprocessing of this job alone.
    pub preprocess: Duration,
    /// The run of the model that this job was part of.
    pub inference: Duration,
    /// Postprocessing of this job alone.
    pub postprocess: Duration,
    /// Rows of the run of the model that this job was part of; 0 where the pipeline has no inference.
    pub batch_size: u32,
}

type Entry = Result<Processed, JobError>;

impl Pipeline {
    /// Loads what the stages need: the model only if inference is one of them, labels only if postprocessing is.
    /// Blocks.
    pub fn load(stages: RangeInclusive<Stage>, spec: PipelineSpec<'_>) -> Result<Self, LoadError> {
        Self::build(stages, spec, || Inference::load(spec.runtime, &spec.pipeline.model, spec.model))
    }

    /// As [`Pipeline::load`], with models that are there already instead of the model's file. Their digest is that of
    /// an empty file.
    pub fn with_models(
        stages: RangeInclusive<Stage>,
        spec: PipelineSpec<'_>,
        models: Vec<Box<dyn Model>>,
    ) -> Result<Self, LoadError> {
        Self::build(stages, spec, || {
            Ok(Inference::with_models(models, digest(b"")).limited(&spec.pipeline.model, spec.model))
        })
    }

    fn build(
        stages: RangeInclusive<Stage>,
        spec: PipelineSpec<'_>,
        load_model: impl FnOnce() -> Result<Inference, LoadError>,
    ) -> Result<Self, LoadError> {
        if stages.is_empty() {
            return Err(LoadError::Stages { first: *stages.start(), last: *stages.end() });
        }
        let in_pipeline = |error| LoadError::PipelineConfig { pipeline: spec.name.to_owned(), error };
        if let Some(error) = spec.pipeline.check().into_iter().next() {
            return Err(in_pipeline(error));
        }
        let preprocess = match stages.contains(&Stage::Preprocess) {
            true => Some(Arc::new(Preprocess::new(&spec.pipeline.preprocess).map_err(in_pipeline)?)),
            false => None,
        };
        let postprocess = match stages.contains(&Stage::Postprocess) {
            true => {
                let read = |path| Labels::read(&spec.pipeline.model, path).map(Arc::new);
                let labels = spec.model.labels.as_deref().map(read).transpose()?;
                Some(Arc::new(
                    Postprocess::new(&spec.pipeline.postprocess, labels.as_ref()).map_err(in_pipeline)?,
                ))
            }
            false => None,
        };
        let inference = stages.contains(&Stage::Inference).then(load_model).transpose()?;
        let provenance = Arc::new(Provenance {
            model_name: spec.pipeline.model.clone(),
            model_version: spec.model.version.clone(),
            model_digest: inference.as_ref().map(|inference| inference.digest().to_owned()),
            pipeline_digest: pipeline_digest(spec.pipeline),
        });
        Ok(Self { stages, preprocess, inference, postprocess, provenance })
    }

    /// The stages that jobs go through.
    pub fn stages(&self) -> RangeInclusive<Stage> {
        self.stages.clone()
    }

    /// What results are stamped with.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// What the model takes and gives; `None` where inference is not one of the stages.
    pub fn signature(&self) -> Option<&Signature> {
        self.inference.as_ref().map(Inference::signature)
    }

    /// Sessions of the model that no run holds; 0 where inference is not one of the stages.
    pub fn sessions_available(&self) -> usize {
        self.inference.as_ref().map_or(0, Inference::sessions_available)
    }

    /// Runs the model once on zeros, in every session, and what it gives through postprocessing, so that the first job
    /// does not pay for what is done lazily. Gives the tensors that came out; none where inference is not one of the
    /// stages. An error tells of labels or tensor names that do not fit the model; a model
    /// that does not accept zeros, or axes of size 1, gives an error too and may work all the same.
    pub async fn warm_up(&self) -> Result<Vec<Tensor>, JobError> {
        let Some(inference) = &self.inference else { return Ok(Vec::new()) };
        let outputs = inference.warm_up().await.map_err(|error| Fault::from(error).at(Stage::Inference))?;
        let outputs = match &self.postprocess {
            Some(postprocess) => postprocess.run(outputs)?,
            None => outputs,
        };
        Ok(outputs.inputs)
    }

    /// Takes jobs through the stages: one outcome per job, in the same order. Never fails for one job's sake.
    ///
    /// A job whose deadline has passed when the batch is formed for the model, which is after preprocessing and after
    /// waiting for a session, is [`Expired`](schemas::FailureCode::Expired); its neighbours run. Deadlines are looked at
    /// there only: whether a job is worth starting on, and whether its outcome is worth publishing, is for the caller.
    pub async fn run(&self, tasks: Vec<Task>) -> Vec<Result<Processed, JobError>> {
        let entry = |Task { job, deadline }| (Ok(Processed { job, times: StageTimes::default() }), deadline);
        let (mut entries, deadlines): (Vec<Entry>, Vec<Option<Timestamp>>) =
            tasks.into_iter().map(entry).unzip();
        if let Some(preprocess) = self.preprocess.clone().filter(|preprocess| !preprocess.is_pass_through()) {
            entries = blocking(move || run_preprocess(&preprocess, entries)).await;
        }
        let postprocess = self.postprocess.clone().filter(|postprocess| !postprocess.is_pass_through());
        if entries.iter().all(Result::is_err) {
            return entries;
        }
        match (&self.inference, postprocess) {
            (Some(inference), postprocess) => {
                let mut session = inference.session().await;
                let signature = inference.shared_signature();
                let run = move || {
                    let entries = drop_expired(entries, &deadlines);
                    let entries = run_inference(&mut session, &signature, entries);
                    // The next batch can have the session while this one is postprocessed.
                    drop(session);
                    match postprocess {
                        Some(postprocess) => run_postprocess(&postprocess, entries),
                        None => entries,
                    }
                };
                blocking(run).await
            }
            (None, Some(postprocess)) => blocking(move || run_postprocess(&postprocess, entries)).await,
            (None, None) => entries,
        }
    }
}

fn run_preprocess(preprocess: &Preprocess, entries: Vec<Entry>) -> Vec<Entry> {
    let run = |Processed { job, times }| {
        let started = Instant::now();
        let job = preprocess.run(job)?;
        Ok(Processed { job, times: StageTimes { preprocess: started.elapsed(), ..times } })
    };
    entries.into_iter().map(|entry: Entry| entry.and_then(run)).collect()
}

fn run_postprocess(postprocess: &Postprocess, entries: Vec<Entry>) -> Vec<Entry> {
    let run = |Processed { job, times }| {
        let started = Instant::now();
        let job = postprocess.run(job)?;
        Ok(Processed { job, times: StageTimes { postprocess: started.elapsed(), ..times } })
    };
    entries.into_iter().map(|entry: Entry| entry.and_then(run)).collect()
}

fn drop_expired(entries: Vec<Entry>, deadlines: &[Option<Timestamp>]) -> Vec<Entry> {
    let now = Timestamp::now();
    let check = |(entry, deadline): (Entry, &Option<Timestamp>)| {
        let processed = entry?;
        check_deadline(deadline.as_ref(), &now).map(|()| processed)
    };
    entries.into_iter().zip(deadlines).map(check).collect()
}

fn run_inference(model: &mut dyn Model, signature: &Signature, mut entries: Vec<Entry>) -> Vec<Entry> {
    let jobs = entries.iter_mut().flatten().map(|processed| std::mem::take(&mut processed.job)).collect();
    let mut inferred = run_jobs(model, signature, jobs).into_iter();
    let mut run = |Processed { times, .. }| {
        let Inferred { job, elapsed, batch_size } = inferred.next().expect("one outcome per job")?;
        Ok(Processed { job, times: StageTimes { inference: elapsed, batch_size, ..times } })
    };
    entries.into_iter().map(|entry| entry.and_then(&mut run)).collect()
}

#[cfg(test)]
mod tests;
