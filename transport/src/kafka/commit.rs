//! Commits, one after the other, on a thread of their own.
//!
//! librdkafka's commit blocks until the broker has answered. It needs no polling, so it works while the poll thread
//! waits in a revocation. A thread rather than `spawn_blocking`: commits must not overtake each other, and a runtime
//! that shuts down must not wait for one that hangs.

use std::future::Future;
use std::sync::{Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset as NativeOffset, TopicPartitionList};
use tokio::sync::oneshot;

use super::context::ReadContext;
use super::errors::commit_error;
use super::poll_thread::Native;
use crate::error::{TransportError, list_partitions};
use crate::progress::Progress;
use crate::record::Partition;

/// How long a commit is repeated that comes in the middle of a rebalance.
const REBALANCE_LIMIT: Duration = Duration::from_secs(5);

/// Between two attempts.
const REBALANCE_PAUSE: Duration = Duration::from_millis(50);

/// A commit that waits for its turn.
#[derive(Debug)]
struct Request {
    progress: Progress,
    note: String,
    answer: oneshot::Sender<Result<(), TransportError>>,
}

/// Hands progress to the commit thread, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Committer {
    requests: mpsc::Sender<Request>,
}

impl Committer {
    /// The client is held only while a commit runs, so that the poll thread can drop it.
    pub(crate) fn start(native: Weak<Native>) -> Result<Self, TransportError> {
        let (requests, queue) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("kafka commit".into())
            .spawn(move || {
                for Request { progress, note, answer } in queue {
                    // Nobody waits for the answer when the future was dropped.
                    drop(answer.send(commit(&native, &progress, &note)));
                }
            })
            .map_err(|error| TransportError::Fatal {
                what: "cannot commit".into(),
                reason: format!("cannot start a thread: {error}"),
            })?;
        Ok(Self { requests })
    }

    pub(crate) fn commit(
        &self,
        progress: Progress,
        note: &str,
    ) -> impl Future<Output = Result<(), TransportError>> + Send + 'static {
        let (answer, result) = oneshot::channel();
        let asked = if progress.is_empty() {
            drop(answer.send(Ok(())));
            Ok(())
        } else {
            self.requests.send(Request { progress, note: note.into(), answer })
        };
        async move {
            asked.map_err(|_| closed())?;
            result.await.map_err(|_| closed())?
        }
    }
}

/// Progress as librdkafka wants it, with the note beside each offset.
pub(crate) fn offsets(progress: &Progress, note: &str) -> Result<TopicPartitionList, TransportError> {
    let mut list = TopicPartitionList::with_capacity(progress.len());
    for (partition, next) in progress.iter() {
        let mut element = list.add_partition(&partition.topic, partition.index);
        // Unlike `store_offset`, a commit writes the offset down as it is: the next one to read.
        element.set_offset(NativeOffset::Offset(next.get())).map_err(|error| TransportError::Fatal {
            what: format!("cannot commit offset {next} of {partition}"),
            reason: error.to_string(),
        })?;
        if !note.is_empty() {
            element.set_metadata(note);
        }
    }
    Ok(list)
}

fn commit(native: &Weak<Native>, progress: &Progress, note: &str) -> Result<(), TransportError> {
    let native = native.upgrade().ok_or_else(closed)?;
    let list = offsets(progress, note)?;
    let deadline = Instant::now() + REBALANCE_LIMIT;
    loop {
        check_held(native.context(), progress)?;
        let Err(error) = native.commit(&list, CommitMode::Sync) else {
            return Ok(());
        };
        let passes = error.rdkafka_error_code().is_some_and(is_rebalancing) && Instant::now() < deadline;
        if !passes || native.context().is_stopping() {
            return commit_error(&error).map_or(Ok(()), Err);
        }
        tracing::debug!(group = native.context().name(), %error, "committing again: the group is rebalancing");
        thread::park_timeout(REBALANCE_PAUSE);
    }
}

// The group moves on to its next generation a moment before its members hear of it. Partitions that stay are ours all
// the same, so the commit is right, only too early.
fn is_rebalancing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::RebalanceInProgress
            | RDKafkaErrorCode::StaleMemberEpoch
    )
}

// The brokers check who commits, but not what: a late commit would set the next owner back.
fn check_held(context: &ReadContext, progress: &Progress) -> Result<(), TransportError> {
    let foreign: Vec<Partition> = context.not_held(progress.iter().map(|(partition, _)| partition));
    if foreign.is_empty() {
        return Ok(());
    }
    Err(TransportError::LostMembership {
        what: "cannot commit offsets".into(),
        reason: format!("{} belong to another member", list_partitions(&foreign)),
    })
}

fn closed() -> TransportError {
    TransportError::LostMembership {
        what: "cannot commit offsets".into(),
        reason: "the consumer is closed".into(),
    }
}
