//! `millstream validate`: the configuration, the models and their labels, without Kafka.

use schemas::Stage;
use stages::LoadError;
use workers::config::ConfigFault;
use workers::start::{self, StartError};

use crate::args::{Format, Global};
use crate::config_file::ConfigFile;
use crate::exit::{Exit, Outcome};
use crate::output;

pub(crate) async fn run(global: &Global) -> Outcome {
    let file = ConfigFile::read(global.config.as_deref())?;
    let mut faults: Vec<String> = file.check().iter().map(ToString::to_string).collect();
    let mut notes = Vec::new();
    // Loading a pipeline whose declaration is wrong would only repeat what was said.
    if faults.is_empty() {
        for (name, declared) in &file.config.pipelines {
            match start::load_pipeline(&file.config, name, &Stage::ALL).await {
                Err(error) => faults.push(place(&file, name, &error)),
                Ok(pipeline) => match pipeline.warm_up().await {
                    Ok(results) => {
                        for fault in declared.on_failure.compare(&file.config.limits, &results) {
                            let path = format!("pipelines.{name}.{}", fault.path);
                            faults.push(file.locate(ConfigFault::new(path, fault.message)).to_string());
                        }
                    }
                    // Labels or tensor names that do not fit what the model gives.
                    Err(error) if error.stage == Stage::Postprocess => {
                        let fault = ConfigFault::new(format!("pipelines.{name}.postprocess"), error.message);
                        faults.push(file.locate(fault).to_string());
                    }
                    Err(error) => notes.push(format!(
                        "pipeline {name}: the model did not run on zeros, which it need not: {error}"
                    )),
                },
            }
        }
    }
    notes.iter().for_each(|note| output::note(note));
    match global.output {
        Format::Json => output::pretty_json(&serde_json::json!({
            "file": file.path, "valid": faults.is_empty(), "faults": faults, "notes": notes,
            "pipelines": file.config.pipelines.keys().collect::<Vec<_>>(),
        }))?,
        Format::Table if faults.is_empty() => {
            let pipelines = file.config.pipelines.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let pipelines = if pipelines.is_empty() { "none" } else { &pipelines };
            output::line(&format!("{}: valid; pipelines loaded: {pipelines}", file.path.display()))?;
        }
        Format::Table => faults.iter().try_for_each(|fault| output::line(fault))?,
    }
    Ok(if faults.is_empty() { Exit::Done } else { Exit::Config })
}

/// Where in the file the cause of a failed load is written.
fn place(file: &ConfigFile, pipeline: &str, error: &StartError) -> String {
    let StartError::Load(error) = error else { return error.to_string() };
    let model = |model: &str, key: &str| format!("models.{model}.{key}");
    let (path, message) = match error {
        LoadError::PipelineConfig { error, .. } => {
            (format!("pipelines.{pipeline}.{}", error.path), error.message.clone())
        }
        LoadError::ModelConfig { model: name, error } => (model(name, &error.path), error.message.clone()),
        LoadError::Read { model: name, path, .. } => {
            let labels = file.config.models.get(name).and_then(|model| model.labels.as_ref()) == Some(path);
            (model(name, if labels { "labels" } else { "path" }), error.to_string())
        }
        LoadError::Model { model: name, .. } => (model(name, "path"), error.to_string()),
        LoadError::Labels { model: name, .. } => (model(name, "labels"), error.to_string()),
        LoadError::Runtime(_) => ("runtime.path".to_owned(), error.to_string()),
        LoadError::Stages { .. } => (format!("pipelines.{pipeline}"), error.to_string()),
    };
    file.locate(ConfigFault::new(path, message)).to_string()
}
