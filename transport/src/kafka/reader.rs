//! Reads all partitions of a topic outside any group.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset as NativeOffset, TopicPartitionList};
use tokio::sync::watch;

use super::context::ReadContext;
use super::poll_thread::{self, Native};
use super::queue::{Bounds, Queue};
use super::settings::Settings;
use crate::config::KafkaConfig;
use crate::consumer::Event;
use crate::error::TransportError;
use crate::reader::{ReadFrom, Reader};
use crate::record::{Offset, Received};

/// How long the brokers may take to tell what partitions there are and where they end.
const OPEN_LIMIT: Duration = Duration::from_secs(15);

/// How much is read ahead.
const READ_AHEAD: Bounds = Bounds { records: 2_000, bytes: 16 * 1024 * 1024, chunk: 256 };

/// Reads all partitions of a topic from Kafka; stops when it is dropped.
pub struct KafkaReader {
    queue: Arc<Queue>,
    context: Arc<ReadContext>,
    ready: VecDeque<Received>,
    // Where each partition is read next, and where it ended as the reader was opened.
    next: BTreeMap<i32, Offset>,
    end: BTreeMap<i32, Offset>,
    ends_reached: watch::Receiver<BTreeMap<i32, Option<Offset>>>,
    told_end: bool,
}

struct Opened {
    context: Arc<ReadContext>,
    start: BTreeMap<i32, Offset>,
    end: BTreeMap<i32, Offset>,
}

impl KafkaReader {
    pub(crate) async fn open(
        config: &KafkaConfig,
        topic: &str,
        from: ReadFrom,
    ) -> Result<Self, TransportError> {
        let settings = Settings::reader(config)?;
        let queue = Arc::new(Queue::new(READ_AHEAD));
        let context = ReadContext::new(topic, Duration::ZERO, queue.clone());
        let (ends, ends_reached) = watch::channel(BTreeMap::new());
        let topic = topic.to_owned();
        let begin = move |native: &Arc<Native>| assign(native, &topic, &from);
        let (opened, _ended) = poll_thread::start(settings, context, Some(ends), begin).await?;
        Ok(Self {
            queue,
            context: opened.context,
            ready: VecDeque::new(),
            next: opened.start,
            end: opened.end,
            ends_reached,
            told_end: false,
        })
    }

    fn is_at_end(&self, partition: i32, end: Offset) -> bool {
        let next = self.next.get(&partition).copied().unwrap_or(Offset::ZERO);
        // The last offsets may hold no record (transaction marks, compaction): then only the broker knows.
        let reached = match self.ends_reached.borrow().get(&partition) {
            Some(Some(read_to)) => next >= *read_to,
            Some(None) => true,
            None => false,
        };
        next >= end || reached
    }

    fn take_ready(&mut self) -> Option<Received> {
        let received = self.ready.pop_front()?;
        self.next.insert(received.position.partition.index, received.position.offset.next());
        Some(received)
    }
}

impl Reader for KafkaReader {
    async fn next(&mut self) -> Result<Option<Received>, TransportError> {
        loop {
            if let Some(received) = self.take_ready() {
                return Ok(Some(received));
            }
            if !self.told_end && self.caught_up() {
                self.told_end = true;
                return Ok(None);
            }
            let event = tokio::select! {
                event = self.queue.next(false) => event,
                // An end without a record before it: look again.
                changed = self.ends_reached.changed(), if !self.told_end => {
                    match changed {
                        Ok(()) => continue,
                        Err(_) => None,
                    }
                }
            };
            match event {
                Some(Event::Records(records)) => self.ready.extend(records),
                Some(Event::Error(error)) if error.is_retryable() => {
                    tracing::warn!(topic = self.context.name(), %error, "reading goes on");
                }
                Some(Event::Error(error)) => return Err(error),
                Some(Event::Assigned(_) | Event::Revoked(_)) => {}
                None => {
                    return Err(TransportError::Fatal {
                        what: format!("reading `{}`", self.context.name()),
                        reason: "the reader has stopped".into(),
                    });
                }
            }
        }
    }

    fn caught_up(&self) -> bool {
        self.ready.is_empty() && self.end.iter().all(|(partition, end)| self.is_at_end(*partition, *end))
    }

    fn end(&self) -> &BTreeMap<i32, Offset> {
        &self.end
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.context.stop();
    }
}

impl fmt::Debug for KafkaReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaReader").field("topic", &self.context.name()).finish_non_exhaustive()
    }
}

// Runs on the poll thread, so it may block.
fn assign(native: &Arc<Native>, topic: &str, from: &ReadFrom) -> Result<Opened, TransportError> {
    let unavailable =
        |reason: String| TransportError::Unavailable { what: format!("cannot read `{topic}`"), reason };
    let metadata = native.fetch_metadata(Some(topic), OPEN_LIMIT).map_err(|error| {
        unavailable(format!("{error}; check `kafka.brokers` and that a broker runs there"))
    })?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found = found.ok_or_else(|| unavailable("the topic does not exist; create it".into()))?;
    if let Some(error) = found.error() {
        let code = rdkafka::error::RDKafkaErrorCode::from(error);
        return Err(unavailable(format!("{code}{}", super::errors::read_advice(code))));
    }
    let mut list = TopicPartitionList::new();
    let mut start = BTreeMap::new();
    let mut end = BTreeMap::new();
    for partition in found.partitions() {
        let index = partition.id();
        let (low, high) = native.fetch_watermarks(topic, index, OPEN_LIMIT).map_err(|error| {
            unavailable(format!("partition {index} does not tell where it ends: {error}"))
        })?;
        let begin = match from {
            ReadFrom::Beginning => low,
            ReadFrom::End => high,
            ReadFrom::Offsets(offsets) => offsets.get(&index).map_or(low, |offset| offset.get().max(low)),
        };
        list.add_partition_offset(topic, index, NativeOffset::Offset(begin))
            .map_err(|error| unavailable(format!("offset {begin} of partition {index}: {error}")))?;
        start.insert(index, Offset::new(begin));
        end.insert(index, Offset::new(high));
    }
    native.assign(&list).map_err(|error| unavailable(error.to_string()))?;
    Ok(Opened { context: native.context().clone(), start, end })
}
