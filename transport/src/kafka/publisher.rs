//! Publishes to Kafka: one wake-up per call, however many records it has.
//!
//! `FutureProducer` makes a channel and a task wake-up per record. Here every record carries a ticket of its call
//! (`outbox.rs`), and the last delivery report completes it.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, DeliveryResult, NoCustomPartitioner, ProducerContext};
use tokio::runtime::Handle;

use super::attach::attach;
use super::errors::{ReadFault, client_error, publish_kind, publish_reason, read_fault};
use super::log::LogLines;
use super::outbox::{Limits, Outbox, Sent, Ticket};
use super::settings::Settings;
use crate::config::KafkaConfig;
use crate::error::{FailedRecord, PublishError, PublishErrorKind, TransportError};
use crate::publisher::Publisher;
use crate::record::Record;

/// How long a poll for delivery reports lasts while something is under way; reports are served within it as they come.
/// Its last millisecond is spent spinning (rdkafka rounds what is left of it down to zero), hence not shorter.
const POLL: Duration = Duration::from_millis(250);

/// How often log lines and errors are looked for while nothing is under way; publishing ends the wait.
const IDLE: Duration = Duration::from_secs(1);

/// How many log lines and errors are served at a time while nothing is under way.
const IDLE_EVENTS: usize = 16;

/// What is handed over on the caller's thread, at a few microseconds a record; more would hold up an async thread.
const INLINE_RECORDS: usize = 100;

/// The same in bytes, because librdkafka copies them.
const INLINE_BYTES: usize = 1024 * 1024;

/// How long a publisher that is dropped goes on to get rid of what it has taken.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Publishes to Kafka; clones share one connection.
///
/// When the last clone is dropped, what is under way is still sent, in the background and for ten seconds at most; to
/// wait for it, await the futures or [`flush`](Self::flush).
#[derive(Clone)]
pub struct KafkaPublisher {
    shared: Arc<Shared>,
    // Counts the handles; the poll thread holds `shared` too.
    _open: Arc<Open>,
}

struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closing.store(true, Ordering::SeqCst);
        self.0.wake();
    }
}

struct Shared {
    producer: BaseProducer<PublishContext>,
    outbox: Arc<Outbox>,
    closing: AtomicBool,
    // The poll thread.
    thread: OnceLock<Thread>,
}

/// What librdkafka calls back into; on the publisher's poll thread.
struct PublishContext {
    log: LogLines,
    outbox: Arc<Outbox>,
    // No broker can be reached.
    down: AtomicBool,
    // The publisher that owns the producer that owns this: room is used as soon as a delivery report makes it.
    shared: Arc<OnceLock<Weak<Shared>>>,
}

impl ClientContext for PublishContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.log.forward(level, facility, line);
    }

    // The default logs the whole document at level info.
    fn stats_raw(&self, _json: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let client = self.log.client();
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        match read_fault(code) {
            _ if code == RDKafkaErrorCode::Fatal => {
                tracing::error!(client, reason, "publishing is broken; restart");
            }
            ReadFault::Passing => {
                tracing::debug!(client, ?code, reason, "publishing met an error that passes");
            }
            // Reported with each attempt, and twice each time.
            ReadFault::AllBrokersDown => {
                if !self.down.swap(true, Ordering::SeqCst) {
                    tracing::warn!(client, reason, "no broker can be reached; records wait");
                }
            }
            _ => tracing::warn!(client, ?code, reason, "publishing meets a difficulty; trying again"),
        }
    }
}

impl ProducerContext for PublishContext {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let failure = match result {
            Ok(_) => {
                if self.down.load(Ordering::Relaxed) {
                    self.down.store(false, Ordering::SeqCst);
                }
                None
            }
            Err((error, message)) => Some(failure(error, &ticket, message.topic())),
        };
        self.outbox.settle(&ticket, failure);
        if self.outbox.wants_pumping()
            && let Some(shared) = self.shared.get().and_then(Weak::upgrade)
        {
            shared.pump();
        }
    }
}

fn failure(error: &KafkaError, ticket: &Ticket, topic: &str) -> FailedRecord {
    let (kind, reason) = match error.rdkafka_error_code() {
        Some(code) => (publish_kind(code), publish_reason(code, topic, ticket.bytes)),
        None => (PublishErrorKind::Fatal, format!("topic `{topic}`: {error}")),
    };
    FailedRecord { index: ticket.index, kind, reason }
}

impl Shared {
    fn pump(&self) {
        self.outbox.pump(|record, ticket| self.send(record, ticket));
    }

    fn send(&self, record: &Record, ticket: Box<Ticket>) -> Sent {
        match self.producer.send(attach(record, ticket)) {
            Ok(()) => Sent::Taken,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Sent::Full,
            Err((error, native)) => {
                let ticket = native.delivery_opaque;
                let failure = failure(&error, &ticket, &record.topic);
                Sent::Refused(ticket, failure)
            }
        }
    }

    // Serves delivery reports until the last handle is dropped and everything is settled.
    fn run(&self) {
        let mut close_by = None;
        loop {
            if self.outbox.is_idle() {
                if self.closing.load(Ordering::SeqCst) {
                    return;
                }
                thread::park_timeout(IDLE);
                for _ in 0..IDLE_EVENTS {
                    self.producer.poll(Duration::ZERO);
                }
                continue;
            }
            self.producer.poll(POLL);
            if self.outbox.somebody_waits() {
                self.pump();
            }
            if self.closing.load(Ordering::SeqCst) {
                let limit = *close_by.get_or_insert_with(|| Instant::now() + CLOSE_LIMIT);
                if Instant::now() >= limit {
                    let records = self.outbox.in_flight();
                    tracing::warn!(
                        records,
                        "the publisher was dropped with records that no broker has taken"
                    );
                    return;
                }
            }
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl KafkaPublisher {
    pub(crate) fn start(config: &KafkaConfig) -> Result<Self, TransportError> {
        let settings = Settings::producer(config)?;
        // librdkafka counts a record until the whole report that it came with is dropped. With half of its limits in
        // flight at most, its queue is never full.
        let outbox = Arc::new(Outbox::new(Limits {
            records: half(settings.number("queue.buffering.max.messages")?),
            bytes: half(settings.number("queue.buffering.max.kbytes")?.saturating_mul(1024)),
        }));
        let what = "cannot publish";
        let owner = Arc::new(OnceLock::new());
        let context = PublishContext {
            log: LogLines::new(&config.client_id),
            outbox: outbox.clone(),
            down: AtomicBool::new(false),
            shared: owner.clone(),
        };
        let producer = settings
            .client_config()
            .create_with_context::<_, BaseProducer<_, NoCustomPartitioner>>(context)
            .map_err(|error| client_error(what, &error))?;
        let closing = AtomicBool::new(false);
        let shared = Arc::new(Shared { producer, outbox, closing, thread: OnceLock::new() });
        owner.get_or_init(|| Arc::downgrade(&shared));
        let polled = shared.clone();
        let thread = thread::Builder::new()
            .name("kafka publish".into())
            .spawn(move || polled.run())
            .map_err(|error| {
                let reason = format!("cannot start a thread: {error}");
                TransportError::Fatal { what: what.into(), reason }
            })?;
        shared.thread.get_or_init(|| thread.thread().clone());
        Ok(Self { _open: Arc::new(Open(shared.clone())), shared })
    }

    /// Waits until everything given to [`publish`](Publisher::publish) is settled, at most `limit`; whether it is.
    pub async fn flush(&self, limit: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        while !self.shared.outbox.is_idle() {
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }
}

fn half(number: u64) -> usize {
    usize::try_from(number / 2).unwrap_or(usize::MAX).max(1)
}

impl Publisher for KafkaPublisher {
    fn publish(
        &self,
        records: Vec<Record>,
    ) -> impl Future<Output = Result<(), PublishError>> + Send + 'static {
        let total = records.len();
        let small =
            total <= INLINE_RECORDS && records.iter().map(Record::size).sum::<usize>() <= INLINE_BYTES;
        // Its place in the order is settled here, whoever hands the records to librdkafka.
        let outcome = self.shared.outbox.add(records);
        match Handle::try_current() {
            Ok(runtime) if !small => {
                let shared = self.shared.clone();
                runtime.spawn_blocking(move || shared.pump());
            }
            _ => self.shared.pump(),
        }
        self.shared.wake();
        // Keeps the poll thread going until the outcome is there.
        let handle = self.clone();
        async move {
            let outcome = outcome.await;
            drop(handle);
            outcome.unwrap_or_else(|_| {
                let stopped = |index| FailedRecord {
                    index,
                    kind: PublishErrorKind::Fatal,
                    reason: "the publisher has stopped".into(),
                };
                PublishError::from_failures((0..total).map(stopped).collect(), total).map_or(Ok(()), Err)
            })
        }
    }
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPublisher")
            .field("in_flight", &self.shared.outbox.in_flight())
            .finish_non_exhaustive()
    }
}
