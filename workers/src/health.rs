//! What the worker knows of its own state, for `/healthz` and `/readyz`.

use std::sync::atomic::{AtomicBool, Ordering};

/// One flag per condition of readiness; shared between the worker's loop and the admin server.
#[derive(Debug, Default)]
pub struct Health {
    /// The models are loaded and have run once.
    pub models_warm: AtomicBool,
    /// The group has handed this worker its partitions (possibly none: a standby is ready too).
    pub assigned: AtomicBool,
    /// At least one broker answers.
    pub brokers_up: AtomicBool,
    /// A stop was asked for; what runs is being finished.
    pub draining: AtomicBool,
    /// Jobs are held back, because most of them fail for one reason that is not theirs.
    pub breaker_open: AtomicBool,
    /// The loop ended with an error.
    pub failed: AtomicBool,
}

impl Health {
    /// What keeps the worker from being ready, in words; empty when it is ready.
    pub fn missing(&self) -> Vec<&'static str> {
        let conditions = [
            (self.models_warm.load(Ordering::Relaxed), "models are still loading"),
            (self.assigned.load(Ordering::Relaxed), "no partitions assigned yet by the consumer group"),
            (self.brokers_up.load(Ordering::Relaxed), "no broker answers"),
            (!self.draining.load(Ordering::Relaxed), "draining before shutdown"),
            (
                !self.breaker_open.load(Ordering::Relaxed),
                "most jobs fail for one reason that is not theirs; see the log",
            ),
            (!self.failed.load(Ordering::Relaxed), "the worker stopped with an error; see its log"),
        ];
        conditions.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what).collect()
    }

    /// Whether the process should be left alone by a supervisor.
    pub fn is_alive(&self) -> bool {
        !self.failed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_missing_condition_and_then_none() {
        let health = Health::default();
        assert_eq!(health.missing().len(), 3);
        for flag in [&health.models_warm, &health.assigned, &health.brokers_up] {
            flag.store(true, Ordering::Relaxed);
        }
        assert_eq!(health.missing(), Vec::<&str>::new());
        health.draining.store(true, Ordering::Relaxed);
        assert_eq!(health.missing(), ["draining before shutdown"]);
        assert!(health.is_alive());
    }
}
