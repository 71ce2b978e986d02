//! Stops a worker that fails most jobs for a reason that is not in the jobs: a dependency is down, the memory is full.
//! Going on would only use up the attempts of everything that waits. Pure: time is passed in.
//!
//! Closed, everything runs. When more than half of the window failed for one such reason it opens: nothing is dispatched
//! until a pause has passed, and then one batch is, by itself, as a probe. A good probe closes it; a bad one opens it
//! again, for twice as long.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use schemas::FailureCode;

/// Outcomes that are looked at: the newest so many, and none that is older than this.
const WINDOW: (usize, Duration) = (256, Duration::from_secs(30));
/// Fewer tell nothing.
const MIN_OUTCOMES: usize = 20;
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the outcome of one job tells about the world around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// It works: the job has a result.
    Works,
    /// It does not, and the job is not to blame.
    Broken(FailureCode),
    /// Nothing: the job failed for its own sake. A flood of bad jobs must not make good ones look rare.
    Nothing,
}

impl Evidence {
    /// What a failure tells. `transient`: the same job could succeed when it is run again.
    pub(crate) fn of_failure(code: FailureCode, transient: bool) -> Self {
        match code {
            FailureCode::Timeout | FailureCode::Internal => Self::Broken(code),
            _ if transient => Self::Broken(code),
            _ => Self::Nothing,
        }
    }
}

/// What may be dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dispatch {
    /// Anything.
    Yes,
    /// One batch, with nothing running beside it; say so with [`Breaker::probe_begins`].
    OneBatch,
    /// Nothing.
    No,
}

/// What an observation changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Most jobs fail for this reason: nothing is run for so long.
    Opened {
        /// What they fail with.
        reason: FailureCode,
        /// How long nothing is run.
        pause: Duration,
    },
    /// The probe was good: everything runs again.
    Closed,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    window: VecDeque<(Instant, Evidence)>,
    next_pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant, reason: FailureCode },
    Probing { reason: FailureCode },
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, window: VecDeque::new(), next_pause: FIRST_PAUSE }
    }
}

impl Breaker {
    /// A closed one.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes in the outcomes of one batch; every batch that was dispatched is owed one call, even if it came to nothing.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        outcomes: impl IntoIterator<Item = Evidence>,
    ) -> Option<Turn> {
        let outcomes = outcomes.into_iter().filter(|evidence| *evidence != Evidence::Nothing);
        match self.state {
            State::Closed => {
                self.window.extend(outcomes.map(|evidence| (now, evidence)));
                self.shorten_window(now);
                let reason = self.common_reason()?;
                Some(self.open(now, reason))
            }
            // Of batches that were under way when it opened.
            State::Open { .. } => None,
            State::Probing { reason } => self.judge_probe(now, reason, &outcomes.collect::<Vec<_>>()),
        }
    }

    /// What may be dispatched now.
    pub(crate) fn may_dispatch(&self, now: Instant) -> Dispatch {
        match self.state {
            State::Closed => Dispatch::Yes,
            State::Open { until, .. } if until <= now => Dispatch::OneBatch,
            State::Open { .. } | State::Probing { .. } => Dispatch::No,
        }
    }

    /// The one batch is being run; nothing else is until its outcomes have been observed.
    pub(crate) fn probe_begins(&mut self) {
        if let State::Open { reason, .. } = self.state {
            self.state = State::Probing { reason };
        }
    }

    /// When something may be dispatched that may not now, unless an outcome changes that.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } => Some(until),
            State::Closed | State::Probing { .. } => None,
        }
    }

    /// Why not everything runs; `None` while it does.
    pub(crate) fn reason(&self) -> Option<FailureCode> {
        match self.state {
            State::Closed => None,
            State::Open { reason, .. } | State::Probing { reason } => Some(reason),
        }
    }

    /// Whether the worker holds back, so that it should not be called ready.
    pub(crate) fn is_open(&self) -> bool {
        self.reason().is_some()
    }

    fn judge_probe(&mut self, now: Instant, reason: FailureCode, outcomes: &[Evidence]) -> Option<Turn> {
        if outcomes.is_empty() {
            // It told nothing: the next batch is the probe.
            self.state = State::Open { until: now, reason };
            return None;
        }
        let broken = outcomes.iter().filter_map(|evidence| evidence.broken());
        match broken.clone().next_back() {
            Some(reason) if broken.count() * 2 > outcomes.len() => Some(self.open(now, reason)),
            _ => {
                self.state = State::Closed;
                self.next_pause = FIRST_PAUSE;
                Some(Turn::Closed)
            }
        }
    }

    fn open(&mut self, now: Instant, reason: FailureCode) -> Turn {
        let pause = self.next_pause;
        self.next_pause = (pause * 2).min(LONGEST_PAUSE);
        self.state = State::Open { until: now + pause, reason };
        self.window.clear();
        Turn::Opened { reason, pause }
    }

    fn shorten_window(&mut self, now: Instant) {
        let (outcomes, span) = WINDOW;
        let surplus = self.window.len().saturating_sub(outcomes);
        self.window.drain(..surplus);
        while self.window.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > span) {
            self.window.pop_front();
        }
    }

    /// What more than half of the window failed with.
    fn common_reason(&self) -> Option<FailureCode> {
        let of =
            |code: FailureCode| self.window.iter().filter(move |(_, e)| e.broken() == Some(code)).count();
        let is_common = |code: &FailureCode| of(*code) * 2 > self.window.len();
        if self.window.len() < MIN_OUTCOMES { None } else { FailureCode::ALL.into_iter().find(is_common) }
    }
}

impl Evidence {
    fn broken(self) -> Option<FailureCode> {
        match self {
            Self::Broken(code) => Some(code),
            Self::Works | Self::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests;
