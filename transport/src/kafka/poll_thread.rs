//! One thread that does nothing but poll: `StreamConsumer` would run rebalance callbacks on the async runtime, where a
//! revocation that waits for its release would block everything else.

mod pausing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use tokio::sync::{oneshot, watch};

use super::context::ReadContext;
use super::detach::{TopicNames, detach};
use super::errors::{ReadFault, client_error, read_advice, read_fault};
use super::settings::Settings;
use crate::consumer::Event;
use crate::error::TransportError;
use crate::record::Offset;

/// How long a poll waits for something to happen. Ten wake-ups a second cost next to nothing; nothing that matters is
/// slower than this, because records and callbacks end the wait at once.
const POLL: Duration = Duration::from_millis(100);

/// How long a full queue is waited for before the partitions are paused: pausing throws away what was prefetched, so
/// a consumer that is a little slower than the broker should not cause it, nor a transaction that a busy broker takes its
/// time for: reading again after a pause begins half a second late. A revocation waits as long, too, to be heard.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long leaving the group may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// The consumer as librdkafka has it.
pub(crate) type Native = BaseConsumer<ReadContext>;

/// For each partition of a reader the offset after the last record that was read when its end was reached.
pub(crate) type EndsReached = watch::Sender<BTreeMap<i32, Option<Offset>>>;

/// What a poll thread serves.
pub(crate) struct Polling {
    native: Arc<Native>,
    names: TopicNames,
    // A reader's: where each partition has been read to, and whom to tell about its end.
    read_to: BTreeMap<i32, Offset>,
    ends: Option<EndsReached>,
}

/// Starts a poll thread; `begin` subscribes or assigns, on that thread, and its result is returned.
///
/// The client is created, polled and dropped on that thread. The receiver resolves when the thread has ended.
pub(crate) async fn start<T: Send + 'static>(
    settings: Settings,
    context: ReadContext,
    ends: Option<EndsReached>,
    begin: impl FnOnce(&Arc<Native>) -> Result<T, TransportError> + Send + 'static,
) -> Result<(T, oneshot::Receiver<()>), TransportError> {
    let (started, start_result) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let what = format!("cannot read (`{}`)", context.name());
    let fatal = |reason: String| TransportError::Fatal { what: what.clone(), reason };
    let error_what = what.clone();
    let run = move || {
        let queue = context.queue.clone();
        let _finish = Finish { queue, ended: Some(ended) };
        let native = settings.client_config().create_with_context::<_, Native>(context).map(Arc::new);
        let begun = native
            .map_err(|error| client_error(&error_what, &error))
            .and_then(|native| begin(&native).map(|begun| (native, begun)));
        let native = match begun {
            Ok((native, begun)) => {
                if started.send(Ok(begun)).is_err() {
                    // Whoever wanted it has given up meanwhile.
                    native.context().stop();
                }
                native
            }
            Err(error) => {
                drop(started.send(Err(error)));
                return;
            }
        };
        let polling = Polling { native, names: TopicNames::default(), read_to: BTreeMap::new(), ends };
        polling.run();
    };
    thread::Builder::new()
        .name("kafka poll".into())
        .spawn(run)
        .map_err(|error| fatal(format!("cannot start a thread: {error}")))?;
    let begun = start_result.await.map_err(|_| fatal("the poll thread ended unexpectedly".into()))??;
    Ok((begun, end))
}

// Tells everybody that the thread has ended, however it ended.
struct Finish {
    queue: Arc<super::queue::Queue>,
    ended: Option<oneshot::Sender<()>>,
}

impl Drop for Finish {
    fn drop(&mut self) {
        if thread::panicking() {
            self.queue.add_signal(Event::Error(TransportError::Fatal {
                what: "reading stopped".into(),
                reason: "the poll thread panicked; this is a bug".into(),
            }));
        }
        self.queue.finish();
        if let Some(ended) = self.ended.take() {
            // Nobody waits when the consumer was dropped rather than closed.
            ended.send(()).ok();
        }
    }
}

impl Polling {
    fn context(&self) -> &ReadContext {
        self.native.context()
    }

    fn run(mut self) {
        while !self.context().is_stopping() {
            self.carry_out_pauses();
            if self.context().is_paused() {
                self.poll_paused();
            } else if self.context().wants_nothing() {
                self.poll_idle();
            } else {
                self.poll_records();
            }
        }
        self.leave();
    }

    // Waits for something, then takes what there is without waiting, and wakes the consumer once for all of it.
    fn poll_records(&mut self) {
        let chunk = self.context().queue.chunk();
        if !self.poll_one(POLL) {
            return;
        }
        let mut taken = 1;
        while taken < chunk && !self.context().queue.is_full() && self.poll_one(Duration::ZERO) {
            taken += 1;
        }
        let queue = &self.context().queue;
        queue.wake_consumer();
        if queue.is_full() && !queue.wait_for_half(PATIENCE) {
            self.pause();
        }
    }

    // Serves callbacks and takes at most one record; whether there was one.
    fn poll_one(&mut self, timeout: Duration) -> bool {
        // A clone of the handle, so that the message's borrow does not hold `self`.
        let native = self.native.clone();
        match native.poll(timeout) {
            Some(Ok(message)) => {
                let received = detach(&message, &mut self.names);
                if self.ends.is_some() {
                    self.read_to.insert(message.partition(), received.position.offset.next());
                }
                self.context().queue.add_record(received);
                self.context().set_brokers_up(true);
                true
            }
            Some(Err(error)) => {
                self.report(&error);
                false
            }
            None => false,
        }
    }

    fn report(&self, error: &KafkaError) {
        if let KafkaError::PartitionEOF(partition) = error {
            self.end_reached(*partition);
            return;
        }
        let context = self.context();
        let reason = context.take_reason();
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let what = format!("reading as `{}`", context.name());
        let reason = match (reason.is_empty(), read_advice(code)) {
            (true, advice) => format!("{code}{advice}"),
            (false, advice) => format!("{reason}{advice}"),
        };
        let fault = match code {
            _ if fatal => ReadFault::Fatal,
            // librdkafka asks who coordinates the reader's group, which is never joined and needs no rights.
            RDKafkaErrorCode::GroupAuthorizationFailed if self.ends.is_some() => ReadFault::Passing,
            code => read_fault(code),
        };
        let event = match fault {
            ReadFault::Passing => {
                tracing::debug!(name = context.name(), ?code, reason, "reading met an error that passes");
                return;
            }
            ReadFault::AllBrokersDown => {
                // Reported with each attempt.
                if context.set_brokers_up(false) || !context.was_up() {
                    tracing::warn!(name = context.name(), reason, "no broker can be reached; trying again");
                }
                return;
            }
            ReadFault::Unavailable => TransportError::Unavailable { what, reason },
            // A broker that restarts may refuse users that it has not loaded yet.
            ReadFault::Refused if context.was_up() => TransportError::Unavailable { what, reason },
            ReadFault::LostMembership => TransportError::LostMembership { what, reason },
            ReadFault::Refused | ReadFault::Fatal => TransportError::Fatal { what, reason },
        };
        context.queue.add_signal(Event::Error(event));
    }

    fn end_reached(&self, partition: i32) {
        self.context().set_brokers_up(true);
        if let Some(ends) = &self.ends {
            let read_to = self.read_to.get(&partition).copied();
            ends.send_modify(|ends| {
                ends.insert(partition, read_to);
            });
        }
    }

    // Dropping the client would poll until the group has let it go, without a limit; so leave first, with one.
    fn leave(self) {
        let deadline = Instant::now() + LEAVE_LIMIT;
        let name = self.context().name().to_owned();
        if self.ends.is_some() {
            // A reader has assigned its partitions by itself; nobody has to agree.
            drop(self.native.unassign());
        } else {
            // Not by unsubscribing: a static member would leave its group then, and must not when it closes. A client
            // without partitions closes when it is dropped, and would complain of a second time.
            let has_partitions = self.native.assignment().is_ok_and(|assignment| assignment.count() > 0);
            if has_partitions {
                drop(self.native.close_queue());
            }
        }
        while Instant::now() < deadline {
            match self.native.assignment() {
                Ok(assignment) if assignment.count() > 0 => drop(self.native.poll(POLL)),
                _ => break,
            }
        }
        // A commit that is under way holds the client too; let it finish, so that the client is dropped here.
        let mut native = self.native;
        loop {
            match Arc::try_unwrap(native) {
                Ok(last) => {
                    drop(last);
                    break;
                }
                Err(shared) if Instant::now() < deadline => {
                    drop(shared.poll(Duration::from_millis(20)));
                    native = shared;
                }
                Err(_) => {
                    tracing::warn!(name, "a commit still runs; the client closes when it ends");
                    break;
                }
            }
        }
        tracing::debug!(name, "left the group");
    }
}
