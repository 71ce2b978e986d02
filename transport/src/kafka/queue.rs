//! What the poll thread has read and the consumer has not yet taken: bounded, and signals overtake records.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::consumer::Event;
use crate::record::{Partition, Received};

/// What a record costs beside its bytes: the structures that hold it, roughly.
const RECORD_OVERHEAD: usize = 256;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    pub(crate) chunk: usize,
}

/// Between the poll thread (one) and the consumer (one).
///
/// The bound is the poll thread's to keep: it pauses the partitions when [`is_full`](Self::is_full). Adding never
/// fails, so a record that slips out of librdkafka after the pause is kept.
#[derive(Debug)]
pub(crate) struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    // Wakes the consumer.
    filled: Notify,
    // Wakes the poll thread.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    signals: VecDeque<Event>,
    records: VecDeque<Received>,
    bytes: usize,
    // The consumer has gone: nobody takes anything any more.
    abandoned: bool,
    // The poll thread has gone: nothing is added any more.
    finished: bool,
}

impl Queue {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let bounds = Bounds {
            records: bounds.records.max(1),
            bytes: bounds.bytes.max(1),
            chunk: bounds.chunk.clamp(1, bounds.records.max(1)),
        };
        Self { bounds, state: Mutex::default(), filled: Notify::new(), drained: Condvar::new() }
    }

    pub(crate) fn chunk(&self) -> usize {
        self.bounds.chunk
    }

    /// Adds a record without waking the consumer; see [`wake_consumer`](Self::wake_consumer).
    pub(crate) fn add_record(&self, received: Received) {
        let mut state = self.lock();
        if !state.abandoned {
            state.bytes += weight(&received);
            state.records.push_back(received);
        }
    }

    /// Wakes the consumer: once for all the records added before.
    pub(crate) fn wake_consumer(&self) {
        self.filled.notify_one();
    }

    /// Adds something that overtakes the records that wait.
    pub(crate) fn add_signal(&self, event: Event) {
        let mut state = self.lock();
        if state.abandoned {
            // Dropping a revocation releases it, which must not happen under the lock.
            drop(state);
            drop(event);
            return;
        }
        state.signals.push_back(event);
        drop(state);
        self.filled.notify_one();
    }

    /// Drops the waiting records of partitions that are given up: their next owner reads them.
    pub(crate) fn forget(&self, partitions: &[Partition]) {
        let mut state = self.lock();
        let State { records, bytes, .. } = &mut *state;
        records.retain(|received| {
            let stays = !partitions.contains(&received.position.partition);
            if !stays {
                *bytes -= weight(received);
            }
            stays
        });
    }

    pub(crate) fn is_full(&self) -> bool {
        let state = self.lock();
        state.records.len() >= self.bounds.records || state.bytes >= self.bounds.bytes
    }

    /// Waits until at most half is taken up (or nobody reads any more), at most `limit`; whether that is so.
    pub(crate) fn wait_for_half(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while !self.at_most_half(&state) && !state.abandoned {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.drained.wait_timeout(state, left).expect("no holder of the queue panics").0;
        }
        true
    }

    /// Wakes the poll thread out of [`wait_for_half`](Self::wait_for_half) and drops what waits.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        state.bytes = 0;
        let dropped = (std::mem::take(&mut state.signals), std::mem::take(&mut state.records));
        drop(state);
        // Revocations among them are released now, outside the lock.
        drop(dropped);
        self.drained.notify_all();
    }

    /// Nothing comes any more; what waits can still be taken.
    pub(crate) fn finish(&self) {
        self.lock().finished = true;
        self.filled.notify_one();
    }

    /// The next event, or with `signals_only` the next one that is not records. Cancel safe; for one caller at a time.
    pub(crate) async fn next(&self, signals_only: bool) -> Option<Event> {
        loop {
            if let Some(taken) = self.take(signals_only) {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    // `Some(None)` is the end.
    fn take(&self, signals_only: bool) -> Option<Option<Event>> {
        let mut state = self.lock();
        if let Some(event) = state.signals.pop_front() {
            return Some(Some(event));
        }
        if !signals_only && !state.records.is_empty() {
            let was_over_half = !self.at_most_half(&state);
            let count = state.records.len().min(self.bounds.chunk);
            let records: Vec<Received> = state.records.drain(..count).collect();
            state.bytes -= records.iter().map(weight).sum::<usize>();
            let now_at_half = self.at_most_half(&state);
            drop(state);
            if was_over_half && now_at_half {
                self.drained.notify_all();
            }
            return Some(Some(Event::Records(records)));
        }
        if state.finished && (signals_only || state.records.is_empty()) {
            return Some(None);
        }
        None
    }

    fn at_most_half(&self, state: &State) -> bool {
        state.records.len() <= self.bounds.records / 2 && state.bytes <= self.bounds.bytes / 2
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the queue panics")
    }
}

fn weight(received: &Received) -> usize {
    received.record.size() + RECORD_OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::consumer::Revocation;
    use crate::record::{Offset, Position, Record};

    fn received(index: i32, offset: i64, bytes: usize) -> Received {
        Received {
            record: Record::new("t", vec![0; bytes]),
            position: Position { partition: Partition::new("t", index), offset: Offset::new(offset) },
            timestamp_ms: None,
        }
    }

    fn queue(records: usize, bytes: usize, chunk: usize) -> Queue {
        Queue::new(Bounds { records, bytes, chunk })
    }

    fn offsets(event: Option<Event>) -> Vec<(i32, i64)> {
        match event {
            Some(Event::Records(records)) => {
                records.iter().map(|r| (r.position.partition.index, r.position.offset.get())).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn records_come_in_chunks_and_in_order() {
        let queue = queue(10, 1 << 20, 2);
        for offset in 0..3 {
            queue.add_record(received(0, offset, 1));
        }
        assert_eq!(offsets(queue.next(false).await), [(0, 0), (0, 1)]);
        assert_eq!(offsets(queue.next(false).await), [(0, 2)]);
        queue.finish();
        assert!(queue.next(false).await.is_none());
    }

    #[tokio::test]
    async fn signals_overtake_records() {
        let queue = queue(10, 1 << 20, 2);
        queue.add_record(received(0, 0, 1));
        queue.add_signal(Event::Assigned(vec![Partition::new("t", 1)]));
        assert!(matches!(queue.next(true).await, Some(Event::Assigned(_))));
        // With records waiting and only signals asked for, nothing comes.
        let waiting = tokio::time::timeout(Duration::from_millis(1), queue.next(true)).await;
        assert!(waiting.is_err());
        assert_eq!(offsets(queue.next(false).await), [(0, 0)]);
    }

    #[tokio::test]
    async fn forgets_only_the_partitions_given_up() {
        let queue = queue(4, 1 << 20, 8);
        for offset in 0..4 {
            queue.add_record(received((offset % 2) as i32, offset, 1));
        }
        assert!(queue.is_full());
        queue.forget(&[Partition::new("t", 0)]);
        assert!(!queue.is_full());
        assert_eq!(offsets(queue.next(false).await), [(1, 1), (1, 3)]);
    }

    #[test]
    fn is_full_by_records_or_by_bytes() {
        let by_records = queue(2, 1 << 20, 8);
        by_records.add_record(received(0, 0, 1));
        assert!(!by_records.is_full());
        by_records.add_record(received(0, 1, 1));
        assert!(by_records.is_full());
        let by_bytes = queue(100, 1000, 8);
        by_bytes.add_record(received(0, 0, 2000));
        assert!(by_bytes.is_full());
        // What slips out after the pause is kept all the same.
        by_bytes.add_record(received(0, 1, 2000));
        assert_eq!(by_bytes.lock().records.len(), 2);
    }

    #[tokio::test]
    async fn the_poll_thread_goes_on_at_half() {
        let queue = Arc::new(queue(4, 1 << 20, 1));
        for offset in 0..4 {
            queue.add_record(received(0, offset, 1));
        }
        assert!(!queue.wait_for_half(Duration::ZERO));
        let waiter = {
            let queue = queue.clone();
            std::thread::spawn(move || queue.wait_for_half(Duration::from_secs(10)))
        };
        queue.next(false).await;
        queue.next(false).await;
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn abandoning_releases_what_waits() {
        let released = Arc::new(AtomicBool::new(false));
        let revocation = || {
            let released = released.clone();
            Event::Revoked(Revocation::new(Vec::new(), false, move || released.store(true, Ordering::SeqCst)))
        };
        let queue = queue(4, 1 << 20, 1);
        queue.add_signal(revocation());
        queue.abandon();
        assert!(released.swap(false, Ordering::SeqCst));
        queue.add_signal(revocation());
        assert!(released.load(Ordering::SeqCst));
        assert!(queue.wait_for_half(Duration::from_secs(10)));
    }
}
