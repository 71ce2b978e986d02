//! Outcomes in: a pipeline's results, read from any place and followed as they come, each once.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::stream::{self, BoxStream, StreamExt};
use transport::{Offset, ReadFrom, Reader, Transport, TransportError};

use crate::client::Client;
use crate::error::ResultError;
use crate::outcome::{JobOutcome, OutcomeReader, ResultFilter};
use crate::repeats::Repeats;

impl<T: Transport> Client<T> {
    /// Opens the results of the pipeline. Once this returns, no result that is published later is missed.
    ///
    /// ```
    /// # use producer::{Client, ClientOptions, ReadFrom, ResultFilter};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let transport = transport::Memory::new();
    /// # transport.create_topic("millstream.digits.results", 2);
    /// let client = Client::new(transport, ClientOptions::new("digits"));
    /// let mut monday = client.results(ReadFrom::Beginning, ResultFilter::of_batch("monday")).await?;
    /// while let Some(outcome) = monday.next_existing().await {
    ///     let outcome = outcome?;
    ///     println!("{} lies at {}", outcome.id, outcome.position);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the topic cannot be read.
    pub async fn results(
        &self,
        from: ReadFrom,
        filter: ResultFilter,
    ) -> Result<Results<T::Reader>, TransportError> {
        let options = self.options();
        let reader = self.transport().reader(&options.topics.results, from).await?;
        let outcomes =
            OutcomeReader { pipeline: options.pipeline.clone(), filter, limits: options.limits.of_hops() };
        Ok(Results { reader, outcomes, repeats: Repeats::new(options.remembered_outcomes), is_broken: false })
    }
}

/// The results of a pipeline, in order within each partition of their topic.
///
/// Where delivery is at least once, a crash can make a worker answer a job twice. The second answer is the first one
/// again, apart from the times in it, and is dropped: an outcome is given once for each job id, kind (result or failure)
/// and replay. So a job that failed, was replayed from the dead letters and then had a result is seen with both; a job
/// that was submitted twice under one id is one job. How many outcomes are remembered for that is
/// [`ClientOptions::remembered_outcomes`](crate::ClientOptions::remembered_outcomes).
///
/// A record that cannot be decoded, or a broker that is away, is an error among the outcomes; the next call reads on.
/// After an error that will not heal ([`ResultError::is_passing`]) there is nothing more.
pub struct Results<R> {
    reader: R,
    outcomes: OutcomeReader,
    repeats: Repeats,
    is_broken: bool,
}

impl<R: Reader> Results<R> {
    /// The same results with every repeat that lies in the topic.
    #[must_use]
    pub fn with_repeats(self) -> Self {
        Self { repeats: Repeats::new(0), ..self }
    }

    /// How many outcomes were dropped so far because they had been given before.
    pub fn repeats_dropped(&self) -> u64 {
        self.repeats.dropped()
    }

    /// The next outcome; waits for one when there is none yet. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<JobOutcome, ResultError>> {
        loop {
            match self.next_or_repeat().await? {
                Ok(outcome) if self.repeats.drops(&outcome) => {}
                outcome => return Some(outcome),
            }
        }
    }

    /// As [`next`](Self::next), for whoever knows by itself what it has seen.
    pub(crate) async fn next_or_repeat(&mut self) -> Option<Result<JobOutcome, ResultError>> {
        while !self.is_broken {
            match self.read().await {
                Ok(None) => {}
                outcome => return outcome.transpose(),
            }
        }
        None
    }

    /// Remembers an outcome that was given past [`next`](Self::next).
    pub(crate) fn given(&mut self, outcome: &JobOutcome) {
        self.repeats.remember(outcome);
    }

    /// The next of the outcomes that were there when the results were opened; `None` after the last of them. Cancel safe.
    pub async fn next_existing(&mut self) -> Option<Result<JobOutcome, ResultError>> {
        while !self.is_broken && !self.reader.caught_up() {
            match self.read().await.transpose()? {
                Ok(outcome) if self.repeats.drops(&outcome) => {}
                outcome => return Some(outcome),
            }
        }
        None
    }

    /// For each partition, by number, the end of the results as it was when they were opened: where a later reading can
    /// go on with [`ReadFrom::Offsets`].
    pub fn end(&self) -> &BTreeMap<i32, Offset> {
        self.reader.end()
    }

    /// The outcomes as [`next`](Self::next) gives them, as a stream.
    pub fn follow(self) -> BoxStream<'static, Result<JobOutcome, ResultError>>
    where
        R: 'static,
    {
        let step = async |mut results: Self| results.next().await.map(|outcome| (outcome, results));
        stream::unfold(self, step).boxed()
    }

    /// `None` when everything that was there at the opening has been returned.
    async fn read(&mut self) -> Result<Option<JobOutcome>, ResultError> {
        loop {
            let received = match self.reader.next().await {
                Ok(Some(received)) => received,
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.is_broken = !error.is_retryable();
                    return Err(error.into());
                }
            };
            if let Some(outcome) = self.outcomes.read(received) {
                return outcome.map(Some).map_err(|undecodable| Box::new(undecodable).into());
            }
        }
    }
}

impl<R> fmt::Debug for Results<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("outcomes", &self.outcomes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
