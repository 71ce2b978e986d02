//! A client of one pipeline.

use std::fmt;
use std::sync::Arc;

use schemas::{Limits, TopicNames};
use tokio::sync::OnceCell;
use transport::{Transport, TransportError};

use crate::envelope::Envelope;

/// Submits jobs to one pipeline and reads its results. Clones share one connection.
///
/// It connects when it is first used: one that only reads results never opens a publisher.
pub struct Client<T: Transport> {
    shared: Arc<Shared<T>>,
}

struct Shared<T: Transport> {
    transport: T,
    options: ClientOptions,
    envelope: Envelope,
    publisher: OnceCell<T::Publisher>,
}

/// What a client speaks to, and how much it holds.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The pipeline: `ce_subject` of every job, and of the results that are read.
    pub pipeline: String,
    /// Its topics.
    pub topics: TopicNames,
    /// How this program calls itself: `ce_source` is `/millstream/producer/<name>`.
    pub name: String,
    /// What a record may not exceed, in both directions.
    pub limits: Limits,
    /// What [`Client::submit_all`] holds.
    pub window: Window,
    /// How many outcomes [`Client::results`] remembers, so as to give each once: at least so many of the last ones, and at
    /// most twice as many, with about 20 bytes for each. 0 gives every repeat.
    pub remembered_outcomes: usize,
}

impl ClientOptions {
    /// What [`Client::results`] remembers by default. Twice as many are just what two tables of 2^19 places hold: 18 MB.
    pub const REMEMBERED_OUTCOMES: usize = 450_000;

    /// The default topics, limits, window and memory for a pipeline; the program's own name is `client`.
    pub fn new(pipeline: impl Into<String>) -> Self {
        let pipeline = pipeline.into();
        Self {
            topics: TopicNames::new(TopicNames::DEFAULT_PREFIX, &pipeline),
            pipeline,
            name: "client".to_owned(),
            limits: Limits::default(),
            window: Window::default(),
            remembered_outcomes: Self::REMEMBERED_OUTCOMES,
        }
    }
}

/// How much may be on its way and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Records at most; at least one is always let through.
    pub max_records: usize,
    /// Bytes of records: below it one more is taken, so it is passed by one record at most.
    pub max_bytes: usize,
    /// Records that are handed to the publisher together at most: each such chunk costs one wake-up.
    pub max_chunk: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { max_records: 4_096, max_bytes: 32 * 1024 * 1024, max_chunk: 256 }
    }
}

impl<T: Transport> Client<T> {
    /// A client; connects to nothing yet.
    pub fn new(transport: T, options: ClientOptions) -> Self {
        let envelope = Envelope::new(&options);
        Self { shared: Arc::new(Shared { transport, options, envelope, publisher: OnceCell::new() }) }
    }

    /// What it speaks to.
    pub fn options(&self) -> &ClientOptions {
        &self.shared.options
    }

    pub(crate) fn transport(&self) -> &T {
        &self.shared.transport
    }

    pub(crate) fn envelope(&self) -> &Envelope {
        &self.shared.envelope
    }

    /// The one publisher of all clones, opened when it is first asked for.
    pub(crate) async fn publisher(&self) -> Result<&T::Publisher, TransportError> {
        self.shared.publisher.get_or_try_init(|| self.shared.transport.publisher()).await
    }
}

impl<T: Transport> Clone for Client<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Transport> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
