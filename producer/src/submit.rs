//! Jobs out: one, or a stream with bounded memory.

mod window;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{BoxStream, Stream, StreamExt};
use schemas::JobId;
use transport::{FailedRecord, PublishErrorKind, Publisher, Record, Transport, TransportError};

use crate::client::Client;
use crate::error::{Rejection, SubmitError};
use crate::submission::Submission;

use self::window::SlidingWindow;

impl<T: Transport> Client<T> {
    /// Submits one job; gives its id once every in-sync replica has it.
    ///
    /// Jobs that are submitted one after the other keep their order if they have the same key. Dropping the future does
    /// not take the job back.
    ///
    /// ```
    /// # use producer::{Client, ClientOptions, Submission};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let transport = transport::Memory::new();
    /// # transport.create_topic("millstream.digits.preprocess", 2);
    /// let client = Client::new(transport, ClientOptions::new("digits"));
    /// let id = client.submit(Submission::raw("text/plain", "seven")).await?;
    /// println!("submitted as {id}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SubmitError`], which names the job and says whether to try again.
    pub async fn submit(&self, submission: impl Into<Submission>) -> Result<JobId, SubmitError> {
        let mut chunk = Chunk::default();
        chunk.push(self, submission.into());
        let mut outcomes = publish(self.publisher().await, chunk).await;
        outcomes.pop().expect("a chunk of one job has one outcome")
    }

    /// Submits every job of a stream, and yields what became of each of them in the same order.
    ///
    /// It takes from `submissions` only while there is room in the [`Window`](crate::Window), and only while it is polled
    /// itself. A job that fails does not hold up the others; whoever needs each job to follow the one before it stops at
    /// the first error. Dropping the stream does not take back what was handed to the publisher.
    ///
    /// ```
    /// # use producer::{Client, ClientOptions, Submission};
    /// use futures_util::{StreamExt, stream};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let transport = transport::Memory::new();
    /// # transport.create_topic("millstream.digits.preprocess", 2);
    /// let client = Client::new(transport, ClientOptions::new("digits"));
    /// let lines = stream::iter(["seven", "eight", "nine"]);
    /// let mut submitted = client.submit_all(lines.map(|line| Submission::raw("text/plain", line)));
    /// while let Some(submitted) = submitted.next().await {
    ///     println!("submitted as {}", submitted?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit_all<S>(&self, submissions: S) -> BoxStream<'static, Result<JobId, SubmitError>>
    where
        S: Stream<Item = Submission> + Send + 'static,
    {
        SlidingWindow::new(self.clone(), submissions).into_stream().boxed()
    }
}

/// Jobs that are published together, and acknowledged with one wake-up.
#[derive(Default)]
struct Chunk {
    /// Every job of the chunk; those that are not refused have the next record each.
    jobs: Vec<Result<JobId, SubmitError>>,
    records: Vec<Record>,
    /// Bytes of the records.
    bytes: usize,
}

impl Chunk {
    fn push<T: Transport>(&mut self, client: &Client<T>, submission: Submission) {
        let id = submission.id.clone().unwrap_or_else(JobId::random);
        match client.envelope().record(&id, submission) {
            Ok(record) => {
                self.bytes += record.size();
                self.records.push(record);
                self.jobs.push(Ok(id));
            }
            Err(reason) => self.jobs.push(Err(SubmitError::Rejected { id, reason })),
        }
    }
}

/// Hands a chunk to the publisher, in order, before this returns; the future then gives what became of each job.
fn publish<P: Publisher>(
    publisher: Result<&P, TransportError>,
    chunk: Chunk,
) -> BoxFuture<'static, Vec<Result<JobId, SubmitError>>> {
    let Chunk { jobs, records, .. } = chunk;
    let published = publisher.map(|publisher| publisher.publish(records).boxed());
    let settled = async move {
        let failures = match published {
            Ok(published) => match published.await {
                Ok(()) => return jobs,
                Err(error) => error.failures().to_vec(),
            },
            Err(error) => return jobs.into_iter().map(|job| Err(unpublished(job?, &error))).collect(),
        };
        settle(jobs, failures)
    };
    settled.boxed()
}

/// Gives each failure to the job of its record.
fn settle(
    jobs: Vec<Result<JobId, SubmitError>>,
    failures: Vec<FailedRecord>,
) -> Vec<Result<JobId, SubmitError>> {
    let mut failures = failures.into_iter().peekable();
    let mut index = 0;
    let settled = jobs.into_iter().map(|job| {
        let id = job?;
        let failure = failures.next_if(|failure| failure.index == index);
        index += 1;
        match failure {
            Some(failure) => Err(unacknowledged(id, failure)),
            None => Ok(id),
        }
    });
    settled.collect()
}

fn unacknowledged(id: JobId, failure: FailedRecord) -> SubmitError {
    let FailedRecord { kind, reason, .. } = failure;
    match kind {
        PublishErrorKind::TooLarge => SubmitError::Rejected { id, reason: Rejection::Refused(reason) },
        PublishErrorKind::Retryable => SubmitError::Unacknowledged { id, reason },
        PublishErrorKind::Fatal => SubmitError::Broken { id, reason },
    }
}

/// There is no publisher.
fn unpublished(id: JobId, error: &TransportError) -> SubmitError {
    let reason = error.to_string();
    if error.is_retryable() {
        SubmitError::Unacknowledged { id, reason }
    } else {
        SubmitError::Broken { id, reason }
    }
}

#[cfg(test)]
mod tests;
