//! What the group knows: asked when partitions come, and noted beside their offsets before anything of them runs.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use transport::{Committed, Consumer, Partition, Progress, Transport, TransportError};

use super::dispatch::SectionAtWork;
use super::{Chain, Worker, WorkerError, names};
use crate::notes;
use crate::suspects::Section;

const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

type Asked<A> = Pin<Box<dyn Future<Output = Result<A, TransportError>> + Send>>;

/// The question what the group has committed.
pub(super) struct Learning {
    pub(super) partitions: Vec<Partition>,
    pub(super) answer: Asked<Vec<Committed>>,
}

/// A note that is being committed.
pub(super) struct Noting {
    pub(super) progress: Progress,
    pub(super) purpose: Purpose,
    pub(super) done: Asked<()>,
}

/// Why a note is committed.
pub(super) enum Purpose {
    /// Records of these partitions are about to be run.
    Run,
    /// Nothing of these partitions runs any more.
    Rest,
    /// These suspects are about to be run.
    Suspects(Section),
}

impl<T: Transport> Worker<T> {
    /// Asks what the group has committed for partitions that were just assigned.
    pub(super) fn learn(&mut self) {
        if self.learning.is_none() && !self.to_learn.is_empty() {
            let partitions = std::mem::take(&mut self.to_learn);
            let answer = Box::pin(paused_after_failure(self.consumer.committed(&partitions)));
            self.learning = Some(Learning { partitions, answer });
        }
    }

    pub(super) fn learned(
        &mut self,
        answer: Result<Vec<Committed>, TransportError>,
    ) -> Result<(), WorkerError> {
        let Learning { partitions, .. } = self.learning.take().expect("the answer was just awaited");
        match answer {
            Ok(all) => {
                for committed in all.iter().filter(|it| partitions.contains(&it.partition)) {
                    self.notes.taken_over(committed);
                    self.suspects.taken_over(committed, self.author.wrote(&committed.note));
                }
                let doubted: Vec<_> = self.suspects.doubted().cloned().collect();
                if !doubted.is_empty() {
                    tracing::info!(
                        partitions = %names(&doubted),
                        "a worker did not hand these partitions over; what it had not committed is run again"
                    );
                }
                if self.suspects.is_careful() {
                    tracing::warn!(
                        partitions = %names(&self.suspects.partitions().cloned().collect::<Vec<_>>()),
                        "two workers in a row died on these partitions; what they ran is run in small parts, each noted before it runs"
                    );
                }
            }
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) if error.is_lost_membership() => {
                tracing::warn!(error = %Chain(&error), "the group does not tell what it has committed; asking again");
                self.to_learn.extend(partitions);
            }
            // It was asked many times over by then. Whatever it is that hangs, another member of the group begins without.
            Err(error) => return Err(WorkerError::Interrupted { reason: Chain(&error).to_string() }),
        }
        Ok(())
    }

    /// What stands beside the offsets of ordinary work.
    pub(super) fn note_of_work(&self, progress: &Progress) -> String {
        self.author.sign(&notes::running(&self.suspects, progress, self.limits.max_uncommitted_records))
    }

    pub(super) fn note(&mut self, progress: Progress, note: &str, purpose: Purpose) {
        let done = Box::pin(paused_after_failure(self.consumer.commit(progress.clone(), note)));
        self.noting = Some(Noting { progress, purpose, done });
    }

    pub(super) fn noted(&mut self, done: Result<(), TransportError>) -> Result<(), WorkerError> {
        let Noting { progress, purpose, .. } = self.noting.take().expect("the note was just awaited");
        match done {
            Ok(()) => match purpose {
                Purpose::Run => self.notes.activate(&progress),
                Purpose::Rest => self.notes.rested(&progress),
                // Its partition may have gone meanwhile, and the note with it.
                Purpose::Suspects(_) if progress.is_empty() => {}
                Purpose::Suspects(section) => {
                    self.notes.activate(&progress);
                    tracing::info!(
                        partition = %section.partition, from = %section.from, to = %section.to, deaths = section.deaths,
                        verdict = ?section.verdict, "records that may have killed a worker are run by themselves"
                    );
                    self.section = Some(SectionAtWork { left: section.entries, section });
                }
            },
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "a note was not committed, and will be tried again");
                self.metrics.commit_failures.inc();
            }
        }
        Ok(())
    }
}

/// A failure is heard of after a moment, because it is tried again at once then.
async fn paused_after_failure<A>(
    asked: impl Future<Output = Result<A, TransportError>>,
) -> Result<A, TransportError> {
    let answer = asked.await;
    if answer.as_ref().is_err_and(|error| !error.is_fatal()) {
        tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
    }
    answer
}

pub(super) async fn note_done(noting: &mut Option<Noting>) -> Result<(), TransportError> {
    match noting {
        Some(noting) => noting.done.as_mut().await,
        None => pending().await,
    }
}

pub(super) async fn learned(learning: &mut Option<Learning>) -> Result<Vec<Committed>, TransportError> {
    match learning {
        Some(learning) => learning.answer.as_mut().await,
        None => pending().await,
    }
}
