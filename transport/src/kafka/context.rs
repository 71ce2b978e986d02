//! What librdkafka calls back into while a consumer or reader is polled; every callback runs on the poll thread.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::watch;

use super::log::LogLines;
use super::paused::Paused;
use super::queue::Queue;
use super::statistics;
use crate::consumer::{Event, Revocation, Status};
use crate::error::{TransportError, list_partitions};
use crate::record::Partition;

/// State that the poll thread, its callbacks and the consumer's handle share.
pub(crate) struct ReadContext {
    /// Named after the group, or the topic of a reader.
    log: LogLines,
    drain_timeout: Duration,
    pub(crate) queue: Arc<Queue>,
    /// Partitions that the consumer has paused, one by one.
    pub(crate) paused: Paused,
    status: watch::Sender<Status>,
    assigned: Mutex<BTreeSet<Partition>>,
    // librdkafka hands out an error's code and its text through different doors, one right after the other.
    last_reason: Mutex<String>,
    up: AtomicBool,
    was_up: AtomicBool,
    // All partitions, because the queue is full.
    all_paused: AtomicBool,
    stopping: AtomicBool,
}

impl ReadContext {
    pub(crate) fn new(name: impl Into<String>, drain_timeout: Duration, queue: Arc<Queue>) -> Self {
        Self {
            log: LogLines::new(name),
            drain_timeout,
            queue,
            paused: Paused::default(),
            status: watch::Sender::new(Status::default()),
            assigned: Mutex::default(),
            last_reason: Mutex::default(),
            up: AtomicBool::new(false),
            was_up: AtomicBool::new(false),
            all_paused: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }
    }

    /// The group, or the topic of a reader; for log lines.
    pub(crate) fn name(&self) -> &str {
        self.log.client()
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Asks the poll thread to end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.queue.abandon();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether all partitions are paused, because the queue is full.
    pub(crate) fn is_paused(&self) -> bool {
        self.all_paused.load(Ordering::SeqCst)
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.all_paused.store(paused, Ordering::SeqCst);
    }

    /// Whether the consumer has paused every partition that it has.
    pub(crate) fn wants_nothing(&self) -> bool {
        self.paused.all(&self.assigned())
    }

    /// Whether a broker has been reached at any time.
    pub(crate) fn was_up(&self) -> bool {
        self.was_up.load(Ordering::SeqCst)
    }

    /// A sign of life, or that all brokers are gone; whether that is news.
    pub(crate) fn set_brokers_up(&self, up: bool) -> bool {
        if up {
            self.was_up.store(true, Ordering::SeqCst);
        }
        let changed = self.up.swap(up, Ordering::SeqCst) != up;
        if changed {
            self.status.send_modify(|status| status.brokers_up = up);
        }
        changed
    }

    /// The text of the error that was just reported.
    pub(crate) fn take_reason(&self) -> String {
        std::mem::take(&mut *self.last_reason.lock().expect("no holder of the reason panics"))
    }

    /// Those of the partitions that are not assigned. One that is being revoked still is.
    pub(crate) fn not_held<'a>(&self, partitions: impl Iterator<Item = &'a Partition>) -> Vec<Partition> {
        let assigned = self.assigned();
        partitions.filter(|partition| !assigned.contains(*partition)).cloned().collect()
    }

    fn assigned(&self) -> MutexGuard<'_, BTreeSet<Partition>> {
        self.assigned.lock().expect("no holder of the assignment panics")
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = partitions_of(list);
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        // An empty list must be confirmed as well, or the group waits for this member.
        let done = if cooperative { consumer.incremental_assign(list) } else { consumer.assign(list) };
        if let Err(error) = done {
            self.rebalance_failed("cannot take over partitions", &partitions, &error);
            return;
        }
        {
            let mut assigned = self.assigned();
            if !cooperative {
                assigned.clear();
            }
            assigned.extend(partitions.iter().cloned());
        }
        self.set_brokers_up(true);
        self.paused.forget(&partitions);
        self.resume_all(consumer);
        self.publish_assignment();
        if !partitions.is_empty() {
            tracing::info!(
                group = self.name(),
                partitions = list_partitions(&partitions),
                "partitions assigned"
            );
        }
        self.queue.add_signal(Event::Assigned(partitions));
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = partitions_of(list);
        let lost = consumer.assignment_lost();
        self.queue.forget(&partitions);
        self.paused.forget(&partitions);
        if !partitions.is_empty() && !self.is_stopping() {
            self.wait_for_release(&partitions, lost);
        }
        let done = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            RebalanceProtocol::None | RebalanceProtocol::Eager => consumer.unassign(),
        };
        {
            let mut assigned = self.assigned();
            for partition in &partitions {
                assigned.remove(partition);
            }
        }
        self.publish_assignment();
        if let Err(error) = done {
            self.rebalance_failed("cannot let go of partitions", &partitions, &error);
        }
    }

    // The group waits meanwhile. Commits do not need this thread: librdkafka's own thread carries them.
    fn wait_for_release(&self, partitions: &[Partition], lost: bool) {
        let list = list_partitions(partitions);
        tracing::info!(group = self.name(), partitions = list, lost, "partitions revoked");
        let (held, released) = mpsc::channel::<()>();
        let revocation = Revocation::new(partitions.to_vec(), lost, move || drop(held));
        self.queue.add_signal(Event::Revoked(revocation));
        if lost {
            return;
        }
        if released.recv_timeout(self.drain_timeout) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                group = self.name(),
                partitions = list,
                drain_timeout_ms = self.drain_timeout.as_millis(),
                "partitions were not released within the drain timeout; their next owner repeats the work that runs"
            );
        }
    }

    // librdkafka keeps a partition's pause over a rebalance; the poll loop begins afresh and pauses again if it must.
    fn resume_all(&self, consumer: &BaseConsumer<Self>) {
        if let Err(error) = self.resume_wanted(consumer) {
            self.rebalance_failed("cannot resume partitions", &[], &error);
        }
    }

    /// Goes on reading all partitions but those that the consumer has paused.
    pub(crate) fn resume_wanted(&self, consumer: &BaseConsumer<Self>) -> KafkaResult<()> {
        let mut wanted = partitions_of(&consumer.assignment()?);
        wanted.retain(|partition| !self.paused.contains(partition));
        consumer.resume(&list_of(&wanted))?;
        self.set_paused(false);
        Ok(())
    }

    fn rebalance_failed(&self, what: &str, partitions: &[Partition], error: &KafkaError) {
        let list = list_partitions(partitions);
        tracing::error!(group = self.name(), partitions = list, %error, "{what}");
        self.queue.add_signal(Event::Error(TransportError::Fatal {
            what: format!("{what} ({list}) in group `{}`", self.name()),
            reason: error.to_string(),
        }));
    }

    fn publish_assignment(&self) {
        let assigned = self.assigned();
        self.status.send_modify(|status| {
            status.assigned = assigned.len();
            status.lag.retain(|(partition, _)| assigned.contains(partition));
        });
    }
}

impl ClientContext for ReadContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.log.forward(level, facility, line);
    }

    fn stats_raw(&self, json: &[u8]) {
        let assigned = self.assigned().clone();
        match statistics::read(json, &assigned) {
            Ok(figures) => {
                self.set_brokers_up(figures.brokers_up);
                self.status.send_if_modified(|status| {
                    let changed = status.lag != figures.lag;
                    status.lag = figures.lag;
                    changed
                });
            }
            Err(error) => tracing::debug!(group = self.name(), %error, "cannot read librdkafka's statistics"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            reason.clone_into(&mut self.last_reason.lock().expect("no holder of the reason panics"));
        }
    }
}

impl ConsumerContext for ReadContext {
    // The default ignores whether taking over and letting go worked.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        // Only for commits that nobody waits for, and there are none.
        if let Err(error) = result {
            tracing::debug!(group = self.name(), %error, "commit failed");
        }
    }
}

pub(crate) fn list_of(partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.index);
    }
    list
}

pub(crate) fn partitions_of(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| Partition::new(element.topic(), element.partition())).collect()
}
