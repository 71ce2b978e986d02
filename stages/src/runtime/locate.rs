//! Where ONNX Runtime is looked for, in order: what the configuration names, `ORT_DYLIB_PATH`, beside the executable,
//! the user's cache, Python's packages, and at last where the system's loader looks.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fmt;
use std::path::{Path, PathBuf};

use super::probe::probe;
use super::{Attempt, Library, PINNED_VERSION, RuntimeError};
use crate::config::RuntimeConfig;

/// A place of the search order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `runtime.path` of the configuration.
    Configuration,
    /// The environment variable `ORT_DYLIB_PATH`.
    Environment,
    /// The folder of the executable, or `../lib/millstream/` from there.
    BesideExecutable,
    /// `$XDG_CACHE_HOME/millstream/onnxruntime/<version>/`.
    Cache,
    /// The active virtual environment of Python.
    VirtualEnvironment,
    /// The packages of the `python3` on the path, of the user and of the system.
    PythonPackages,
    /// Wherever the system's loader looks.
    Loader,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "runtime.path",
            Self::Environment => "ORT_DYLIB_PATH",
            Self::BesideExecutable => "beside the executable",
            Self::Cache => "cache",
            Self::VirtualEnvironment => "active virtual environment",
            Self::PythonPackages => "Python packages",
            Self::Loader => "system loader",
        })
    }
}

/// Finds the library that would be loaded, without loading it.
pub fn locate(config: &RuntimeConfig) -> Result<Library, RuntimeError> {
    locate_in(config, &Surroundings::of_this_process())
}

fn locate_in(config: &RuntimeConfig, surroundings: &Surroundings) -> Result<Library, RuntimeError> {
    let mut attempts = Vec::new();
    for candidate in candidates(config, surroundings) {
        match candidate.probe() {
            Ok(library) => return Ok(library),
            Err(problem) => {
                if let Some(error) = candidate.as_configured_error(&problem) {
                    return Err(error);
                }
                attempts.push(Attempt { place: candidate.place, problem });
            }
        }
    }
    Err(RuntimeError::NotFound(attempts))
}

/// What the search depends on; given, so that tests do not depend on the machine.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub(super) ort_dylib_path: Option<PathBuf>,
    pub(super) executable_folder: Option<PathBuf>,
    pub(super) cache_home: Option<PathBuf>,
    pub(super) virtual_environment: Option<PathBuf>,
    pub(super) home: Option<PathBuf>,
    pub(super) executable_search_path: Vec<PathBuf>,
    pub(super) system_prefixes: Vec<PathBuf>,
    pub(super) loader_folders: Vec<PathBuf>,
}

impl Surroundings {
    pub(super) fn of_this_process() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        let mut loader_folders: Vec<PathBuf> = std::env::var_os("LD_LIBRARY_PATH")
            .map_or_else(Vec::new, |value| std::env::split_paths(&value).collect());
        let architecture = std::env::consts::ARCH;
        loader_folders.extend(
            [
                "/usr/local/lib",
                &format!("/usr/lib/{architecture}-linux-gnu"),
                "/usr/lib64",
                "/usr/lib",
                "/opt/homebrew/lib",
            ]
            .map(PathBuf::from),
        );
        Self {
            ort_dylib_path: path("ORT_DYLIB_PATH"),
            executable_folder: std::env::current_exe()
                .ok()
                .and_then(|executable| executable.canonicalize().ok())
                .and_then(|executable| executable.parent().map(Path::to_owned)),
            cache_home: path("XDG_CACHE_HOME").or_else(|| Some(home.as_ref()?.join(".cache"))),
            virtual_environment: path("VIRTUAL_ENV"),
            home,
            executable_search_path: std::env::var_os("PATH")
                .map_or_else(Vec::new, |value| std::env::split_paths(&value).collect()),
            system_prefixes: vec![PathBuf::from("/usr/local"), PathBuf::from("/usr")],
            loader_folders,
        }
    }
}

/// One thing to try: a file, or the reason why a place names none.
#[derive(Debug)]
pub(super) struct Candidate {
    place: Place,
    target: Target,
}

#[derive(Debug)]
enum Target {
    File(PathBuf),
    /// A folder to be searched for the library under any version's name.
    Folder(PathBuf),
    Nothing(String),
}

impl Candidate {
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The library behind this candidate, or what is wrong with it.
    pub(super) fn probe(&self) -> Result<Library, String> {
        let path = match &self.target {
            Target::File(path) => path.clone(),
            Target::Folder(folder) => {
                library_in(folder).ok_or_else(|| format!("no {} in {}", file_name(), folder.display()))?
            }
            Target::Nothing(reason) => return Err(reason.clone()),
        };
        // A relative path would be resolved against the folder of the executable when it is loaded.
        let path =
            std::fs::canonicalize(&path).map_err(|error| format!("{}: {}", path.display(), plain(&error)))?;
        match probe(&path) {
            Ok(version) => Ok(Library { path, place: self.place, version }),
            Err(error) => Err(format!("{} {error}", path.display())),
        }
    }

    /// A library that was named in the configuration and cannot be used ends the search.
    pub(super) fn as_configured_error(&self, problem: &str) -> Option<RuntimeError> {
        match &self.target {
            Target::File(path) if self.place == Place::Configuration => {
                let shown = path.display().to_string();
                let problem = problem.strip_prefix(&shown).unwrap_or(problem).trim_start_matches([':', ' ']);
                Some(RuntimeError::Configured { path: path.clone(), problem: problem.to_owned() })
            }
            _ => None,
        }
    }
}

/// An operating system's error without its number.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read".to_owned(),
        _ => error.to_string(),
    }
}

/// Everything to try, in order. A place that names nothing is in the list too, so that an error can tell of it.
pub(super) fn candidates(config: &RuntimeConfig, surroundings: &Surroundings) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let mut add = |place, target| candidates.push(Candidate { place, target });

    if let Some(path) = &config.path {
        add(Place::Configuration, Target::File(path.clone()));
    }

    let environment = surroundings
        .ort_dylib_path
        .clone()
        .map_or_else(|| Target::Nothing("not set".to_owned()), Target::File);
    add(Place::Environment, environment);

    match &surroundings.executable_folder {
        Some(folder) => {
            add(Place::BesideExecutable, Target::Folder(folder.clone()));
            add(Place::BesideExecutable, Target::Folder(folder.join("../lib/millstream")));
        }
        None => add(
            Place::BesideExecutable,
            Target::Nothing("the folder of the executable is unknown".to_owned()),
        ),
    }

    let cache = surroundings.cache_home.as_ref().map_or_else(
        || Target::Nothing("neither XDG_CACHE_HOME nor HOME is set".to_owned()),
        |cache| Target::Folder(cache.join("millstream/onnxruntime").join(PINNED_VERSION)),
    );
    add(Place::Cache, cache);

    match &surroundings.virtual_environment {
        Some(prefix) => add_python_packages(&mut add, Place::VirtualEnvironment, prefix),
        None => add(Place::VirtualEnvironment, Target::Nothing("VIRTUAL_ENV is not set".to_owned())),
    }
    let prefixes = python_prefixes(surroundings);
    for prefix in &prefixes {
        add_python_packages(&mut add, Place::PythonPackages, prefix);
    }

    match surroundings.loader_folders.iter().find_map(|folder| library_in(folder)) {
        Some(path) => add(Place::Loader, Target::File(path)),
        None => add(
            Place::Loader,
            Target::Nothing(format!("no {} in the library folders of the system", file_name())),
        ),
    }
    candidates
}

/// Prefixes under which a Python keeps packages: of the first `python3` on the path, of the user, of the system.
fn python_prefixes(surroundings: &Surroundings) -> Vec<PathBuf> {
    let first_python = surroundings
        .executable_search_path
        .iter()
        .map(|folder| folder.join("python3"))
        .find(|python| python.is_file());
    let mut prefixes: Vec<PathBuf> = Vec::new();
    let mut push = |prefix: Option<&Path>| {
        if let Some(prefix) = prefix.filter(|prefix| !prefixes.iter().any(|known| known == prefix)) {
            prefixes.push(prefix.to_owned());
        }
    };
    // A virtual environment's python3 is a link into the installation that it was made from: both hold packages.
    push(first_python.as_deref().and_then(Path::parent).and_then(Path::parent));
    let resolved = first_python.and_then(|python| python.canonicalize().ok());
    push(resolved.as_deref().and_then(Path::parent).and_then(Path::parent));
    push(surroundings.home.as_ref().map(|home| home.join(".local")).as_deref());
    for prefix in &surroundings.system_prefixes {
        push(Some(prefix));
    }
    prefixes
}

/// Adds the package's library folder of each Python version under a prefix, newest first.
fn add_python_packages(add: &mut impl FnMut(Place, Target), place: Place, prefix: &Path) {
    let library_folder = prefix.join("lib");
    let mut versions: Vec<PathBuf> = std::fs::read_dir(&library_folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("python3"))
        })
        .collect();
    versions.sort_unstable_by_key(|path| std::cmp::Reverse(python_minor(path)));
    let mut found = false;
    for packages in
        versions.iter().flat_map(|version| [version.join("site-packages"), version.join("dist-packages")])
    {
        let folder = packages.join("onnxruntime/capi");
        if folder.is_dir() {
            add(place, Target::Folder(folder));
            found = true;
        }
    }
    if !found {
        let pattern = library_folder.join("python3*/site-packages/onnxruntime/capi");
        add(place, Target::Nothing(format!("no {}", pattern.display())));
    }
}

fn python_minor(folder: &Path) -> u32 {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("python3.").and_then(|minor| minor.parse().ok()).unwrap_or(0)
}

/// What the library is called on this system.
fn file_name() -> String {
    format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}")
}

/// The library in a folder: under its plain name, or with a version as Python's packages name it.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(file_name());
    if plain.is_file() {
        return Some(plain);
    }
    let versioned = format!("{}.", file_name());
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&versioned))
        })
        .collect();
    found.sort_unstable();
    found.pop()
}

#[cfg(test)]
mod tests;
