//! The in-memory transport with readers that are slow to open, or break.

use std::sync::atomic::{AtomicUsize, Ordering};

use transport::memory::{MemoryConsumer, MemoryPublisher, MemoryReader, MemoryTransactions};
use transport::{ConsumerOptions, Memory};

use super::*;

#[derive(Clone)]
pub(super) struct Flawed {
    pub(super) memory: Memory,
    /// How long a reader takes to open.
    pub(super) opens_in: Duration,
    /// How many records a reader reads before it breaks.
    pub(super) breaks_after: usize,
    /// Records that were read, by all readers.
    pub(super) read: Arc<AtomicUsize>,
}

impl Flawed {
    pub(super) fn new(memory: Memory) -> Self {
        Self { memory, opens_in: Duration::ZERO, breaks_after: usize::MAX, read: Arc::default() }
    }
}

pub(super) struct FlawedReader {
    reader: MemoryReader,
    left: usize,
    read: Arc<AtomicUsize>,
}

impl Reader for FlawedReader {
    async fn next(&mut self) -> Result<Option<Received>, TransportError> {
        if self.left == 0 {
            return Err(TransportError::Fatal { what: "reading".into(), reason: "told to break".into() });
        }
        let next = self.reader.next().await;
        if let Ok(Some(_)) = next {
            self.left -= 1;
            self.read.fetch_add(1, Ordering::Relaxed);
        }
        next
    }

    fn caught_up(&self) -> bool {
        self.reader.caught_up()
    }

    fn end(&self) -> &BTreeMap<i32, Offset> {
        self.reader.end()
    }
}

impl Transport for Flawed {
    type Consumer = MemoryConsumer;
    type Publisher = MemoryPublisher;
    type Transactions = MemoryTransactions;
    type Reader = FlawedReader;

    async fn consumer(
        &self,
        group: &str,
        topics: &[String],
        options: ConsumerOptions,
    ) -> Result<MemoryConsumer, TransportError> {
        self.memory.consumer(group, topics, options).await
    }

    async fn publisher(&self) -> Result<MemoryPublisher, TransportError> {
        self.memory.publisher().await
    }

    async fn transactions(&self, transactional_id: &str) -> Result<MemoryTransactions, TransportError> {
        self.memory.transactions(transactional_id).await
    }

    async fn max_record_bytes(&self, topics: &[String]) -> Result<BTreeMap<String, usize>, TransportError> {
        self.memory.max_record_bytes(topics).await
    }

    fn with_batches_up_to(&self, _: usize) -> Self {
        self.clone()
    }

    fn at_leisure(&self) -> Self {
        self.clone()
    }

    async fn reader(&self, topic: &str, from: ReadFrom) -> Result<FlawedReader, TransportError> {
        tokio::time::sleep(self.opens_in).await;
        let reader = self.memory.reader(topic, from).await?;
        Ok(FlawedReader { reader, left: self.breaks_after, read: self.read.clone() })
    }
}
