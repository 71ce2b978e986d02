//! ONNX Runtime: found, probed, loaded once per process.
//!
//! The library is not linked; it is a file that is looked for in the places of [`locate()`], in that order, and looked
//! into before it is loaded, so that what is wrong with each place can be said. One process uses one library: loading
//! two versions of it into one address space ends badly.

mod locate;
mod probe;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use ort::environment::Environment;
use ort::logging::LogLevel;

pub use locate::{Place, locate};
pub use probe::{ProbeError, Version};

use crate::config::RuntimeConfig;

/// The version that `make setup` fetches and that this crate is tested with.
pub const PINNED_VERSION: &str = "1.24.4";

/// The oldest version that can be loaded.
pub const MINIMUM_VERSION: Version = Version { major: 1, minor: ort::MINOR_VERSION, patch: 0 };

/// A library that can be loaded, or has been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The file, or a bare name that the system's loader resolves.
    pub path: PathBuf,
    /// Which of the places it was found in.
    pub place: Place,
    /// Its version, unless it keeps that to itself.
    pub version: Option<Version>,
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "ONNX Runtime {version}, {} ({})", self.path.display(), self.place),
            None => write!(f, "ONNX Runtime of unknown version, {} ({})", self.path.display(), self.place),
        }
    }
}

/// A place that was looked in, and why there was nothing to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which place of the search order it is.
    pub place: Place,
    /// What was found or not found there.
    pub problem: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// Why there is no ONNX Runtime to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// No place holds a library that can be used.
    #[error(
        "ONNX Runtime {MINIMUM_VERSION} or newer was not found; run `make setup`, or name the library with `runtime.path` or ORT_DYLIB_PATH; looked in:{}",
        list(.0)
    )]
    NotFound(Vec<Attempt>),
    /// The library that the configuration names cannot be used. No other one is taken in its place.
    #[error("runtime.path: {}: {problem}; name an ONNX Runtime library, or leave `runtime.path` out to have it looked for", path.display())]
    Configured {
        /// The file that is named.
        path: PathBuf,
        /// Why it cannot be used.
        problem: String,
    },
    /// Another library is loaded already.
    #[error("runtime.path: {} cannot be loaded, since this process already uses {loaded}", path.display())]
    AlreadyLoaded {
        /// The file that is asked for now.
        path: PathBuf,
        /// The library in use.
        loaded: Box<Library>,
    },
    /// The library was loaded and then refused to start.
    #[error("{library} does not start: {problem}")]
    Start {
        /// The library.
        library: Box<Library>,
        /// What it says.
        problem: String,
    },
}

fn list(attempts: &[Attempt]) -> String {
    attempts.iter().map(|attempt| format!("\n  {attempt}")).collect()
}

/// ONNX Runtime, loaded and started. There is one per process.
#[derive(Debug)]
pub struct Runtime {
    library: Library,
    environment: Environment,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

impl Runtime {
    /// Finds and loads ONNX Runtime, or gives the one that is loaded already.
    pub fn start(config: &RuntimeConfig) -> Result<&'static Self, RuntimeError> {
        // A thread that panicked while it started leaves nothing half done behind: RUNTIME is set last.
        let _starting = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(runtime) = RUNTIME.get() {
            return runtime.serves(config);
        }
        let (library, builder) = load(config)?;
        let environment = builder.with_name("millstream").with_telemetry(false).build().map_err(|error| {
            RuntimeError::Start { library: Box::new(library.clone()), problem: error.to_string() }
        })?;
        // The library hands every message to `tracing`; formatting the verbose ones would cost each run of a model.
        environment.set_log_level(LogLevel::Warning);
        tracing::info!(library = %library, "loaded ONNX Runtime");
        Ok(RUNTIME.get_or_init(|| Self { library, environment }))
    }

    /// The library in use by this process, if a model has been loaded.
    pub fn loaded() -> Option<&'static Library> {
        RUNTIME.get().map(|runtime| &runtime.library)
    }

    /// The library in use.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// How the library was built, in its own words.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    fn serves(&'static self, config: &RuntimeConfig) -> Result<&'static Self, RuntimeError> {
        let same_file = |path: &PathBuf| {
            *path == self.library.path
                || std::fs::canonicalize(path).ok() == std::fs::canonicalize(&self.library.path).ok()
        };
        match &config.path {
            Some(path) if !same_file(path) => Err(RuntimeError::AlreadyLoaded {
                path: path.clone(),
                loaded: Box::new(self.library.clone()),
            }),
            _ => Ok(self),
        }
    }
}

/// Loads the first library that both looks right and loads.
fn load(config: &RuntimeConfig) -> Result<(Library, ort::environment::EnvironmentBuilder), RuntimeError> {
    let mut attempts = Vec::new();
    for candidate in locate::candidates(config, &locate::Surroundings::of_this_process()) {
        let problem = match candidate.probe() {
            Ok(library) => match ort::init_from(&library.path) {
                Ok(builder) => return Ok((library, builder)),
                Err(error) => error.to_string(),
            },
            Err(problem) => problem,
        };
        if let Some(error) = candidate.as_configured_error(&problem) {
            return Err(error);
        }
        if candidate.place() == Place::Environment && std::env::var_os("ORT_DYLIB_PATH").is_some() {
            tracing::warn!(%problem, "ORT_DYLIB_PATH names no usable library, looking on");
        }
        attempts.push(Attempt { place: candidate.place(), problem });
    }
    Err(RuntimeError::NotFound(attempts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binding_asks_for_the_api_of_1_24() {
        assert_eq!(ort::MINOR_VERSION, 24);
    }

    #[test]
    fn the_pinned_version_is_new_enough() {
        assert!(PINNED_VERSION.parse::<Version>().unwrap() >= MINIMUM_VERSION);
    }

    #[test]
    fn not_found_lists_every_place_and_what_to_do() {
        let error = RuntimeError::NotFound(vec![
            Attempt { place: Place::Environment, problem: "not set".to_owned() },
            Attempt { place: Place::Cache, problem: "/home/u/.cache/x does not exist".to_owned() },
        ]);
        let text = error.to_string();
        assert!(text.contains("make setup"), "{text}");
        assert!(text.contains("\n  ORT_DYLIB_PATH: not set"), "{text}");
        assert!(text.contains("\n  cache: /home/u/.cache/x does not exist"), "{text}");
    }
}
