//! stubs
use std::collections::BTreeMap;
use std::future::Future;
use tokio::sync::watch;
use crate::*;
/// In memory.
#[derive(Debug, Clone)]
pub struct Memory {}
impl Memory {
    /// n
    pub fn new() -> Self { todo!() }
    /// A topic with that many partitions; nothing happens if it exists.
    pub fn create_topic(&self, _name: &str, _partitions: i32) { todo!() }
    /// All records of a topic, in order within each partition.
    pub fn records(&self, _topic: &str) -> Vec<Received> { todo!() }
    /// committed
    pub fn committed(&self, _group: &str) -> Progress { todo!() }
    /// Takes partitions from whoever of the group has them (as if another member had joined), resolves when let go.
    pub async fn revoke(&self, _group: &str, _partitions: &[Partition]) { todo!() }
}
/// c
#[derive(Debug)]
pub struct MemoryConsumer {}
/// p
#[derive(Debug, Clone)]
pub struct MemoryPublisher {}
/// r
#[derive(Debug)]
pub struct MemoryReader {}
impl Transport for Memory {
    type Consumer = MemoryConsumer; type Publisher = MemoryPublisher; type Reader = MemoryReader;
    async fn consumer(&self, _: &str, _: &[String], _: ConsumerOptions) -> Result<MemoryConsumer, TransportError> { todo!() }
    async fn publisher(&self) -> Result<MemoryPublisher, TransportError> { todo!() }
    async fn reader(&self, _: &str, _: ReadFrom) -> Result<MemoryReader, TransportError> { todo!() }
}
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Event> { todo!() }
    async fn next_signal(&mut self) -> Option<Event> { todo!() }
    fn commit(&self, _: Progress) -> impl Future<Output = Result<(), TransportError>> + Send + 'static { async { todo!() } }
    fn status(&self) -> watch::Receiver<Status> { todo!() }
    async fn close(self) { todo!() }
}
impl Publisher for MemoryPublisher {
    fn publish(&self, _: Vec<Record>) -> impl Future<Output = Result<(), PublishError>> + Send + 'static { async { todo!() } }
}
impl Reader for MemoryReader {
    async fn next(&mut self) -> Result<Option<Received>, TransportError> { todo!() }
    fn caught_up(&self) -> bool { todo!() }
    fn end(&self) -> &BTreeMap<i32, Offset> { todo!() }
}
