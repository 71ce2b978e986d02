//! `millstream config schema|show`.

use schemars::schema_for;
use workers::Config;

use crate::args::{ConfigCommand, Format, Global};
use crate::config_file::ConfigFile;
use crate::exit::{Exit, Outcome};
use crate::output;

pub(crate) fn run(command: &ConfigCommand, global: &Global) -> Outcome {
    match command {
        ConfigCommand::Schema => output::pretty_json(&schema_for!(Config))?,
        ConfigCommand::Show => {
            let config = ConfigFile::load(global.config.as_deref())?.config;
            match global.output {
                Format::Json => output::pretty_json(&config)?,
                Format::Table => output::line(toml::to_string(&config)?.trim_end())?,
            }
        }
    }
    Ok(Exit::Done)
}
