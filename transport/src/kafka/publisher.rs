//! Publishes to Kafka: one wake-up per call, however many records it has.
//!
//! `FutureProducer` makes a channel and a task wake-up per record. Here every record of a call points at the call's
//! own counter ([`Call`]), and the last delivery report completes it.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as NativeHeader, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, NoCustomPartitioner, ProducerContext};
use tokio::sync::oneshot;

use super::errors::{ReadFault, client_error, publish_kind, publish_reason, read_fault};
use super::log;
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

/// How long a publisher that is dropped goes on to get rid of what it has taken.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Publishes to Kafka; clones share one connection, which closes after the last of them is dropped.
#[derive(Clone)]
pub struct KafkaPublisher {
    shared: Arc<Shared>,
    // Counts the handles; the poll thread holds `shared` too.
    _handle: Arc<Handle>,
}

struct Handle(Arc<Shared>);

impl Drop for Handle {
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

/// Records that were given to `publish` and are not settled.
///
/// Half of what librdkafka may hold is in flight at most: it counts a record until the whole report that it came with
/// is dropped, so the other half is for records that are settled already. Hence its queue is never full.
struct Outbox {
    limits: Limits,
    // Given to librdkafka and not settled.
    records: AtomicUsize,
    bytes: AtomicUsize,
    // Calls with records that librdkafka has not been given yet, oldest first.
    waiting: Mutex<VecDeque<Waiting>>,
    waiting_calls: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    records: usize,
    bytes: usize,
}

struct Waiting {
    call: Arc<Call>,
    records: VecDeque<(usize, Record)>,
}

/// One call of `publish`.
struct Call {
    total: usize,
    unsettled: AtomicUsize,
    failures: Mutex<Vec<FailedRecord>>,
    done: Mutex<Option<oneshot::Sender<Result<(), PublishError>>>>,
}

/// What librdkafka carries along with each record.
pub(crate) struct Ticket {
    call: Arc<Call>,
    index: usize,
    bytes: usize,
}

impl Call {
    fn settle(&self, failure: Option<FailedRecord>) {
        if let Some(failure) = failure {
            self.failures.lock().expect("no holder of the failures panics").push(failure);
        }
        if self.unsettled.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let failures = std::mem::take(&mut *self.failures.lock().expect("no holder of the failures panics"));
        let result = PublishError::from_failures(failures, self.total).map_or(Ok(()), Err);
        if let Some(done) = self.done.lock().expect("no holder of the sender panics").take() {
            // Nobody waits when the future was dropped.
            drop(done.send(result));
        }
    }
}

/// What librdkafka calls back into; on the publisher's poll thread.
struct PublishContext {
    name: String,
    outbox: Arc<Outbox>,
    // The publisher that owns the producer that owns this: room is used as soon as a delivery report makes it.
    shared: Arc<OnceLock<Weak<Shared>>>,
}

impl ClientContext for PublishContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log::forward(&self.name, level, facility, line);
    }

    // The default logs the whole document at level info.
    fn stats_raw(&self, _json: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let fatal = error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal);
        if fatal {
            tracing::error!(client = self.name, reason, "publishing is broken; restart");
        } else if error.rdkafka_error_code().is_some_and(|code| read_fault(code) == ReadFault::Passing) {
            tracing::debug!(client = self.name, %error, reason, "publishing met an error that passes");
        } else {
            tracing::warn!(client = self.name, %error, reason, "publishing meets a difficulty; trying again");
        }
    }
}

impl ProducerContext for PublishContext {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        self.outbox.records.fetch_sub(1, Ordering::SeqCst);
        self.outbox.bytes.fetch_sub(ticket.bytes, Ordering::SeqCst);
        let failure = match result {
            Ok(_) => None,
            Err((error, message)) => Some(failure(error, ticket.index, message.topic(), ticket.bytes)),
        };
        ticket.call.settle(failure);
        if self.outbox.somebody_waits()
            && self.outbox.is_half_empty()
            && let Some(shared) = self.shared.get().and_then(Weak::upgrade)
        {
            shared.pump();
        }
    }
}

fn failure(error: &KafkaError, index: usize, topic: &str, bytes: usize) -> FailedRecord {
    match error.rdkafka_error_code() {
        Some(code) => {
            FailedRecord { index, kind: publish_kind(code), reason: publish_reason(code, topic, bytes) }
        }
        None => {
            FailedRecord { index, kind: PublishErrorKind::Fatal, reason: format!("topic `{topic}`: {error}") }
        }
    }
}

impl Outbox {
    fn somebody_waits(&self) -> bool {
        self.waiting_calls.load(Ordering::SeqCst) > 0
    }

    fn is_idle(&self) -> bool {
        self.records.load(Ordering::SeqCst) == 0 && !self.somebody_waits()
    }

    // So that room is used in gulps.
    fn is_half_empty(&self) -> bool {
        self.records.load(Ordering::SeqCst) <= self.limits.records / 2
            && self.bytes.load(Ordering::SeqCst) <= self.limits.bytes / 2
    }

    fn has_room(&self, bytes: usize) -> bool {
        let records = self.records.load(Ordering::SeqCst);
        // A record larger than the whole limit goes alone.
        records == 0
            || (records < self.limits.records
                && self.bytes.load(Ordering::SeqCst) + bytes <= self.limits.bytes)
    }
}

impl Shared {
    // Gives librdkafka what there is room for, oldest call first.
    fn pump(&self) {
        let outbox = &self.outbox;
        let mut waiting = outbox.waiting.lock().expect("no holder of the outbox panics");
        while let Some(head) = waiting.front_mut() {
            while let Some((index, record)) = head.records.pop_front() {
                let bytes = record.size();
                if !outbox.has_room(bytes) || !self.send(&head.call, index, &record, bytes) {
                    head.records.push_front((index, record));
                    return;
                }
            }
            waiting.pop_front();
            outbox.waiting_calls.fetch_sub(1, Ordering::SeqCst);
        }
    }

    // False when librdkafka's queue is full; otherwise the record is on its way or settled.
    fn send(&self, call: &Arc<Call>, index: usize, record: &Record, bytes: usize) -> bool {
        let ticket = Box::new(Ticket { call: call.clone(), index, bytes });
        let mut native = BaseRecord::<[u8], [u8], Box<Ticket>>::with_opaque_to(&record.topic, ticket);
        native.key = record.key.as_deref();
        native.payload = record.value.as_deref();
        if !record.headers.is_empty() {
            native.headers = Some(headers(record));
        }
        self.outbox.records.fetch_add(1, Ordering::SeqCst);
        self.outbox.bytes.fetch_add(bytes, Ordering::SeqCst);
        let Err((error, _)) = self.producer.send(native) else {
            return true;
        };
        self.outbox.records.fetch_sub(1, Ordering::SeqCst);
        self.outbox.bytes.fetch_sub(bytes, Ordering::SeqCst);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
            return false;
        }
        call.settle(Some(failure(&error, index, &record.topic, bytes)));
        true
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
                    let records = self.outbox.records.load(Ordering::SeqCst);
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

fn headers(record: &Record) -> OwnedHeaders {
    record.headers.iter().fold(OwnedHeaders::new_with_capacity(record.headers.len()), |headers, header| {
        headers.insert(NativeHeader { key: &header.name, value: header.value.as_deref() })
    })
}

impl KafkaPublisher {
    pub(crate) fn start(config: &KafkaConfig) -> Result<Self, TransportError> {
        let settings = Settings::producer(config)?;
        let limits = Limits {
            records: half(settings.number("queue.buffering.max.messages")?),
            bytes: half(settings.number("queue.buffering.max.kbytes")?.saturating_mul(1024)),
        };
        let outbox = Arc::new(Outbox {
            limits,
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            waiting: Mutex::default(),
            waiting_calls: AtomicUsize::new(0),
        });
        let what = "cannot publish";
        let owner = Arc::new(OnceLock::new());
        let context =
            PublishContext { name: config.client_id.clone(), outbox: outbox.clone(), shared: owner.clone() };
        let producer = settings
            .client_config()
            .create_with_context::<_, BaseProducer<_, NoCustomPartitioner>>(context)
            .map_err(|error| client_error(what, &error))?;
        let shared =
            Arc::new(Shared { producer, outbox, closing: AtomicBool::new(false), thread: OnceLock::new() });
        owner.get_or_init(|| Arc::downgrade(&shared));
        let polled = shared.clone();
        let thread = thread::Builder::new()
            .name("kafka publish".into())
            .spawn(move || polled.run())
            .map_err(|error| TransportError::Fatal {
                what: what.into(),
                reason: format!("cannot start a thread: {error}"),
            })?;
        shared.thread.get_or_init(|| thread.thread().clone());
        Ok(Self { _handle: Arc::new(Handle(shared.clone())), shared })
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
        let (done, result) = oneshot::channel();
        let call = Arc::new(Call {
            total,
            unsettled: AtomicUsize::new(total),
            failures: Mutex::default(),
            done: Mutex::new(Some(done)),
        });
        if total > 0 {
            let outbox = &self.shared.outbox;
            let records = records.into_iter().enumerate().collect();
            outbox.waiting_calls.fetch_add(1, Ordering::SeqCst);
            outbox
                .waiting
                .lock()
                .expect("no holder of the outbox panics")
                .push_back(Waiting { call, records });
            self.shared.pump();
            self.shared.wake();
        }
        // The poll thread needs the handle until the result is there.
        let handle = self.clone();
        async move {
            let _handle = handle;
            if total == 0 {
                return Ok(());
            }
            match result.await {
                Ok(result) => result,
                Err(_) => {
                    let stopped = |index| FailedRecord {
                        index,
                        kind: PublishErrorKind::Fatal,
                        reason: "the publisher has stopped".into(),
                    };
                    PublishError::from_failures((0..total).map(stopped).collect(), total).map_or(Ok(()), Err)
                }
            }
        }
    }
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPublisher")
            .field("in_flight", &self.shared.outbox.records.load(Ordering::SeqCst))
            .finish_non_exhaustive()
    }
}
