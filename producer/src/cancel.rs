//! Jobs withdrawn: one record for an id or a batch.

use bytes::Bytes;
use schemas::{Cancellation, Timestamp};
use transport::{Header, Publisher, Record, Transport};

use crate::client::Client;
use crate::envelope::Envelope;
use crate::error::CancelError;

impl<T: Transport> Client<T> {
    /// Asks for a job, or all jobs of a batch, not to be run; returns once every in-sync replica has the request.
    ///
    /// A worker that is about to begin the job then ends it as a failure with the code `cancelled`, on the results like any
    /// other. What is running, or has ended, is not affected, so look at what comes: a request is no proof. An id that nobody
    /// submitted is no error.
    ///
    /// ```
    /// # use producer::{Client, ClientOptions, Submission};
    /// use schemas::Cancellation;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let transport = transport::Memory::new();
    /// # transport.create_topic("millstream.digits.preprocess", 2);
    /// # transport.create_topic("millstream.digits.cancellations", 1);
    /// let client = Client::new(transport, ClientOptions::new("digits"));
    /// let id = client.submit(Submission::raw("text/plain", "seven").with_batch("monday")).await?;
    /// client.cancel(Cancellation::Job(id)).await?;
    /// client.cancel(Cancellation::Batch("monday".to_owned())).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CancelError`], which says what was to be withdrawn and whether to try again. Asking twice does no harm.
    pub async fn cancel(&self, cancellation: Cancellation) -> Result<(), CancelError> {
        let record = self.envelope().cancellation(&self.options().topics.cancellations, &cancellation);
        match self.send(record).await {
            Ok(()) => Ok(()),
            Err((is_retryable, reason)) => Err(CancelError { cancellation, is_retryable, reason }),
        }
    }

    /// Publishes one record; an error says whether to try again, and why it failed.
    async fn send(&self, record: Record) -> Result<(), (bool, String)> {
        let publisher = self.publisher().await.map_err(|error| (error.is_retryable(), error.to_string()))?;
        let published = publisher.publish(vec![record]).await;
        published.map_err(|error| (error.is_retryable(), error.failures()[0].reason.clone()))
    }
}

impl Envelope {
    /// The record of a cancellation: headers alone, under the key of what is withdrawn.
    fn cancellation(&self, topic: &str, cancellation: &Cancellation) -> Record {
        let key = match cancellation {
            Cancellation::Job(id) => Bytes::copy_from_slice(id.as_str().as_bytes()),
            Cancellation::Batch(batch) => Bytes::copy_from_slice(batch.as_bytes()),
        };
        let headers = cancellation.write(self.source(), &Timestamp::now());
        let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
        Record { topic: topic.into(), key: Some(key), value: None, headers }
    }
}

#[cfg(test)]
mod tests;
