//! What became of the records of the transaction that is under way.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

/// Counts the delivery reports; the thread that serves them and the thread that transacts share it.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    state: Mutex<State>,
    reported: Condvar,
}

#[derive(Debug, Default)]
struct State {
    outstanding: usize,
    failures: Vec<(usize, RDKafkaErrorCode)>,
}

impl Deliveries {
    /// One more report will come. Said before the record is sent, because the report may be faster.
    pub(super) fn expect(&self) {
        self.lock().outstanding += 1;
    }

    /// It will not come after all: the record was not taken.
    pub(super) fn take_back(&self) {
        self.settle(None);
    }

    /// The report about the record with this index.
    pub(super) fn report(&self, index: usize, failure: Option<RDKafkaErrorCode>) {
        self.settle(failure.map(|code| (index, code)));
    }

    fn settle(&self, failure: Option<(usize, RDKafkaErrorCode)>) {
        let mut state = self.lock();
        state.outstanding = state.outstanding.saturating_sub(1);
        state.failures.extend(failure);
        if state.outstanding == 0 {
            self.reported.notify_all();
        }
    }

    /// Waits until nothing is outstanding; whether that is so by then.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while state.outstanding > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            state = self.reported.wait_timeout(state, left).expect("no holder of the deliveries panics").0;
        }
        true
    }

    /// The failures so far, by index.
    pub(super) fn failures(&self) -> Vec<(usize, RDKafkaErrorCode)> {
        let mut failures = self.lock().failures.clone();
        failures.sort_by_key(|(index, _)| *index);
        failures
    }

    /// A new transaction begins without any.
    pub(super) fn forget_failures(&self) {
        self.lock().failures.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the deliveries panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_waited_for() {
        let deliveries = Deliveries::default();
        for _ in 0..3 {
            deliveries.expect();
        }
        deliveries.take_back();
        deliveries.report(7, Some(RDKafkaErrorCode::MessageTimedOut));
        assert!(!deliveries.wait(Instant::now()));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| deliveries.wait(Instant::now() + Duration::from_secs(60)));
            deliveries.report(1, Some(RDKafkaErrorCode::PurgeQueue));
            assert!(waiter.join().unwrap());
        });
        let failures = [(1, RDKafkaErrorCode::PurgeQueue), (7, RDKafkaErrorCode::MessageTimedOut)];
        assert_eq!(deliveries.failures(), failures);
        deliveries.forget_failures();
        assert!(deliveries.failures().is_empty());
    }
}
