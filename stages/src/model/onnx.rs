//! A model on ONNX Runtime: one session.

use std::fmt;
use std::sync::Arc;

use ort::ErrorCode;
use ort::logging::LogLevel;
use ort::session::builder::SessionBuilder;
use ort::session::{RunOptions, Session};
use ort::value::{Outlet, ValueType};
use schemas::Tensor;

use super::values::{datatype_of, to_tensor, to_value};
use super::{Model, ModelError, ModelInput, Stop};
use crate::config::{BatchAxis, ModelConfig};
use crate::error::LoadError;
use crate::failure_class::FailureClass;
use crate::operation::quoted;
use crate::runtime::Runtime;
use crate::signature::{Dimension, Signature, TensorSpec};

/// A session of a model.
pub struct OnnxModel {
    session: Session,
    signature: Signature,
    run_options: Arc<RunOptions>,
}

impl fmt::Debug for OnnxModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxModel").field("signature", &self.signature).finish_non_exhaustive()
    }
}

impl OnnxModel {
    /// Makes as many sessions of a model as the configuration asks for, from the bytes of its file.
    pub fn sessions(
        runtime: &Runtime,
        name: &str,
        config: &ModelConfig,
        bytes: &[u8],
    ) -> Result<Vec<Self>, LoadError> {
        (0..config.sessions.max(1)).map(|_| Self::session(runtime, name, config, bytes)).collect()
    }

    fn session(runtime: &Runtime, name: &str, config: &ModelConfig, bytes: &[u8]) -> Result<Self, LoadError> {
        let unusable =
            |message: String| LoadError::Model { model: name.to_owned(), path: config.path.clone(), message };
        let session = builder(runtime, config)
            .and_then(|mut builder| builder.commit_from_memory(bytes))
            .map_err(|error| unusable(explain(&error)))?;
        let signature = Signature::new(
            specs(session.inputs(), "input").map_err(unusable)?,
            specs(session.outputs(), "output").map_err(unusable)?,
        );
        let signature = match config.batch_axis {
            BatchAxis::Auto => signature,
            BatchAxis::None => signature.unbatched(),
        };
        let run_options = run_options().map_err(|error| unusable(explain(&error)))?;
        Ok(Self { session, signature, run_options })
    }
}

fn builder(runtime: &Runtime, config: &ModelConfig) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(runtime.environment())?
        // ONNX Runtime would take the cores of the host, whatever this process may use of them.
        .with_intra_threads(config.threads_per_session())?
        .with_inter_threads(1)?
        // Threads that spin while they wait for work keep an idle worker's core busy.
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // The pattern of one batch size is wrong for the next.
        .with_memory_pattern(false)?
        .with_config_entry("session.model_external_initializers_file_folder_path", NO_EXTERNAL_DATA)?)
}

/// Why a run failed is in its error; ONNX Runtime would log it as well, with numbers of the job in it.
fn run_options() -> ort::Result<Arc<RunOptions>> {
    let mut options = RunOptions::new()?;
    options.set_log_level(LogLevel::Fatal)?;
    Ok(Arc::new(options))
}

/// A model that is loaded from memory would have its external data read from the current folder: files that the digest
/// does not cover and that nobody chose. ONNX Runtime is told to look for them where nothing can be.
const NO_EXTERNAL_DATA: &str = "/dev/null/external-data-is-not-supported";

fn explain(error: &ort::Error) -> String {
    let text = error.to_string();
    if text.contains(NO_EXTERNAL_DATA) || text.contains("External data") {
        return "it keeps weights in other files (external data), which is not supported; save it as one file".to_owned();
    }
    one_line(&text)
}

/// What ONNX Runtime says, as part of a message.
fn one_line(text: &str) -> String {
    const SHOWN: usize = 500;
    text.chars().take(SHOWN).map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn specs(outlets: &[Outlet], what: &str) -> Result<Vec<TensorSpec>, String> {
    outlets
        .iter()
        .map(|outlet| spec(outlet).map_err(|error| format!("{what} {}: {error}", quoted(outlet.name()))))
        .collect()
}

fn spec(outlet: &Outlet) -> Result<TensorSpec, String> {
    let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
        return Err(format!("is {}, and only tensors can be passed", outlet.dtype()));
    };
    let datatype =
        datatype_of(*ty).ok_or_else(|| format!("has elements of type {ty}, which no job can carry"))?;
    let dimension = |(size, symbol): (&i64, &String)| {
        u64::try_from(*size).map_or_else(
            |_| Dimension::Dynamic(Some(symbol.clone()).filter(|symbol| !symbol.is_empty())),
            Dimension::Fixed,
        )
    };
    let dimensions = shape.iter().zip(dimension_symbols.iter()).map(dimension).collect();
    Ok(TensorSpec { name: outlet.name().to_owned(), datatype, dimensions })
}

impl Model for OnnxModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: &[ModelInput<'_>]) -> Result<Vec<Tensor>, ModelError> {
        let mut values = Vec::with_capacity(inputs.len());
        for input in inputs {
            values.push((input.name, to_value(input)?));
        }
        let outputs =
            self.session.run_with_options(values, &self.run_options).map_err(|error| run_error(&error))?;
        let output = |spec: &TensorSpec| {
            let value = outputs.get(&spec.name).ok_or_else(|| {
                ModelError::permanent(format!("output {} did not come", quoted(&spec.name)))
            })?;
            to_tensor(&spec.name, value)
        };
        self.signature.outputs().iter().map(output).collect()
    }

    fn stopper(&self) -> Arc<dyn Stop> {
        // Every run of this session is made with these options, and no run of another session.
        Arc::<RunOptions>::clone(&self.run_options)
    }
}

/// ONNX Runtime looks between two operators, those of a loop included, whether it is to end a run: one operator that takes
/// long is waited for.
impl Stop for RunOptions {
    fn stop(&self) -> Result<(), ModelError> {
        self.terminate().map_err(|error| run_error(&error))
    }

    fn resume(&self) -> Result<(), ModelError> {
        let cannot_resume = |error| {
            let text = one_line(&ort::Error::to_string(&error));
            ModelError::fatal(format!("the session cannot be used again after a run was ended: {text}"))
        };
        self.unterminate().map_err(cannot_resume)
    }
}

/// What an operator says of its input can quote an element of it (`idx=31999 must be within …`), and messages go into
/// logs, where no payload belongs.
fn without_numbers(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_ascii_digit() {
            true if shown.ends_with('#') => {}
            true => shown.push('#'),
            false => shown.push(character),
        }
    }
    shown
}

fn run_error(error: &ort::Error) -> ModelError {
    let text = error.to_string();
    ModelError::new(class_of(error.code(), &text), without_numbers(&one_line(&text)))
}

/// Memory that was short may be there the next time; a device that was lost does not come back to this session; everything
/// else fails again. What runs out of memory on a device is told as a failure of the device, so memory is looked at first.
fn class_of(code: ErrorCode, text: &str) -> FailureClass {
    const SHORT_OF_MEMORY: [&str; 5] =
        ["failed to allocate memory", "bad_alloc", "bad allocation", "out of memory", "alloc_failed"];
    let text = text.to_ascii_lowercase();
    match code {
        _ if SHORT_OF_MEMORY.iter().any(|phrase| text.contains(phrase)) => FailureClass::Transient,
        ErrorCode::DeviceReset | ErrorCode::ExecutionProviderFailure | ErrorCode::EngineError => {
            FailureClass::Fatal
        }
        _ => FailureClass::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_run_are_sorted() {
        let check = |code: ErrorCode, text: &str, expect: FailureClass| {
            assert_eq!(class_of(code, text), expect, "{code:?}: {text}");
        };
        check(
            ErrorCode::RuntimeException,
            "Non-zero status code returned while running Expand node. bfc_arena.cc: Failed to allocate memory for \
             requested buffer of size 137438953472",
            FailureClass::Transient,
        );
        check(ErrorCode::GenericFailure, "std::bad_alloc", FailureClass::Transient);
        check(
            ErrorCode::ExecutionProviderFailure,
            "CUDA failure 2: out of memory ; GPU=0",
            FailureClass::Transient,
        );
        check(
            ErrorCode::GenericFailure,
            "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
            FailureClass::Transient,
        );
        check(ErrorCode::DeviceReset, "the device was removed", FailureClass::Fatal);
        check(ErrorCode::ExecutionProviderFailure, "CUDA failure 719: launch failure", FailureClass::Fatal);
        check(ErrorCode::EngineError, "TensorRT engine failed", FailureClass::Fatal);
        check(
            ErrorCode::InvalidArgument,
            "indices element out of data bounds, idx=99 must be within the inclusive range [-4,3]",
            FailureClass::Permanent,
        );
        check(ErrorCode::GenericFailure, "", FailureClass::Permanent);
        check(ErrorCode::NotImplemented, "no kernel", FailureClass::Permanent);
    }
}
