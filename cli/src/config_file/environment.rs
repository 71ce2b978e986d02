//! `MILLSTREAM__…` variables over the values of the file: `MILLSTREAM__KAFKA__BROKERS` sets `kafka.brokers`.
//!
//! A variable is text. Where its key wants a number or a list instead, the text is read as TOML; so a password of digits
//! stays the text that it is.

use serde_path_to_error::Error;
use toml::{Table, Value};
use workers::Config;

const PREFIX: &str = "MILLSTREAM__";

/// A key and the text that a variable gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Override {
    path: Vec<String>,
    text: String,
}

/// The overrides in the environment of this process.
pub(super) fn overrides() -> Vec<Override> {
    std::env::vars().filter_map(|(name, text)| Override::of(&name, text)).collect()
}

/// The variable that sets a key: `MILLSTREAM__KAFKA__BROKERS` for `kafka.brokers`.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.to_uppercase().replace('.', "__"))
}

impl Override {
    fn of(name: &str, text: String) -> Option<Self> {
        let path = name.strip_prefix(PREFIX)?.to_lowercase().split("__").map(ToOwned::to_owned).collect();
        Some(Self { path, text })
    }
}

/// The configuration that the file and the overrides make together.
pub(super) fn deserialize(
    declared: &Table,
    overrides: Vec<Override>,
) -> Result<Config, Error<toml::de::Error>> {
    let mut values: Vec<(Vec<String>, Value, Option<Value>)> = overrides
        .into_iter()
        .map(|Override { path, text }| {
            let parsed =
                format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
            (path, Value::String(text), parsed)
        })
        .collect();
    loop {
        let mut merged = declared.clone();
        for (path, value, _) in &values {
            insert(&mut merged, path, value.clone());
        }
        let error = match serde_path_to_error::deserialize(Value::Table(merged)) {
            Ok(config) => return Ok(config),
            Err(error) => error,
        };
        // The key at fault does not want text: give it what the text reads as. Each variable is tried once.
        let at_fault = error.path().to_string();
        let retry =
            values.iter_mut().find(|(path, _, parsed)| path.join(".") == at_fault && parsed.is_some());
        let Some((_, value, parsed)) = retry else { return Err(error) };
        *value = parsed.take().unwrap_or_else(|| value.clone());
    }
}

fn insert(table: &mut Table, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let inner = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
    if !inner.is_table() {
        *inner = Value::Table(Table::new());
    }
    if let Value::Table(inner) = inner {
        insert(inner, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(file: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let overrides =
            variables.iter().filter_map(|(name, text)| Override::of(name, (*text).to_owned())).collect();
        deserialize(&file.parse().unwrap(), overrides)
            .map_err(|error| format!("{}: {}", error.path().clone(), error.inner().message()))
    }

    #[test]
    fn a_variable_wins_over_the_file_and_has_the_type_of_its_key() {
        let file = "[kafka]\nbrokers = 'a:1'\n[topics]\npartitions = 4";
        let set = config(
            file,
            &[
                ("MILLSTREAM__KAFKA__BROKERS", "b:2"),
                ("MILLSTREAM__TOPICS__PARTITIONS", "12"),
                ("MILLSTREAM__KAFKA__CLIENT_ID", "007"),
                ("MILLSTREAM__LOG__FORMAT", "json"),
                ("HOME", "/root"),
            ],
        )
        .unwrap();
        assert_eq!(set.kafka.brokers, "b:2");
        assert_eq!(set.topics.partitions, 12);
        assert_eq!(set.kafka.client_id, "007");
        assert_eq!(set.log.format, workers::config::LogFormat::Json);
    }

    #[test]
    fn a_secret_is_text_whatever_it_looks_like_and_never_in_an_error() {
        for secret in ["123456", "true", "1.5", "[1]", " blank ", "\"quoted\""] {
            let set = config("", &[("MILLSTREAM__KAFKA__SECURITY__PASSWORD", secret)]).unwrap();
            let password = set.kafka.security.password.unwrap();
            assert_eq!(password.expose(), secret);
        }
    }

    #[test]
    fn what_does_not_fit_names_its_key() {
        let error = config("", &[("MILLSTREAM__TOPICS__PARTITIONS", "many")]).unwrap_err();
        assert!(error.starts_with("topics.partitions: "), "{error}");
        let error = config("", &[("MILLSTREAM__TOPICS__PARTITION", "1")]).unwrap_err();
        assert!(error.contains("unknown field `partition`"), "{error}");
    }
}
