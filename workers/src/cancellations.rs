//! What is withdrawn: follows the pipeline's topic of cancellations, and is asked about each job before it is started.
//!
//! The topic is read from the beginning, so a worker that starts knows what was withdrawn before. Cancelling is a help and
//! no part of what a worker promises: a topic that is missing or cannot be read is said and tried again, and the worker
//! runs on. Memory is bounded: the newest withdrawals are kept, and the oldest forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::{Cancellation, JobId};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use transport::{Offset, ReadFrom, Reader, Received, Transport, TransportError};

use self::withdrawn::Withdrawn;

mod withdrawn;

/// Withdrawals that are remembered.
const KEPT: usize = 100_000;
/// How long a start waits for what was withdrawn before.
const LONGEST_START: Duration = Duration::from_secs(10);
/// Between tries to open the topic; doubled until it is the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is withdrawn, as far as it has been read; clones share it, and the last one ends the reading.
#[derive(Debug, Clone)]
pub(crate) struct Cancellations {
    withdrawn: Arc<Withdrawn>,
    _reading: Arc<AbortOnDropHandle<()>>,
}

impl Cancellations {
    /// Follows `topic` from its beginning. Returns when everything that is in it has been read; with a warning and without
    /// what is missing when that takes too long, or when the topic cannot be read.
    pub(crate) async fn start<T: Transport>(transport: &T, topic: &str) -> Self {
        let withdrawn = Arc::new(Withdrawn::new(KEPT));
        let (starting, started) = oneshot::channel();
        let following = Following {
            topic: topic.to_owned(),
            next: BTreeMap::new(),
            pause: None,
            withdrawn: Arc::clone(&withdrawn),
            starting: Some(starting),
            forgets: false,
        };
        let reading = AbortOnDropHandle::new(tokio::spawn(following.run(transport.clone())));
        if tokio::time::timeout(LONGEST_START, started).await.is_err() {
            tracing::warn!(
                topic, known = withdrawn.len(), limit = ?LONGEST_START,
                "the cancellations are not all read yet; jobs that were withdrawn may be run until they are"
            );
        }
        Self { withdrawn, _reading: Arc::new(reading) }
    }

    /// Whether a job is withdrawn, by itself or with its batch.
    pub(crate) fn is_cancelled(&self, id: &JobId, batch: Option<&str>) -> bool {
        self.withdrawn.holds(id, batch)
    }
}

/// The task that reads.
struct Following {
    topic: String,
    // Where each partition goes on after the reader was lost.
    next: BTreeMap<i32, Offset>,
    withdrawn: Arc<Withdrawn>,
    // The last pause, since reading failed; `None` while it works.
    pause: Option<Duration>,
    // Dropped when everything is read that was there, or nothing can be: the start waits for that.
    starting: Option<oneshot::Sender<()>>,
    // Whether it has been said that withdrawals are forgotten.
    forgets: bool,
}

impl Following {
    async fn run<T: Transport>(mut self, transport: T) {
        loop {
            let error = match transport.reader(&self.topic, ReadFrom::Offsets(self.next.clone())).await {
                Ok(reader) => self.read(reader).await,
                Err(error) => error,
            };
            let pause = self.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
            tracing::warn!(
                topic = self.topic, %error, again_in = ?pause,
                "cancellations cannot be read, so withdrawn jobs are run; if the topic is missing, create it with \
                 `millstream topics apply`"
            );
            self.pause = Some(pause);
            self.end_start();
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads until that is no longer possible.
    async fn read(&mut self, mut reader: impl Reader) -> TransportError {
        loop {
            let next = match reader.next().await {
                Ok(next) => next,
                Err(error) => return error,
            };
            if self.pause.take().is_some() {
                tracing::info!(topic = self.topic, "cancellations are read again");
            }
            match next {
                Some(received) => self.take(&received),
                None => self.end_start(),
            }
        }
    }

    fn take(&mut self, received: &Received) {
        let position = &received.position;
        self.next.insert(position.partition.index, position.offset.next());
        let headers = &received.record.headers;
        match Cancellation::read(headers.iter().map(|header| (&*header.name, header.value.as_deref()))) {
            Ok(cancellation) => {
                if self.withdrawn.add(cancellation) && !self.forgets {
                    self.forgets = true;
                    tracing::warn!(
                        topic = self.topic,
                        kept = KEPT,
                        "there are more withdrawals than are remembered; jobs of the oldest are run if they still wait (withdraw \
                         batches rather than single jobs)"
                    );
                }
            }
            Err(fault) => tracing::warn!(%position, %fault, "no cancellation: the record is passed over"),
        }
    }

    fn end_start(&mut self) {
        self.starting = None;
    }
}

#[cfg(test)]
mod tests;
