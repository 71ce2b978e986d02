//! Reading less than there is: all partitions while the queue is full, and single ones that the consumer has paused.

use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::{POLL, Polling};
use crate::error::list_partitions;
use crate::kafka::context::list_of;

/// While paused: how long one poll may take. The wait for room comes first, and is ended at once by room.
const PAUSED_POLL: Duration = Duration::from_millis(5);

impl Polling {
    // What the consumer has asked for since the last round. Nobody polls meanwhile, so librdkafka goes on after the last
    // record that came.
    pub(super) fn carry_out_pauses(&self) {
        let changes = self.context().paused.take_changes();
        // While everything is paused nothing has to be told: who is read again is settled when that ends.
        if self.context().is_paused() {
            return;
        }
        let name = self.context().name();
        for (what, partitions) in [("pause", changes.pause), ("resume", changes.resume)] {
            if partitions.is_empty() {
                continue;
            }
            let list = list_of(&partitions);
            let done = if what == "pause" { self.native.pause(&list) } else { self.native.resume(&list) };
            if let Err(error) = done {
                // A partition that has just been given up, for one.
                tracing::warn!(name, partitions = list_partitions(&partitions), %error, "cannot {what} partitions");
            }
        }
    }

    // The consumer has paused all that it has: only callbacks are expected.
    pub(super) fn poll_idle(&mut self) {
        self.context().paused.wait(POLL);
        if self.poll_one(PAUSED_POLL) {
            self.context().queue.wake_consumer();
        }
    }

    // The partitions are paused, so only callbacks are expected; a record that slipped out before the pause took
    // effect is kept all the same.
    pub(super) fn poll_paused(&mut self) {
        let roomy = self.context().queue.wait_for_half(POLL);
        if self.poll_one(PAUSED_POLL) {
            self.context().queue.wake_consumer();
        }
        if roomy && self.context().is_paused() {
            self.resume();
        }
    }

    pub(super) fn pause(&self) {
        let done = self.native.assignment().and_then(|all| self.native.pause(&all));
        match done {
            Ok(()) => {
                tracing::debug!(name = self.context().name(), "paused: as much waits to be read as may");
                self.context().set_paused(true);
            }
            // Nothing is lost: the queue holds what comes, and the next round tries again.
            Err(error) => tracing::warn!(name = self.context().name(), %error, "cannot pause partitions"),
        }
    }

    fn resume(&self) {
        match self.context().resume_wanted(&self.native) {
            Ok(()) => tracing::debug!(name = self.context().name(), "resumed"),
            Err(error) => tracing::warn!(name = self.context().name(), %error, "cannot resume partitions"),
        }
    }
}
