//! The configuration of a case: its topics, its pipeline, its delivery mode.

use anyhow::Result;

use super::cases;
use super::plan::{Case, Form, Mode};
use super::scene::session;
use crate::{Broker, Setting, repository};

/// As many as two workers can share, and a third one.
pub const PARTITIONS: usize = 6;

/// Writes it, in a folder of its own.
///
/// # Errors
/// When it cannot be written.
pub fn write(broker: &Broker, case: &Case, mode: Mode) -> Result<Setting> {
    let session = session(case.nodes).as_millis();
    let tables = cases::tables(case.fault);
    let text = format!("[kafka.consumer]\n\"session.timeout.ms\" = {session}\n{tables}");
    let setting = Setting::through(&broker.through_proxies(), broker.bootstrap(), case.name, &text)?;
    setting.edit(|config| {
        let copies = if case.nodes == 3 { "\nreplication = 3\nmin_insync_replicas = 2" } else { "" };
        let topics = format!("partitions = {PARTITIONS}{copies}");
        let config = config.replace("partitions = 4", &topics);
        let config = match case.form {
            Form::Digits => config,
            Form::Divide => with_model(&config, "divide"),
            Form::Slow => with_model(&config, "slow"),
        };
        // Left out where it is what is done anyway: at-least-once works without the key.
        match mode {
            Mode::AtLeastOnce => config,
            Mode::ExactlyOnce => {
                config.replace("model = \"digits\"\n", "model = \"digits\"\ndelivery = \"exactly-once\"\n")
            }
        }
    })?;
    Ok(setting)
}

/// The pipeline with a model that takes tensors as they are, and no steps before or after it.
fn with_model(config: &str, model: &str) -> String {
    let path = repository().join(format!("tests/models/{model}.onnx"));
    let mut lines: Vec<String> = Vec::new();
    let mut is_step = false;
    for line in config.lines() {
        if line.starts_with("preprocess = [") {
            is_step = true;
        } else if line.starts_with("postprocess = [") || line.starts_with("labels = ") {
        } else if line.starts_with("path = ") {
            lines.push(format!("path = \"{}\"", path.display()));
        } else if !is_step {
            lines.push(line.to_owned());
        }
        is_step &= line != "]";
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_of_tensors_has_a_model_and_no_steps() {
        let setting =
            Setting::without_topics("127.0.0.1:1", "scene", "[worker]\ndrain_timeout_ms = 4000").unwrap();
        setting.edit(|config| with_model(config, "divide")).unwrap();
        let text = std::fs::read_to_string(setting.config()).unwrap();
        for gone in ["preprocess", "postprocess", "decode-image", "labels"] {
            assert!(!text.contains(gone), "{gone} is in {text}");
        }
        for there in ["tests/models/divide.onnx\"", "model = \"digits\"", "drain_timeout_ms", "[log]"] {
            assert!(text.contains(there), "{there} is not in {text}");
        }
    }
}
