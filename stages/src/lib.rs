//! What is computed: preprocess, inference and postprocess as functions over jobs and tensors.
//!
//! Read [`Pipeline`] first: it takes a batch of jobs through a run of neighbouring stages and gives back one outcome
//! per job, in the same order, and never fails for one job's sake. The stages themselves are [`Preprocess`],
//! [`Inference`] and [`Postprocess`]; what a pipeline is made of is declared with the types in [`config`].
//!
//! Nothing in here knows Kafka, offsets or retries, and nothing outside of this crate names ONNX Runtime.

mod blocking;
pub mod config;
mod error;
mod failure_class;
pub mod fake;
mod inference;
mod model;
mod numbers;
mod operation;
mod pipeline;
mod postprocess;
mod preprocess;
mod provenance;
pub mod runtime;
mod signature;
mod task;

pub use config::{BatchAxis, ModelConfig, PipelineConfig, RuntimeConfig, StageConfigError};
pub use error::{JobError, LoadError};
pub use failure_class::FailureClass;
pub use inference::{Inference, Inferred};
pub use model::{Model, ModelError, ModelInput, OnnxModel, Stop};
pub use pipeline::{Pipeline, PipelineSpec, Processed, StageTimes};
pub use postprocess::{ArgMax, Labels, Postprocess, PostprocessStep, Softmax, TopK};
pub use preprocess::{
    ChannelOrder, Color, DecodeImage, Filter, Layout, Normalise, PerChannel, Preprocess, PreprocessStep,
    Resize,
};
pub use provenance::Provenance;
pub use signature::{Dimension, Signature, TensorSpec};
pub use task::Task;
