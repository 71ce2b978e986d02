//! Records on their way: what is in flight, what waits for room, and which call each belongs to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::error::{FailedRecord, PublishError};
use crate::record::Record;

/// What becomes of one call of `publish`.
pub(crate) type Outcome = Result<(), PublishError>;

/// Records that were given to `publish` and are not settled.
///
/// Calls are served in the order in which they came, each from its first record to its last, so that waiting for room
/// changes no order.
pub(crate) struct Outbox {
    limits: Limits,
    // In flight: given to librdkafka and not settled.
    records: AtomicUsize,
    bytes: AtomicUsize,
    // Calls with records that librdkafka has not been given yet, oldest first.
    waiting: Mutex<VecDeque<Waiting>>,
    waiting_calls: AtomicUsize,
}

/// How much may be in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

struct Waiting {
    call: Arc<Call>,
    records: VecDeque<(usize, Record)>,
}

/// One call of `publish`.
pub(crate) struct Call {
    total: usize,
    unsettled: AtomicUsize,
    failures: Mutex<Vec<FailedRecord>>,
    done: Mutex<Option<oneshot::Sender<Outcome>>>,
}

/// What librdkafka carries along with each record.
pub(crate) struct Ticket {
    call: Arc<Call>,
    pub(crate) index: usize,
    pub(crate) bytes: usize,
}

/// What became of an attempt to hand a record to librdkafka.
pub(crate) enum Sent {
    /// It is on its way; its ticket comes back with the delivery report.
    Taken,
    /// There is no room; the ticket is gone, the record stays.
    Full,
    /// It cannot be sent.
    Refused(Box<Ticket>, FailedRecord),
}

impl Call {
    fn settle(&self, failure: Option<FailedRecord>) {
        if let Some(failure) = failure {
            self.failures.lock().expect("no holder of the failures panics").push(failure);
        }
        if self.unsettled.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let failures = std::mem::take(&mut *self.failures.lock().expect("no holder of the failures panics"));
        let outcome = PublishError::from_failures(failures, self.total).map_or(Ok(()), Err);
        if let Some(done) = self.done.lock().expect("no holder of the sender panics").take() {
            // Nobody waits when the future was dropped.
            drop(done.send(outcome));
        }
    }
}

impl Outbox {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            waiting: Mutex::default(),
            waiting_calls: AtomicUsize::new(0),
        }
    }

    /// Puts the records of one call behind all others; its outcome comes through the receiver.
    pub(crate) fn add(&self, records: Vec<Record>) -> oneshot::Receiver<Outcome> {
        let (done, outcome) = oneshot::channel();
        let total = records.len();
        if total == 0 {
            drop(done.send(Ok(())));
            return outcome;
        }
        let call = Arc::new(Call {
            total,
            unsettled: AtomicUsize::new(total),
            failures: Mutex::default(),
            done: Mutex::new(Some(done)),
        });
        let records = records.into_iter().enumerate().collect();
        self.waiting_calls.fetch_add(1, Ordering::SeqCst);
        self.waiting.lock().expect("no holder of the outbox panics").push_back(Waiting { call, records });
        outcome
    }

    /// Sends what there is room for, oldest first.
    pub(crate) fn pump(&self, mut send: impl FnMut(&Record, Box<Ticket>) -> Sent) {
        let mut waiting = self.waiting.lock().expect("no holder of the outbox panics");
        while let Some(head) = waiting.front_mut() {
            while let Some((index, record)) = head.records.pop_front() {
                let bytes = record.size();
                if !self.has_room(bytes) {
                    head.records.push_front((index, record));
                    return;
                }
                // Counted first: the delivery report may come before `send` returns.
                self.records.fetch_add(1, Ordering::SeqCst);
                self.bytes.fetch_add(bytes, Ordering::SeqCst);
                match send(&record, Box::new(Ticket { call: head.call.clone(), index, bytes })) {
                    Sent::Taken => {}
                    Sent::Full => {
                        self.uncount(bytes);
                        head.records.push_front((index, record));
                        return;
                    }
                    Sent::Refused(ticket, failure) => self.settle(&ticket, Some(failure)),
                }
            }
            waiting.pop_front();
            self.waiting_calls.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// A record has arrived, or has failed.
    pub(crate) fn settle(&self, ticket: &Ticket, failure: Option<FailedRecord>) {
        self.uncount(ticket.bytes);
        ticket.call.settle(failure);
    }

    /// Whether there is something to send and enough room to be worth it.
    pub(crate) fn wants_pumping(&self) -> bool {
        self.somebody_waits()
            && self.in_flight() <= self.limits.records / 2
            && self.bytes.load(Ordering::SeqCst) <= self.limits.bytes / 2
    }

    pub(crate) fn somebody_waits(&self) -> bool {
        self.waiting_calls.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.records.load(Ordering::SeqCst)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight() == 0 && !self.somebody_waits()
    }

    fn has_room(&self, bytes: usize) -> bool {
        let records = self.in_flight();
        // A record larger than the whole limit goes alone.
        records == 0
            || (records < self.limits.records
                && self.bytes.load(Ordering::SeqCst) + bytes <= self.limits.bytes)
    }

    fn uncount(&self, bytes: usize) {
        self.records.fetch_sub(1, Ordering::SeqCst);
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::PublishErrorKind;

    fn outbox(records: usize, bytes: usize) -> Outbox {
        Outbox::new(Limits { records, bytes })
    }

    fn records(names: &[&str]) -> Vec<Record> {
        names.iter().map(|name| Record::new("t", name.to_string())).collect()
    }

    // Takes everything that there is room for; the tickets are in flight.
    fn pump(outbox: &Outbox) -> Vec<(String, Box<Ticket>)> {
        let mut taken = Vec::new();
        outbox.pump(|record, ticket| {
            taken.push((String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap(), ticket));
            Sent::Taken
        });
        taken
    }

    fn names(taken: &[(String, Box<Ticket>)]) -> Vec<&str> {
        taken.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn waiting_for_room_changes_no_order() {
        let outbox = outbox(2, 1000);
        let mut first = outbox.add(records(&["a", "b", "c"]));
        let mut second = outbox.add(records(&["d"]));
        let taken = pump(&outbox);
        assert_eq!(names(&taken), ["a", "b"]);
        assert!(!outbox.wants_pumping());
        outbox.settle(&taken[0].1, None);
        assert!(outbox.wants_pumping());
        let more = pump(&outbox);
        assert_eq!(names(&more), ["c"]);
        outbox.settle(&taken[1].1, None);
        assert!(first.try_recv().is_err());
        outbox.settle(&more[0].1, None);
        assert_eq!(first.try_recv(), Ok(Ok(())));
        let last = pump(&outbox);
        assert_eq!(names(&last), ["d"]);
        assert!(!outbox.is_idle());
        outbox.settle(&last[0].1, None);
        assert_eq!(second.try_recv(), Ok(Ok(())));
        assert!(outbox.is_idle());
    }

    #[test]
    fn a_record_larger_than_the_limit_goes_alone() {
        let outbox = outbox(10, 3);
        let _outcome = outbox.add(records(&["a", "larger", "b"]));
        let first = pump(&outbox);
        assert_eq!(names(&first), ["a"]);
        outbox.settle(&first[0].1, None);
        let second = pump(&outbox);
        assert_eq!(names(&second), ["larger"]);
        outbox.settle(&second[0].1, None);
        assert_eq!(names(&pump(&outbox)), ["b"]);
    }

    #[test]
    fn a_full_librdkafka_keeps_the_record() {
        let outbox = outbox(10, 100);
        let _outcome = outbox.add(records(&["a", "b"]));
        outbox.pump(|_, _| Sent::Full);
        assert_eq!(outbox.in_flight(), 0);
        assert_eq!(names(&pump(&outbox)), ["a", "b"]);
    }

    #[test]
    fn failures_are_told_when_all_is_settled() {
        let outbox = outbox(10, 100);
        let mut outcome = outbox.add(records(&["a", "b", "c"]));
        let failed =
            |index| FailedRecord { index, kind: PublishErrorKind::TooLarge, reason: "too large".into() };
        let mut taken = Vec::new();
        outbox.pump(|record, ticket| {
            if record.value.as_deref() == Some(b"b") {
                return Sent::Refused(ticket, failed(1));
            }
            taken.push(ticket);
            Sent::Taken
        });
        assert!(outcome.try_recv().is_err());
        outbox.settle(&taken[1], Some(failed(2)));
        outbox.settle(&taken[0], None);
        let error = outcome.try_recv().unwrap().unwrap_err();
        assert_eq!(error.failures(), [failed(1), failed(2)]);
        assert_eq!(
            error.to_string(),
            "record 1 was not acknowledged: too large (2 records failed, 1 were acknowledged)"
        );
    }

    #[test]
    fn nothing_to_publish_is_done_at_once() {
        let outbox = outbox(1, 1);
        assert_eq!(outbox.add(Vec::new()).try_recv(), Ok(Ok(())));
        assert!(outbox.is_idle());
    }
}
