//! Asks what a group has committed.
//!
//! The answer may take as long as a transaction: while one is being ended, what is committed is not settled. So it is
//! asked for on a thread of its own, which commits do not wait for.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset as NativeOffset, TopicPartitionList};
use tokio::sync::oneshot;

use super::poll_thread::Native;
use crate::consumer::Committed;
use crate::error::TransportError;
use crate::record::{Offset, Partition};

/// How long the answer may take: longer than a transaction that nobody ends.
const LIMIT: Duration = Duration::from_secs(30);

/// How long one attempt may take. The client cannot be closed meanwhile.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Why an attempt came to nothing.
enum Fault {
    Again(String),
    Fatal(String),
}

/// What the consumer's group has committed for these partitions, in the same order.
pub(crate) fn committed(
    native: Weak<Native>,
    partitions: &[Partition],
) -> impl Future<Output = Result<Vec<Committed>, TransportError>> + Send + 'static {
    let (answer, result) = oneshot::channel();
    let partitions = partitions.to_vec();
    let started = thread::Builder::new()
        .name("kafka committed".into())
        // Nobody waits for the answer when the future was dropped.
        .spawn(move || drop(answer.send(ask(&native, &partitions))));
    async move {
        started.map_err(|error| fatal(format!("cannot start a thread: {error}")))?;
        result.await.map_err(|_| fatal("the thread that asks ended unexpectedly".into()))?
    }
}

fn ask(native: &Weak<Native>, partitions: &[Partition]) -> Result<Vec<Committed>, TransportError> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let attempted = {
            let native = native.upgrade().filter(|native| !native.context().is_stopping());
            let native = native.ok_or_else(|| TransportError::LostMembership {
                what: what(),
                reason: "the consumer is closed".into(),
            })?;
            attempt(&native, partitions)
        };
        match attempted {
            Ok(committed) => return Ok(committed),
            Err(Fault::Fatal(reason)) => return Err(fatal(reason)),
            Err(Fault::Again(reason)) if Instant::now() >= deadline => {
                let reason = format!("{reason} (for {} s)", LIMIT.as_secs());
                return Err(TransportError::Unavailable { what: what(), reason });
            }
            Err(Fault::Again(reason)) => {
                tracing::debug!(reason, "asking again what is committed");
                thread::park_timeout(PAUSE);
            }
        }
    }
}

fn attempt(native: &Native, partitions: &[Partition]) -> Result<Vec<Committed>, Fault> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.index);
    }
    let list = native.committed_offsets(list, ATTEMPT).map_err(|error| fault(&error))?;
    partitions
        .iter()
        .map(|partition| {
            let missing = || Fault::Again(format!("the brokers do not tell it of {partition}"));
            let element = list.find_partition(&partition.topic, partition.index).ok_or_else(missing)?;
            // A partition with an error looks as if nothing were committed.
            element.error().map_err(|error| fault(&error))?;
            let next = match element.offset() {
                NativeOffset::Offset(next) => Some(Offset::new(next)),
                _ => None,
            };
            let (_, end) = native
                .fetch_watermarks(&partition.topic, partition.index, ATTEMPT)
                .map_err(|error| fault(&error))?;
            let note = next.map(|_| note(&element)).unwrap_or_default();
            Ok(Committed { partition: partition.clone(), next, note, end: Offset::new(end) })
        })
        .collect()
}

// rdkafka panics on text that is not UTF-8, and anybody may have committed it.
fn note(element: &TopicPartitionListElem<'_>) -> String {
    catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned())).unwrap_or_default()
}

fn fault(error: &KafkaError) -> Fault {
    let Some(code) = error.rdkafka_error_code() else {
        return Fault::Again(error.to_string());
    };
    match code {
        Code::GroupAuthorizationFailed => {
            Fault::Fatal(format!("{code}; the user needs the right Read on the group"))
        }
        Code::TopicAuthorizationFailed => {
            Fault::Fatal(format!("{code}; the user needs the rights Read and Describe on the topic"))
        }
        code => Fault::Again(code.to_string()),
    }
}

fn what() -> String {
    "cannot ask what the group has committed".into()
}

fn fatal(reason: String) -> TransportError {
    TransportError::Fatal { what: what(), reason }
}
