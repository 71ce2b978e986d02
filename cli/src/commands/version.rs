//! `millstream version`: this program and the native libraries under it.

use serde::Serialize;
use stages::runtime;

use crate::args::{Format, Global};
use crate::config_file::ConfigFile;
use crate::exit::{Exit, Outcome};
use crate::output;

#[derive(Serialize)]
struct Versions {
    millstream: &'static str,
    librdkafka: String,
    onnxruntime: Option<String>,
    onnxruntime_path: Option<String>,
}

pub(crate) fn run(global: &Global) -> Outcome {
    let file = ConfigFile::read(global.config.as_deref())?;
    let library = runtime::locate(&file.config.runtime).ok();
    let versions = Versions {
        millstream: env!("CARGO_PKG_VERSION"),
        librdkafka: transport::librdkafka_version(),
        onnxruntime: library.as_ref().map(|library| match library.version {
            Some(version) => version.to_string(),
            None => "unknown".to_owned(),
        }),
        onnxruntime_path: library.as_ref().map(|library| library.path.display().to_string()),
    };
    match global.output {
        Format::Json => output::pretty_json(&versions)?,
        Format::Table => {
            let missing = || "not found; `millstream doctor` says where it was looked for".to_owned();
            let onnxruntime = match (versions.onnxruntime, versions.onnxruntime_path) {
                (Some(version), Some(path)) => format!("{version} ({path})"),
                _ => missing(),
            };
            output::line(&format!("millstream   {}", versions.millstream))?;
            output::line(&format!("librdkafka   {}", versions.librdkafka))?;
            output::line(&format!("onnxruntime  {onnxruntime}"))?;
        }
    }
    Ok(Exit::Done)
}
