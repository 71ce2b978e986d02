//! The transactional producer as librdkafka has it, and the thread that serves its delivery reports.
//!
//! Undoing a transaction waits for the reports of what is under way, so somebody else has to serve them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext};

use super::deliveries::Deliveries;
use super::sort::Fault;
use crate::error::TransportError;
use crate::kafka::attach::attach;
use crate::kafka::errors::{ReadFault, client_error, read_fault};
use crate::kafka::log::LogLines;
use crate::kafka::settings::Settings;
use crate::record::Record;

/// How long a poll for delivery reports lasts while a transaction is under way; reports are served within it as they
/// come. Not shorter, because each ends with a millisecond of spinning.
const POLL: Duration = Duration::from_millis(250);

/// How often log lines and errors are looked for while nothing is under way.
const IDLE: Duration = Duration::from_secs(1);

/// How many of them are served at a time.
const IDLE_EVENTS: usize = 16;

/// Between two looks at something that librdkafka is about to finish.
const SHORTLY: Duration = Duration::from_micros(50);

/// A step of a transaction lasts this long at least, also when the time is almost up.
const SHORTEST_STEP: Duration = Duration::from_millis(100);

type Native = BaseProducer<Context>;

/// A transactional producer. Dropping it ends its thread, which may be where librdkafka's client is dropped, so that
/// nobody waits for that.
pub(super) struct Producer {
    native: Arc<Native>,
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    deliveries: Deliveries,
    // A transaction is under way.
    busy: AtomicBool,
    closing: AtomicBool,
}

impl Producer {
    pub(super) fn start(settings: &Settings, transactional_id: &str) -> Result<Self, TransportError> {
        let what = "cannot publish in transactions";
        let shared = Arc::new(Shared::default());
        let context = Context {
            log: LogLines::new(transactional_id),
            shared: shared.clone(),
            down: AtomicBool::new(false),
        };
        let native = settings
            .client_config()
            .create_with_context::<_, BaseProducer<_, NoCustomPartitioner>>(context)
            .map_err(|error| client_error(what, &error))?;
        let native = Arc::new(native);
        let (polled, state) = (native.clone(), shared.clone());
        let thread = thread::Builder::new()
            .name("kafka reports".into())
            .spawn(move || serve(&polled, &state))
            .map_err(|error| {
                let reason = format!("cannot start a thread: {error}");
                TransportError::Fatal { what: what.into(), reason }
            })?;
        Ok(Self { native, shared, thread: thread.thread().clone() })
    }

    /// The cluster's id, if a broker tells it in time.
    pub(super) fn cluster_id(&self, limit: Duration) -> Option<String> {
        self.native.client().fetch_cluster_id(limit)
    }

    /// Takes over the transactional id. After a timeout it goes on in the background; call again.
    pub(super) fn init(&self, limit: Duration) -> Result<(), Fault> {
        self.native.init_transactions(limit).map_err(|error| Fault::of(&error))
    }

    pub(super) fn begin(&self) -> Result<(), Fault> {
        self.shared.deliveries.forget_failures();
        self.native.begin_transaction().map_err(|error| Fault::of(&error))?;
        self.shared.busy.store(true, Ordering::SeqCst);
        self.thread.unpark();
        Ok(())
    }

    /// Gives all records to librdkafka, unless the transaction fails meanwhile. A record that it does not take is told
    /// with those that fail later.
    pub(super) fn send(&self, records: &[Record], deadline: Instant) {
        let deliveries = &self.shared.deliveries;
        for (index, record) in records.iter().enumerate() {
            loop {
                deliveries.expect();
                match self.native.send(attach(record, index)) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                        if Instant::now() < deadline =>
                    {
                        deliveries.take_back();
                        thread::park_timeout(Duration::from_millis(1));
                    }
                    Err((error, _)) => {
                        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::InvalidArgument);
                        deliveries.report(index, Some(code));
                        // The transaction takes no records any more.
                        if matches!(code, RDKafkaErrorCode::State | RDKafkaErrorCode::QueueFull) {
                            return;
                        }
                        break;
                    }
                }
            }
        }
    }

    /// Waits until every record is acknowledged or has failed; whether that is so in time.
    pub(super) fn wait_for_reports(&self, deadline: Instant) -> bool {
        if !self.shared.deliveries.wait(deadline) {
            return false;
        }
        // librdkafka counts a record until the report that it came with is dropped, a moment after it was served. And
        // when rdkafka flushes by itself, it waits in steps of a tenth of a second.
        while self.native.flush(Duration::ZERO).is_err() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::park_timeout(SHORTLY);
        }
        true
    }

    /// The records that have failed so far, by index.
    pub(super) fn failures(&self) -> Vec<(usize, RDKafkaErrorCode)> {
        self.shared.deliveries.failures()
    }

    /// What has gone wrong with the transaction that is under way, if anything has.
    pub(super) fn fault(&self) -> Option<Fault> {
        // Nothing else tells it: one that is in order refuses another only for its state.
        let error = self.native.begin_transaction().err()?;
        let fault = Fault::of(&error);
        (fault.code != RDKafkaErrorCode::State).then_some(fault)
    }

    /// Adds offsets to the transaction; may be repeated.
    pub(super) fn add_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
        deadline: Instant,
    ) -> Result<(), Fault> {
        again_until(deadline, |limit| self.native.send_offsets_to_transaction(offsets, group, limit))
    }

    /// Commits. When that takes too long, nobody knows what becomes of it, and the producer is of no more use.
    pub(super) fn commit(&self, deadline: Instant) -> Result<(), Fault> {
        again_until(deadline, |limit| self.native.commit_transaction(limit))
    }

    /// Undoes the transaction; the same holds.
    pub(super) fn abort(&self, deadline: Instant) -> Result<(), Fault> {
        again_until(deadline, |limit| self.native.abort_transaction(limit))
    }

    /// The transaction has ended.
    pub(super) fn rest(&self) {
        self.shared.busy.store(false, Ordering::SeqCst);
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

// What may be tried again is, with the same arguments, as long as there is time.
fn again_until(
    deadline: Instant,
    mut step: impl FnMut(Duration) -> Result<(), KafkaError>,
) -> Result<(), Fault> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(SHORTEST_STEP);
        let Err(error) = step(left) else {
            return Ok(());
        };
        let fault = Fault::of(&error);
        if !fault.may_pass() || Instant::now() >= deadline {
            return Err(fault);
        }
        tracing::debug!(?fault, "a step of a transaction is tried again");
        thread::park_timeout(Duration::from_millis(20));
    }
}

fn serve(native: &Native, shared: &Shared) {
    while !shared.closing.load(Ordering::SeqCst) {
        if shared.busy.load(Ordering::SeqCst) {
            native.poll(POLL);
        } else {
            thread::park_timeout(IDLE);
            for _ in 0..IDLE_EVENTS {
                native.poll(Duration::ZERO);
            }
        }
    }
}

/// What librdkafka calls back into; on the thread that serves.
struct Context {
    log: LogLines,
    shared: Arc<Shared>,
    // No broker can be reached.
    down: AtomicBool,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.log.forward(level, facility, line);
    }

    // The default logs the whole document at level info.
    fn stats_raw(&self, _json: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let client = self.log.client();
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        match read_fault(code) {
            ReadFault::AllBrokersDown if !self.down.swap(true, Ordering::SeqCst) => {
                tracing::warn!(client, reason, "no broker can be reached; transactions wait");
            }
            // What concerns a transaction is its outcome.
            _ => tracing::debug!(client, ?code, reason, "transactions met an error"),
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let failure = match result {
            Ok(_) => {
                if self.down.load(Ordering::Relaxed) {
                    self.down.store(false, Ordering::SeqCst);
                }
                None
            }
            Err((error, _)) => Some(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        self.shared.deliveries.report(index, failure);
    }
}
