//! Asks where topics begin and end and what a group has committed of them, without being a member of it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset as NativeOffset, TopicPartitionList};

use super::errors::{client_error, read_advice};
use super::settings::Settings;
use crate::config::KafkaConfig;
use crate::error::TransportError;
use crate::progress::Progress;
use crate::record::{Offset, Partition};

/// How long the brokers may take for one answer. Offsets of a transaction that is being ended are waited for, and the brokers
/// give up on a transaction within its timeout.
const LIMIT: Duration = Duration::from_secs(60);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Where partitions begin and end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicBounds {
    /// The offset of the oldest record that is still there, for each partition that has lost some.
    pub low: Progress,
    /// The offset after the last record of each partition, those of unfinished transactions included.
    pub high: Progress,
}

/// What the group has committed of these topics: the next offset to read of each partition that it has committed at all.
/// Waits for transactions that are being ended, so that what it tells is settled.
///
/// # Errors
///
/// When a topic does not exist, or the brokers do not tell.
pub async fn group_offsets(
    config: &KafkaConfig,
    group: &str,
    topics: &[String],
) -> Result<Progress, TransportError> {
    let what = format!("cannot ask what the group `{group}` has committed");
    ask(config, Some(group), what, topics, |client, partitions| {
        let committed = client.committed_offsets(partitions, LIMIT)?;
        Ok(progress(&committed))
    })
    .await
}

/// For each partition the offset of the first record at or after a time in milliseconds since 1970; where there is none, the
/// partition's end.
///
/// # Errors
///
/// When a topic does not exist, or the brokers do not tell.
pub async fn offsets_at(
    config: &KafkaConfig,
    topics: &[String],
    unix_millis: i64,
) -> Result<Progress, TransportError> {
    let what = "cannot ask for the offsets of a time".to_owned();
    ask(config, None, what, topics, move |client, mut partitions| {
        partitions.set_all_offsets(NativeOffset::Offset(unix_millis))?;
        let found = client.offsets_for_times(partitions, LIMIT)?;
        let mut ends = Progress::new();
        for element in found.elements() {
            if !matches!(element.offset(), NativeOffset::Offset(0..)) {
                let (_, high) = client.fetch_watermarks(element.topic(), element.partition(), LIMIT)?;
                let partition = Partition::new(element.topic(), element.partition());
                ends.merge([(partition, Offset::new(high))].into_iter().collect());
            }
        }
        let mut offsets = progress(&found);
        offsets.merge(ends);
        Ok(offsets)
    })
    .await
}

/// Where each partition of these topics begins and ends.
///
/// # Errors
///
/// When a topic does not exist, or the brokers do not tell.
pub async fn topic_bounds(config: &KafkaConfig, topics: &[String]) -> Result<TopicBounds, TransportError> {
    let what = "cannot ask where topics begin and end".to_owned();
    ask(config, None, what, topics, |client, partitions| {
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for element in partitions.elements() {
            let partition = Partition::new(element.topic(), element.partition());
            let (begin, end) = client.fetch_watermarks(element.topic(), element.partition(), LIMIT)?;
            if begin > 0 {
                low.push((partition.clone(), Offset::new(begin)));
            }
            high.push((partition, Offset::new(end)));
        }
        Ok(TopicBounds { low: low.into_iter().collect(), high: high.into_iter().collect() })
    })
    .await
}

/// Asks with a client of its own, on a thread that may block, about all partitions of the topics.
async fn ask<T: Send + 'static>(
    config: &KafkaConfig,
    group: Option<&str>,
    what: String,
    topics: &[String],
    question: impl Fn(&BaseConsumer, TopicPartitionList) -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, TransportError> {
    let mut client = Settings::reader(config)?.client_config();
    if let Some(group) = group {
        client.set("group.id", group);
    } else {
        // Whoever asks for ends wants to know of unfinished transactions, too.
        client.set("isolation.level", "read_uncommitted");
    }
    let topics: Arc<[String]> = topics.into();
    let asked = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = client.create().map_err(|error| client_error(&what, &error))?;
        let unavailable = |reason: String| TransportError::Unavailable { what: what.clone(), reason };
        let advice = "check `kafka.brokers` and that a broker runs there";
        let mut partitions = TopicPartitionList::new();
        for topic in topics.iter() {
            let metadata = client.fetch_metadata(Some(topic), LIMIT);
            let metadata = metadata.map_err(|error| unavailable(format!("{error}; {advice}")))?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let found =
                found.ok_or_else(|| unavailable(format!("the topic `{topic}` does not exist; create it")))?;
            if let Some(error) = found.error() {
                let code = RDKafkaErrorCode::from(error);
                return Err(unavailable(format!("`{topic}`: {code}{}", read_advice(code))));
            }
            for partition in found.partitions() {
                partitions.add_partition(topic, partition.id());
            }
        }
        let deadline = Instant::now() + LIMIT;
        loop {
            let error = match question(&client, partitions.clone()) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !error.rdkafka_error_code().is_some_and(is_passing) || Instant::now() >= deadline {
                let advice = error.rdkafka_error_code().map(read_advice).filter(|advice| !advice.is_empty());
                let advice = advice.unwrap_or("; see that the brokers are up");
                return Err(unavailable(format!("{error}{advice}")));
            }
            tracing::debug!(%error, "asking the brokers again");
            thread::park_timeout(PAUSE);
        }
    });
    asked.await.map_err(|error| TransportError::Fatal {
        what: "cannot ask the brokers".into(),
        reason: error.to_string(),
    })?
}

/// Whether brokers are only about to find out who is to answer. A client that is new has nobody else to ask again.
fn is_passing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::CoordinatorLoadInProgress
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::WaitingForCoordinator
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::OffsetNotAvailable
            | RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::NetworkException
            | RDKafkaErrorCode::RequestTimedOut
    )
}

/// The offsets that are there.
fn progress(list: &TopicPartitionList) -> Progress {
    let told = list.elements().into_iter().filter_map(|element| match element.offset() {
        NativeOffset::Offset(offset @ 0..) => {
            Some((Partition::new(element.topic(), element.partition()), Offset::new(offset)))
        }
        _ => None,
    });
    told.collect()
}
