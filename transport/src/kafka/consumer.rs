//! A member of a group on Kafka: a poll thread, a commit thread, and this handle.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use tokio::sync::{oneshot, watch};

use super::commit::Committer;
use super::committed;
use super::context::ReadContext;
use super::poll_thread;
use super::queue::{Bounds, Queue};
use super::settings::Settings;
use crate::config::KafkaConfig;
use crate::consumer::{Committed, Consumer, ConsumerOptions, Event, Status};
use crate::error::{ConfigError, TransportError};
use crate::progress::Progress;
use crate::record::Partition;

/// How long closing may take; somewhat more than leaving the group may.
const CLOSE_LIMIT: Duration = Duration::from_secs(15);

/// A member of a consumer group on Kafka.
///
/// Dropping it stops the polling without waiting for it; [`close`](Consumer::close) waits.
pub struct KafkaConsumer {
    queue: Arc<Queue>,
    commits: Committer,
    context: Arc<ReadContext>,
    native: Weak<poll_thread::Native>,
    ended: Option<oneshot::Receiver<()>>,
}

impl KafkaConsumer {
    pub(crate) async fn join(
        config: &KafkaConfig,
        group: &str,
        topics: &[String],
        options: ConsumerOptions,
    ) -> Result<Self, TransportError> {
        if topics.is_empty() {
            return Err(ConfigError::new("topics", format!("group `{group}` has no topic to read")).into());
        }
        let settings = Settings::consumer(config, group, &options)?;
        let queue = Arc::new(Queue::new(Bounds {
            records: options.max_queued_records,
            bytes: options.max_queued_bytes,
            chunk: options.max_chunk,
        }));
        let context = ReadContext::new(group, options.drain_timeout, queue.clone());
        let what = format!("group `{group}` cannot subscribe to {}", topics.join(", "));
        let topics = topics.to_vec();
        let begin = move |native: &Arc<poll_thread::Native>| {
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            native
                .subscribe(&topics)
                .map_err(|error| TransportError::Fatal { what, reason: error.to_string() })?;
            let commits = Committer::start(Arc::downgrade(native))?;
            Ok((commits, native.context().clone(), Arc::downgrade(native)))
        };
        let ((commits, context, native), ended) = poll_thread::start(settings, context, None, begin).await?;
        Ok(Self { queue, commits, context, native, ended: Some(ended) })
    }

    /// The client, as long as its poll thread lives.
    pub(crate) fn native(&self) -> Weak<poll_thread::Native> {
        self.native.clone()
    }

    // Whoever is told of partitions cannot have paused them before, except when they were lost and came back meanwhile.
    fn seen(&self, event: Option<Event>) -> Option<Event> {
        if let Some(Event::Assigned(partitions)) = &event {
            self.context.paused.resume(partitions);
        }
        event
    }
}

impl Consumer for KafkaConsumer {
    async fn next(&mut self) -> Option<Event> {
        let event = self.queue.next(false).await;
        self.seen(event)
    }

    async fn next_signal(&mut self) -> Option<Event> {
        let event = self.queue.next(true).await;
        self.seen(event)
    }

    fn commit(
        &self,
        progress: Progress,
        note: &str,
    ) -> impl Future<Output = Result<(), TransportError>> + Send + 'static {
        self.commits.commit(progress, note)
    }

    fn committed(
        &self,
        partitions: &[Partition],
    ) -> impl Future<Output = Result<Vec<Committed>, TransportError>> + Send + 'static {
        committed::committed(self.native(), partitions)
    }

    fn pause(&self, partition: &Partition) {
        self.context.paused.pause(partition);
    }

    fn resume(&self, partition: &Partition) {
        self.context.paused.resume(std::slice::from_ref(partition));
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.context.status()
    }

    async fn close(mut self) {
        self.context.stop();
        if let Some(ended) = self.ended.take()
            && tokio::time::timeout(CLOSE_LIMIT, ended).await.is_err()
        {
            tracing::warn!(
                group = self.context.name(),
                limit_ms = CLOSE_LIMIT.as_millis(),
                "the group was not left in time; the brokers notice at the session timeout"
            );
        }
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.context.stop();
    }
}

impl fmt::Debug for KafkaConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConsumer").field("group", &self.context.name()).finish_non_exhaustive()
    }
}
