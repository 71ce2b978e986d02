//! Commits, one after the other, on a thread of their own.
//!
//! librdkafka's commit blocks until the broker has answered. It needs no polling, so it works while the poll thread
//! waits in a revocation. A thread rather than `spawn_blocking`: commits must not overtake each other, and a runtime
//! that shuts down must not wait for one that hangs.

use std::future::Future;
use std::sync::{Weak, mpsc};
use std::thread;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset as NativeOffset, TopicPartitionList};
use tokio::sync::oneshot;

use super::errors::commit_error;
use super::poll_thread::Native;
use crate::error::TransportError;
use crate::progress::Progress;

type Answer = oneshot::Sender<Result<(), TransportError>>;

/// Hands progress to the commit thread, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Committer {
    requests: mpsc::Sender<(Progress, Answer)>,
}

impl Committer {
    /// The client is held only while a commit runs, so that the poll thread can drop it.
    pub(crate) fn start(native: Weak<Native>) -> Result<Self, TransportError> {
        let (requests, queue) = mpsc::channel::<(Progress, Answer)>();
        thread::Builder::new()
            .name("kafka commit".into())
            .spawn(move || {
                for (progress, answer) in queue {
                    // Nobody waits for the answer when the future was dropped.
                    drop(answer.send(commit(&native, &progress)));
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
    ) -> impl Future<Output = Result<(), TransportError>> + Send + 'static {
        let (answer, result) = oneshot::channel();
        let asked = if progress.is_empty() {
            drop(answer.send(Ok(())));
            Ok(())
        } else {
            self.requests.send((progress, answer))
        };
        async move {
            asked.map_err(|_| closed())?;
            result.await.map_err(|_| closed())?
        }
    }
}

fn commit(native: &Weak<Native>, progress: &Progress) -> Result<(), TransportError> {
    let native = native.upgrade().ok_or_else(closed)?;
    let mut list = TopicPartitionList::with_capacity(progress.len());
    for (partition, next) in progress.iter() {
        // Unlike `store_offset`, a commit writes the offset down as it is: the next one to read.
        list.add_partition_offset(&partition.topic, partition.index, NativeOffset::Offset(next.get()))
            .map_err(|error| TransportError::Fatal {
                what: format!("cannot commit offset {next} of {partition}"),
                reason: error.to_string(),
            })?;
    }
    match native.commit(&list, CommitMode::Sync) {
        Ok(()) => Ok(()),
        Err(error) => commit_error(&error).map_or(Ok(()), Err),
    }
}

fn closed() -> TransportError {
    TransportError::LostMembership { what: "cannot commit offsets".into(), reason: "the consumer is closed".into() }
}
