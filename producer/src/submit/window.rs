//! A stream of jobs goes through a window: so many records and bytes are on their way at once, and no more is taken from
//! the source before some are acknowledged.

use std::collections::VecDeque;
use std::pin::Pin;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, Fuse, FuturesOrdered, Stream, StreamExt};
use schemas::JobId;
use transport::Transport;

use crate::client::{Client, Window};
use crate::error::SubmitError;
use crate::submission::Submission;

use super::{Chunk, publish};

pub(super) struct SlidingWindow<T: Transport, S> {
    client: Client<T>,
    source: Pin<Box<Fuse<S>>>,
    exhausted: bool,
    /// Chunks on their way, oldest first. They were handed to the publisher in this order, and are settled in it.
    on_the_way: FuturesOrdered<BoxFuture<'static, Settled>>,
    records: usize,
    bytes: usize,
    /// Outcomes that wait to be yielded.
    outcomes: VecDeque<Result<JobId, SubmitError>>,
}

/// A chunk that no longer takes up room.
struct Settled {
    outcomes: Vec<Result<JobId, SubmitError>>,
    records: usize,
    bytes: usize,
}

impl<T: Transport, S: Stream<Item = Submission> + Send + 'static> SlidingWindow<T, S> {
    pub(super) fn new(client: Client<T>, source: S) -> Self {
        Self {
            client,
            source: Box::pin(source.fuse()),
            exhausted: false,
            on_the_way: FuturesOrdered::new(),
            records: 0,
            bytes: 0,
            outcomes: VecDeque::new(),
        }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<JobId, SubmitError>> + Send {
        stream::unfold(self, async |mut window| window.next().await.map(|outcome| (outcome, window)))
    }

    async fn next(&mut self) -> Option<Result<JobId, SubmitError>> {
        loop {
            if let Some(outcome) = self.outcomes.pop_front() {
                return Some(outcome);
            }
            let wants_more = !self.exhausted && self.has_room(&Chunk::default());
            if !wants_more && self.on_the_way.is_empty() {
                return None;
            }
            tokio::select! {
                // What is settled makes room, so it comes first.
                biased;
                Some(settled) = self.on_the_way.next(), if !self.on_the_way.is_empty() => self.settle(settled),
                submission = self.source.next(), if wants_more => match submission {
                    Some(first) => self.send_chunk(first).await,
                    None => self.exhausted = true,
                },
            }
        }
    }

    /// Publishes this job together with those that are ready at this moment.
    async fn send_chunk(&mut self, first: Submission) {
        let mut chunk = Chunk::default();
        chunk.push(&self.client, first);
        while chunk.jobs.len() < self.limits().max_chunk && self.has_room(&chunk) {
            match self.source.next().now_or_never() {
                Some(Some(submission)) => chunk.push(&self.client, submission),
                Some(None) => {
                    self.exhausted = true;
                    break;
                }
                None => break,
            }
        }
        let (records, bytes) = (chunk.jobs.len(), chunk.bytes);
        self.records += records;
        self.bytes += bytes;
        let published = publish(self.client.publisher().await, chunk);
        let settled = published.map(move |outcomes| Settled { outcomes, records, bytes });
        self.on_the_way.push_back(settled.boxed());
    }

    fn settle(&mut self, settled: Settled) {
        self.records -= settled.records;
        self.bytes -= settled.bytes;
        self.outcomes.extend(settled.outcomes);
    }

    /// Whether one more job may be taken besides those on their way and those of this chunk.
    fn has_room(&self, chunk: &Chunk) -> bool {
        let Window { max_records, max_bytes, .. } = self.limits();
        let (records, bytes) = (self.records + chunk.jobs.len(), self.bytes + chunk.bytes);
        // A window of nothing would never let anything through.
        records == 0 || (records < max_records && bytes < max_bytes)
    }

    fn limits(&self) -> Window {
        self.client.options().window
    }
}
