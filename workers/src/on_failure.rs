//! What a pipeline declares for jobs that failed for good, stage by stage: `[pipelines.P.on_failure]`.
//!
//! The code of a failure and its stage decide, and nothing else, so that whoever reads the topics can tell what must lie
//! there. `expired` and `cancelled` are no failures of a stage but what the producer asked for: they keep the failure and
//! the dead letter whatever is declared.

use bytes::Bytes;
use schemars::JsonSchema;
use schemas::{Datatype, Encoding, Failure, FailureCode, JobId, Limits, Parameters, Stage, Tensor};
use serde::{Deserialize, Serialize};
use transport::Position;

use crate::config::ConfigFault;

/// What becomes of a job that fails in a stage and is not run again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OnFailureConfig {
    /// Of one that fails in preprocessing, or cannot be read there.
    pub preprocess: OnFailure,
    /// Of one that fails in the model, or cannot be read there.
    pub inference: OnFailure,
    /// Of one that fails in postprocessing, or cannot be read there.
    pub postprocess: OnFailure,
}

/// What becomes of a job that fails. One that expired or was cancelled is a failure with a dead letter in any case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// A failure on the results, and the original record on the dead letters.
    #[default]
    DeadLetter,
    /// A failure on the results, and no dead letter.
    Skip,
    /// No answer: the worker ends without committing the job, and again whenever it is started, until the cause is mended
    /// or the job cancelled.
    Stop,
    /// A result with these tensors, which says that it is no answer of the model.
    Default(Vec<DefaultTensor>),
}

/// A tensor of a default, as the Open Inference Protocol has it in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultTensor {
    /// Its name; no two of a default have the same.
    pub name: String,
    /// The type of its elements. FP16 and BF16 cannot be written here.
    pub datatype: Datatype,
    /// Its dimensions; empty for a scalar, which has one element.
    pub shape: Vec<u64>,
    /// Its elements, flat or nested as the shape says: numbers, booleans, or for BYTES strings.
    pub data: Vec<serde_json::Value>,
}

impl OnFailureConfig {
    fn of(&self, stage: Stage) -> &OnFailure {
        match stage {
            Stage::Preprocess => &self.preprocess,
            Stage::Inference => &self.inference,
            Stage::Postprocess => &self.postprocess,
        }
    }

    /// The stages whose failures leave no dead letter, unless the job expired or was cancelled.
    pub fn without_dead_letters(&self) -> impl Iterator<Item = Stage> {
        Stage::ALL.into_iter().filter(|stage| *self.of(*stage) == OnFailure::Skip)
    }

    /// The tensors of each default, with the path of its key below the pipeline's section. What is wrong with a default
    /// stands in its place.
    pub fn defaults(
        &self,
        limits: &Limits,
    ) -> impl Iterator<Item = (Stage, Result<Vec<Tensor>, ConfigFault>)> {
        Stage::ALL.into_iter().filter_map(move |stage| match self.of(stage) {
            OnFailure::Default(declared) => Some((stage, tensors(stage, declared, limits))),
            OnFailure::DeadLetter | OnFailure::Skip | OnFailure::Stop => None,
        })
    }

    /// What of the defaults does not agree with the tensors that the pipeline's results have: a default may leave some out,
    /// but adds none and gives none another type. Paths are relative to the pipeline's section.
    pub fn compare(&self, limits: &Limits, results: &[Tensor]) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        for (stage, tensors) in self.defaults(limits) {
            for (index, tensor) in tensors.unwrap_or_default().iter().enumerate() {
                let path = |key: &str| format!("on_failure.{stage}.default[{index}].{key}");
                match results.iter().find(|result| result.name() == tensor.name()) {
                    Some(result) if result.datatype() == tensor.datatype() => {}
                    Some(result) => {
                        let message =
                            format!("in the pipeline's results it is {}; write that", result.datatype());
                        faults.push(ConfigFault::new(path("datatype"), message));
                    }
                    None => {
                        let names: Vec<_> =
                            results.iter().map(|result| format!("`{}`", result.name())).collect();
                        let message = format!(
                            "the pipeline's results have no tensor `{}`; name one of {}",
                            tensor.name(),
                            names.join(", ")
                        );
                        faults.push(ConfigFault::new(path("name"), message));
                    }
                }
            }
        }
        faults
    }

    /// What is wrong with it; paths are relative to the pipeline's section.
    pub(crate) fn check(&self, limits: &Limits) -> Vec<ConfigFault> {
        self.defaults(limits).filter_map(|(_, tensors)| tensors.err()).collect()
    }
}

/// Whether what is declared for the stage holds for failures with this code.
pub(crate) fn is_of_a_stage(code: FailureCode) -> bool {
    !matches!(code, FailureCode::Expired | FailureCode::Cancelled)
}

/// What is declared, ready for use.
#[derive(Debug, Clone)]
pub(crate) struct Policies([Policy; Stage::ALL.len()]);

/// What becomes of one failed job.
#[derive(Debug, Clone)]
pub(crate) enum Policy {
    DeadLetter,
    Skip,
    Stop,
    Default(Vec<Tensor>),
}

impl Policies {
    /// Reads the tensors of the defaults.
    ///
    /// # Errors
    /// The first of what [`OnFailureConfig::check`] finds.
    pub(crate) fn new(declared: &OnFailureConfig, limits: &Limits) -> Result<Self, ConfigFault> {
        let mut policies = Stage::ALL.map(|stage| match declared.of(stage) {
            OnFailure::DeadLetter | OnFailure::Default(_) => Policy::DeadLetter,
            OnFailure::Skip => Policy::Skip,
            OnFailure::Stop => Policy::Stop,
        });
        for (stage, tensors) in declared.defaults(limits) {
            policies[stage as usize] = Policy::Default(tensors?);
        }
        Ok(Self(policies))
    }

    /// What becomes of a job with this failure, which is not run again.
    pub(crate) fn of(&self, failure: &Failure) -> &Policy {
        match failure.stage.parse::<Stage>() {
            Ok(stage) if is_of_a_stage(failure.code) => &self.0[stage as usize],
            _ => &Policy::DeadLetter,
        }
    }

    /// Whether some job may end as a default, for which its parameters must be kept.
    pub(crate) fn have_a_default(&self) -> bool {
        self.0.iter().any(|policy| matches!(policy, Policy::Default(_)))
    }
}

/// The job that a worker stops at.
#[derive(Debug, thiserror::Error)]
#[error(
    "job {id} ({position}) failed in {stage} of pipeline {pipeline} with {code}: {message}; \
     pipelines.{pipeline}.on_failure.{stage} = \"stop\", so neither it nor its batch was answered: mend the cause and start the \
     worker again, or give the job up with `millstream cancel {pipeline} --id '{id}'` first",
    stage = failure.stage, code = failure.code, message = failure.message
)]
pub struct StoppedAt {
    /// The pipeline.
    pub pipeline: String,
    /// The job.
    pub id: JobId,
    /// Where it lies.
    pub position: Position,
    /// What it failed with.
    pub failure: Failure,
}

/// What a result in place of a failure says of it.
pub(crate) fn tell_failure(failure: &Failure, parameters: &mut Parameters) {
    parameters.insert("defaulted".into(), true.into());
    parameters.insert("failure_stage".into(), failure.stage.as_str().into());
    parameters.insert("failure_code".into(), failure.code.as_str().into());
    parameters.insert("failure_message".into(), failure.message.as_str().into());
}

/// The tensors of a default. They are read as those of a job in JSON are: so one place says what a tensor is, and what was
/// read can be written in both encodings of results.
fn tensors(stage: Stage, declared: &[DefaultTensor], limits: &Limits) -> Result<Vec<Tensor>, ConfigFault> {
    let path = format!("on_failure.{stage}.default");
    if declared.is_empty() {
        let advice = "name at least one tensor, or declare \"skip\" for a failure without a dead letter";
        return Err(ConfigFault::new(path, advice));
    }
    for (index, DefaultTensor { name, datatype, .. }) in declared.iter().enumerate() {
        if name.is_empty() {
            let message = "is empty; name the tensor as the pipeline's results do";
            return Err(ConfigFault::new(format!("{path}[{index}].name"), message));
        }
        if declared[..index].iter().any(|earlier| earlier.name == *name) {
            let message = format!("another tensor is called `{name}` already; give each its own name");
            return Err(ConfigFault::new(format!("{path}[{index}].name"), message));
        }
        if matches!(datatype, Datatype::Fp16 | Datatype::Bf16) {
            let message = format!("{datatype} cannot be written in a file; declare FP32");
            return Err(ConfigFault::new(format!("{path}[{index}].datatype"), message));
        }
    }
    let body = serde_json::json!({ "inputs": declared }).to_string();
    let json = Some(Encoding::Json.content_type());
    let job = schemas::decode_job(json, &Bytes::from(body), limits).map_err(|error| {
        let place = error.path.strip_prefix("inputs").unwrap_or_default();
        let is_in_data = |(index, _): &(usize, &DefaultTensor)| place.starts_with(&format!("[{index}].data"));
        let message = match declared.iter().enumerate().find(is_in_data) {
            Some((_, tensor)) => format!("{}; {}", error.message, wanted(tensor)),
            None => error.message,
        };
        ConfigFault::new(format!("{path}{place}"), message)
    })?;
    Ok(job.inputs)
}

/// What the data of this tensor would have to be.
fn wanted(DefaultTensor { datatype, shape, .. }: &DefaultTensor) -> String {
    let element = match datatype {
        Datatype::Bool => "true or false",
        Datatype::Bytes => "text",
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => "a finite number",
        _ => "an integer in its range",
    };
    let count = shape.iter().fold(1_u64, |count, dimension| count.saturating_mul(*dimension));
    format!("write {count} elements, flat or nested as the shape, each of them {element}")
}

#[cfg(test)]
mod tests;
