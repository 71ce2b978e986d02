//! Reads `millstream.toml`, puts `MILLSTREAM__…` variables over it, and says of every fault in which line it is.

mod environment;

use std::fmt;
use std::path::{Path, PathBuf};

use workers::Config;
use workers::config::ConfigFault;

use crate::exit::{Exit, Failure};

/// The file that is read when `--config` is not given.
pub(crate) const DEFAULT_FILE: &str = "millstream.toml";

/// A configuration together with the text that it came from.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    pub(crate) config: Config,
    pub(crate) path: PathBuf,
    text: String,
}

/// Where in the file a fault is, and what it is.
#[derive(Debug)]
pub(crate) struct Located {
    /// `file:line:column`, or the variable that set the value.
    place: String,
    fault: ConfigFault,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, fault } = self;
        if fault.path.is_empty() {
            write!(f, "{place}: {}", fault.message)
        } else {
            write!(f, "{place}: {}: {}", fault.path, fault.message)
        }
    }
}

impl ConfigFile {
    /// Reads and checks the file. A file that was not asked for by name may be absent: then the defaults hold.
    pub(crate) fn load(asked: Option<&Path>) -> Result<Self, Failure> {
        let file = Self::read(asked)?;
        let faults = file.check();
        if faults.is_empty() {
            return Ok(file);
        }
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Err(Failure::new(Exit::Config, anyhow::anyhow!("{}", lines.join("\n"))))
    }

    /// Reads the file without checking what its parts say together.
    pub(crate) fn read(asked: Option<&Path>) -> Result<Self, Failure> {
        let path = asked.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if asked.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let context =
                    format!("cannot read the configuration {}; name another with --config", path.display());
                return Err(Failure::new(Exit::Config, anyhow::Error::new(error).context(context)));
            }
        };
        Self::parse(path, text).map_err(|error| Failure::new(Exit::Config, error))
    }

    fn parse(path: &Path, text: String) -> anyhow::Result<Self> {
        let declared: toml::Table =
            text.parse().map_err(|error: toml::de::Error| syntax_error(path, &text, &error))?;
        let mut config: Config = match environment::deserialize(&declared, environment::overrides()) {
            Ok(config) => config,
            Err(error) => {
                let path_in_file = error.path().to_string();
                let fault = ConfigFault {
                    path: if path_in_file == "." { String::new() } else { path_in_file },
                    message: error.into_inner().message().trim().to_owned(),
                };
                anyhow::bail!("{}", locate(path, &text, fault));
            }
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        config.resolve_paths(folder);
        Ok(Self { config, path: path.to_owned(), text })
    }

    /// Everything that the parts of the configuration say against each other, with its place.
    pub(crate) fn check(&self) -> Vec<Located> {
        self.config.check().into_iter().map(|fault| self.locate(fault)).collect()
    }

    /// The place of a fault that was found later, for instance when a model was loaded.
    pub(crate) fn locate(&self, fault: ConfigFault) -> Located {
        locate(&self.path, &self.text, fault)
    }
}

fn syntax_error(path: &Path, text: &str, error: &toml::de::Error) -> anyhow::Error {
    let (line, column) = error.span().map_or((1, 1), |span| line_and_column(text, span.start));
    anyhow::anyhow!("{}:{line}:{column}: {}", path.display(), error.message())
}

fn locate(path: &Path, text: &str, fault: ConfigFault) -> Located {
    let variable = environment::variable(&fault.path);
    let place = if std::env::var_os(&variable).is_some() {
        format!("environment variable {variable}")
    } else {
        let (line, column) = line_and_column(text, span_start(text, &fault.path));
        format!("{}:{line}:{column}", path.display())
    };
    Located { place, fault }
}

/// Byte position of the value at `path` (`models.digits.path`, `pipelines.digits.preprocess[1].width`), or of the nearest
/// table around it that the file has.
fn span_start(text: &str, path: &str) -> usize {
    let Ok(document) = toml_edit::Document::parse(text) else { return 0 };
    let mut item = document.as_item();
    let mut start = 0;
    for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        let next = match step.parse::<usize>() {
            Ok(index) => item.get(index),
            Err(_) => item.get(step),
        };
        let Some(next) = next else { break };
        let key = item.as_table_like().and_then(|table| table.key(step)).and_then(toml_edit::Key::span);
        if let Some(span) = key.or_else(|| next.span()) {
            start = span.start;
        }
        item = next;
    }
    start
}

fn line_and_column(text: &str, position: usize) -> (usize, usize) {
    let before = &text[..position.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests;
