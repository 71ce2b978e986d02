//! What this crate does with a real ONNX Runtime and real files.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod digits;
mod faults;
mod onnx;
mod runtime;

use std::path::{Path, PathBuf};

use stages::runtime::Runtime;
use stages::{Inference, ModelConfig, RuntimeConfig};

/// A file of the folder `stages/tests`.
fn here(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(relative)
}

/// Fails the test in one line where ONNX Runtime is missing.
fn require_runtime() {
    if let Err(error) = Runtime::start(&RuntimeConfig::default()) {
        let first_line = error.to_string().lines().next().unwrap_or_default().to_owned();
        panic!("run `make setup`: {first_line}");
    }
}

/// Loads one of the models of `tests/models`.
fn load(name: &str) -> Inference {
    require_runtime();
    let config = ModelConfig::new(here(&format!("models/{name}.onnx")));
    Inference::load(&RuntimeConfig::default(), name, &config).unwrap()
}
