//! A session of one's own, on which no run of the model takes longer than it may.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool::unmanaged::Object;
use schemas::{FailureCode, Tensor};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::failure_class::FailureClass;
use crate::model::{Model, ModelError, ModelInput, Stop};
use crate::signature::Signature;

/// How long one run of a model may take.
#[derive(Debug, Clone)]
pub(super) struct TimeLimit {
    /// The name of the model, as it is declared.
    pub(super) model: Arc<str>,
    pub(super) limit: Duration,
}

impl TimeLimit {
    fn exceeded(&self) -> ModelError {
        let Self { model, limit } = self;
        ModelError {
            code: FailureCode::Timeout,
            message: format!(
                "the run of the model was ended after {} ms, which is the limit that models.{model}.timeout_ms sets; \
                 raise it if batches of this size take that long",
                limit.as_millis()
            ),
            class: FailureClass::Transient,
        }
    }
}

/// A session that was taken from the pool, which has it back when this is dropped.
pub(crate) struct Session {
    model: Object<Box<dyn Model>>,
    limited: Option<Limited>,
}

struct Limited {
    limit: TimeLimit,
    current: Arc<Current>,
    /// Looks after the runs, and is aborted when this is dropped. It is a task of its own so that it goes on to look after
    /// a run whose caller has gone.
    _timer: JoinSet<()>,
}

impl Session {
    /// Must be called within an async runtime that has timers, if there is a limit.
    pub(super) fn new(model: Object<Box<dyn Model>>, limit: Option<TimeLimit>) -> Self {
        let limited = limit.map(|limit| {
            let current = Arc::new(Current { stop: model.stopper(), run: Mutex::default() });
            let mut timer = JoinSet::new();
            timer.spawn(end_overdue_runs(Arc::clone(&current), limit.clone()));
            Limited { limit, current, _timer: timer }
        });
        Self { model, limited }
    }
}

impl Model for Session {
    fn signature(&self) -> &Signature {
        self.model.signature()
    }

    fn run(&mut self, inputs: &[ModelInput<'_>]) -> Result<Vec<Tensor>, ModelError> {
        let Some(Limited { limit, current, .. }) = &self.limited else { return self.model.run(inputs) };
        let running = current.begin(limit.limit);
        let outcome = self.model.run(inputs);
        match running.end()? {
            // What got done all the same, in the moment that it was to be ended, is done.
            Ending::ByTheLimit => outcome.map_err(|_| limit.exceeded()),
            Ending::ByItself => outcome,
        }
    }

    fn stopper(&self) -> Arc<dyn Stop> {
        self.model.stopper()
    }
}

/// What goes on in a session. The lock is what keeps a timer that fires late from ending the next run: it ends a run only
/// while it holds the lock and that very run is overdue, and a run takes the lock to begin and to end.
struct Current {
    stop: Arc<dyn Stop>,
    run: Mutex<Run>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Run {
    #[default]
    None,
    /// Goes on, and is overdue from then on.
    Until(Instant),
    /// Was told to end, and has not yet.
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    ByItself,
    ByTheLimit,
}

impl Current {
    fn lock(&self) -> MutexGuard<'_, Run> {
        // Each change is one assignment: a panic leaves nothing half done behind.
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, limit: Duration) -> Running<'_> {
        *self.lock() = Run::Until(Instant::now() + limit);
        Running { current: self }
    }

    /// Ends the run that goes on, if it is overdue; otherwise says when it will be.
    fn end_if_overdue(&self, now: Instant) -> Overdue {
        let mut run = self.lock();
        match *run {
            Run::Until(end) if end <= now => {
                *run = Run::Stopped;
                Overdue::Stopped(self.stop.stop())
            }
            Run::Until(end) => Overdue::At(end),
            Run::None | Run::Stopped => Overdue::Nothing,
        }
    }

    fn end(&self) -> Result<Ending, ModelError> {
        let mut run = self.lock();
        match std::mem::take(&mut *run) {
            // Still under the lock, so that nothing can be between this and the end of the run.
            Run::Stopped => self.stop.resume().map(|()| Ending::ByTheLimit),
            Run::None | Run::Until(_) => Ok(Ending::ByItself),
        }
    }
}

/// What was found when it was time to look at a run.
enum Overdue {
    Nothing,
    At(Instant),
    Stopped(Result<(), ModelError>),
}

/// A run that goes on; a panic ends it, too.
struct Running<'a> {
    current: &'a Current,
}

impl Running<'_> {
    fn end(self) -> Result<Ending, ModelError> {
        self.current.end()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Nothing goes on any more after `end`, and a panic has its own error.
        let _ended = self.current.end();
    }
}

/// Ends every run that takes longer than it may. Runs need not tell this of themselves: one that begins after a look at
/// the session is not overdue before the limit has passed since that look.
async fn end_overdue_runs(current: Arc<Current>, TimeLimit { model, limit }: TimeLimit) {
    let mut next_look = Instant::now() + limit;
    loop {
        sleep_until(next_look).await;
        let now = Instant::now();
        next_look = match current.end_if_overdue(now) {
            Overdue::At(end) => end,
            Overdue::Nothing => now + limit,
            Overdue::Stopped(told) => {
                let limit_ms = limit.as_millis();
                match told {
                    Ok(()) => tracing::warn!(%model, limit_ms, "a run of the model reached its time limit"),
                    Err(error) => {
                        tracing::error!(%model, limit_ms, %error, "a run of the model is too long and goes on");
                    }
                }
                now + limit
            }
        };
    }
}

#[cfg(test)]
mod tests;
