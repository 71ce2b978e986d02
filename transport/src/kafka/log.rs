//! librdkafka's own log lines, in ours.

use rdkafka::config::RDKafkaLogLevel as Level;

/// Passes a line on. librdkafka calls it an error when one attempt to connect fails, which it then repeats by itself;
/// what the program cannot get over reaches it as an error value as well, so lines are at most warnings.
pub(crate) fn forward(client: &str, level: Level, facility: &str, line: &str) {
    match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
            tracing::warn!(target: "librdkafka", client, facility, "{line}");
        }
        Level::Notice => tracing::info!(target: "librdkafka", client, facility, "{line}"),
        Level::Info => tracing::debug!(target: "librdkafka", client, facility, "{line}"),
        Level::Debug => tracing::trace!(target: "librdkafka", client, facility, "{line}"),
    }
}
