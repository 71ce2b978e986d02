//! What may run now: ordinary batches, or by themselves the records that may have killed a worker.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use schemas::{FailureCode, Stage};
use transport::{Position, Transport};

use super::noting::Purpose;
use super::{Running, Worker};
use crate::batch::Batch;
use crate::breaker::Dispatch;
use crate::delivery::Settles;
use crate::fetch::{Entry, Work};
use crate::suspects::{Section, Verdict};

/// Suspected records that have been noted: nothing else runs until they are committed.
pub(super) struct SectionAtWork {
    pub(super) section: Section,
    /// How many of them have not been started.
    pub(super) left: usize,
}

impl<T: Transport> Worker<T> {
    /// Starts what may run.
    pub(super) fn dispatch(&mut self, now: Instant) {
        if !self.may_start_batches(now) || self.dispatch_suspects() {
            return;
        }
        while self.may_start_batches(now) {
            let Some(release) = self.batcher.ready(now, self.running.is_empty()) else { return };
            let missing = self.notes.missing(self.batcher.positions());
            if !missing.is_empty() {
                let note = self.note_of_work(&missing);
                return self.note(missing, &note, Purpose::Run);
            }
            let (suspects, ahead) = (&self.suspects, &mut self.ahead);
            let may_run = |position: &Position| {
                let may_run = !suspects.is_suspect(position) && ahead.may_dispatch(position);
                if may_run {
                    ahead.dispatched(position);
                }
                may_run
            };
            let batch = self.batcher.take(release, may_run);
            if batch.entries.is_empty() {
                self.is_blocked = true;
                return;
            }
            self.start(batch);
            if self.breaker.is_open() {
                self.breaker.probe_begins();
            }
        }
    }

    /// Whether nothing has to be known or noted before a batch may start.
    pub(super) fn may_start_batches(&self, now: Instant) -> bool {
        let holds_back = match self.breaker.may_dispatch(now) {
            Dispatch::Yes => false,
            Dispatch::OneBatch => !self.running.is_empty(),
            Dispatch::No => true,
        };
        !holds_back
            && self.learning.is_none()
            && self.to_learn.is_empty()
            && self.noting.is_none()
            && !self.is_blocked
            && self.can_run_more()
    }

    /// Runs what a dead worker may have died of, by itself. Whether nothing else may be started now.
    fn dispatch_suspects(&mut self) -> bool {
        if self.section.is_some() {
            self.run_section();
            return true;
        }
        if !self.suspects.is_careful() {
            return false;
        }
        if !(self.running.is_empty() && self.delivery.is_idle()) {
            // Asked without consequences: is there one to make room for?
            return self.batcher.positions().any(|position| self.suspects.is_suspect(position));
        }
        let Some(section) = self.suspects.next_section(self.batcher.positions()) else { return false };
        if let Some((note, progress)) =
            self.notes.at_rest(&self.suspects, &self.notes.active()).into_iter().next()
        {
            self.note(progress, &note, Purpose::Rest);
            return true;
        }
        let first = Position { partition: section.partition.clone(), offset: section.from };
        let progress = [(section.partition.clone(), self.notes.stand(&first))].into_iter().collect();
        let note = self.author.sign(&section.mark().write());
        self.note(progress, &note, Purpose::Suspects(section));
        true
    }

    /// Starts of the section what may run at once, in batches of the ordinary size.
    fn run_section(&mut self) {
        while self.can_run_more() {
            let Some(at_work) = self.section.as_mut().filter(|at_work| at_work.left > 0) else { return };
            let Section { partition, deaths, verdict, .. } = at_work.section.clone();
            let mut batch = self.batcher.take_of(&partition, at_work.left);
            at_work.left -= batch.entries.len();
            let positions = batch.entries.iter().map(|entry| &entry.origin.received.position);
            positions.for_each(|position| self.ahead.dispatched(position));
            if verdict == Verdict::Convicted {
                let stage = blamed(&self.processor.pipeline.stages());
                batch.entries.iter_mut().for_each(|entry| convict(entry, stage, deaths));
            }
            self.start(batch);
        }
    }

    /// Whether all records of the section have been run, so that only its commit is missing.
    pub(super) fn is_section_over(&self) -> bool {
        self.running.is_empty() && self.section.as_ref().is_some_and(|at_work| at_work.left == 0)
    }

    fn start(&mut self, batch: Batch) {
        let Batch { entries, progress, bytes, release } = batch;
        self.processor.metrics.released(release, entries.len());
        let settles = Settles { progress, entries: entries.len(), bytes };
        let finished = tokio::spawn(Arc::clone(&self.processor).process(entries));
        self.running.push_back(Running { finished, settles, forgotten: Vec::new() });
    }
}

/// The stage that a process most likely died in: the one with the model, or else the first.
fn blamed(stages: &RangeInclusive<Stage>) -> Stage {
    if stages.contains(&Stage::Inference) { Stage::Inference } else { *stages.start() }
}

/// This record has killed too many workers: it is not run any more.
fn convict(entry: &mut Entry, stage: Stage, deaths: u32) {
    let message = format!(
        "the worker's process died {deaths} times while it ran this job alone; it is not run again \
         (worker.max_crashes = {deaths})"
    );
    entry.work = Work::Fail(entry.origin.failure(stage, FailureCode::ModelError, message, false));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_blamed_on_the_model_where_there_is_one() {
        use Stage::{Inference, Postprocess, Preprocess};
        let check = |first, last, expect| assert_eq!(blamed(&(first..=last)), expect);
        check(Preprocess, Postprocess, Inference);
        check(Preprocess, Preprocess, Preprocess);
        check(Inference, Postprocess, Inference);
        check(Postprocess, Postprocess, Postprocess);
    }
}
