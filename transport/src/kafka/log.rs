//! librdkafka's own log lines, in ours.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel as Level;

/// How often a client may warn of failed connections; the lines between are at level debug.
const PAUSE: Duration = Duration::from_secs(30);

/// The log lines of one client.
#[derive(Debug)]
pub(crate) struct LogLines {
    client: String,
    last_failure: Mutex<Option<Instant>>,
}

impl LogLines {
    pub(crate) fn new(client: impl Into<String>) -> Self {
        Self { client: client.into(), last_failure: Mutex::new(None) }
    }

    /// The client's name.
    pub(crate) fn client(&self) -> &str {
        &self.client
    }

    /// Passes a line on. librdkafka calls it an error when one attempt to connect fails, which it then repeats by
    /// itself, several times a second while a broker is away. What the program cannot get over reaches it as an error value as
    /// well, so lines are at most warnings.
    pub(crate) fn forward(&self, level: Level, facility: &str, line: &str) {
        let client = self.client();
        match level {
            Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
                let repeats = matches!(facility, "FAIL" | "ERROR" | "METADATAUPDATE");
                if repeats && self.warned_lately() {
                    tracing::debug!(target: "librdkafka", client, facility, "{line}");
                } else {
                    tracing::warn!(target: "librdkafka", client, facility, "{line}");
                }
            }
            Level::Notice => tracing::info!(target: "librdkafka", client, facility, "{line}"),
            Level::Info => tracing::debug!(target: "librdkafka", client, facility, "{line}"),
            Level::Debug => tracing::trace!(target: "librdkafka", client, facility, "{line}"),
        }
    }

    fn warned_lately(&self) -> bool {
        let mut last = self.last_failure.lock().expect("no holder of the time panics");
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            return true;
        }
        *last = Some(Instant::now());
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_in_a_while_is_a_warning() {
        let lines = LogLines::new("client");
        assert!(!lines.warned_lately());
        assert!(lines.warned_lately());
        *lines.last_failure.lock().unwrap() = Instant::now().checked_sub(PAUSE);
        assert!(!lines.warned_lately());
    }
}
