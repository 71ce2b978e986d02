//! Deletes the oldest records of partitions.

use std::time::Duration;

use rdkafka::Offset as NativeOffset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use super::errors::client_error;
use super::settings::Settings;
use crate::config::KafkaConfig;
use crate::error::TransportError;
use crate::progress::Progress;

/// How long the brokers may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Deletes every record below these offsets, for good. Partitions that are not named keep theirs.
///
/// # Errors
///
/// When the brokers refuse it for a partition (the user needs the right Delete on the topic), or do not answer.
pub async fn delete_records(config: &KafkaConfig, below: &Progress) -> Result<(), TransportError> {
    let what = || "cannot delete records".to_owned();
    if below.is_empty() {
        return Ok(());
    }
    let client: AdminClient<DefaultClientContext> = Settings::admin(config)?
        .client_config()
        .create()
        .map_err(|error| client_error("cannot delete records", &error))?;
    let mut list = TopicPartitionList::new();
    for (partition, offset) in below.iter() {
        list.add_partition_offset(&partition.topic, partition.index, NativeOffset::Offset(offset.get()))
            .map_err(|error| TransportError::Fatal { what: what(), reason: error.to_string() })?;
    }
    let options = AdminOptions::new().request_timeout(Some(LIMIT)).operation_timeout(Some(LIMIT));
    let deleted = client.delete_records(&list, &options).await.map_err(|error| {
        TransportError::Unavailable { what: what(), reason: format!("{error}; see that the brokers are up") }
    })?;
    let refused: Vec<String> = deleted
        .elements()
        .iter()
        .filter_map(|element| {
            let error = element.error().err()?;
            Some(format!("{}/{}: {error}", element.topic(), element.partition()))
        })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(TransportError::Fatal {
        what: what(),
        reason: format!("{}; the user needs the right Delete on the topic", refused.join(", ")),
    })
}
