//! The end of work, on some partitions or on all: what runs is finished in time, committed, and noted as finished.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use transport::crash_point::CrashPoint;
use transport::{Consumer, Partition, Revocation, Transport};

use super::noting::note_done;
use super::{Chain, Worker, WorkerError, at, names, oldest_finished};
use crate::delivery::{Haste, Step};

/// Between two tries of a last commit.
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// What is tried when the time is up, or all is lost.
const LAST_MOMENT: Duration = Duration::from_millis(500);

impl<T: Transport> Worker<T> {
    /// Gives partitions back: forget what is not batched, wait for what runs, publish, commit, then let go.
    pub(super) async fn revoke(&mut self, revocation: Revocation) -> Result<(), WorkerError> {
        let partitions = revocation.partitions.clone();
        let forgotten = self.batcher.forget(&partitions);
        self.to_learn.retain(|partition| !partitions.contains(partition));
        self.metrics.rebalanced(if revocation.lost { "lost" } else { "revoked" });
        self.metrics.partitions.sub(partitions.len() as i64);
        CrashPoint::InRevoke.pass();
        let handed_over = if revocation.lost {
            self.health.assigned.store(false, Ordering::Relaxed);
            tracing::warn!(partitions = %names(&partitions), "partitions lost; another worker repeats what was unfinished");
            if self.delivery.is_in_transaction() {
                // Whatever becomes of it takes longer than to settle it from anew.
                let reason = "its partitions were lost in the middle of it".into();
                Err(WorkerError::Interrupted { reason })
            } else {
                Ok(())
            }
        } else {
            self.hand_over(&partitions, forgotten).await
        };
        // After an error too: whatever this worker still committed would set their next owner back.
        self.forget(&partitions);
        drop(revocation);
        handed_over
    }

    async fn hand_over(&mut self, partitions: &[Partition], forgotten: usize) -> Result<(), WorkerError> {
        // The poll thread lets go after the drain timeout, done or not; part of it is kept for the last note.
        let let_go = Instant::now() + self.limits.drain_timeout;
        let drained = self.drain_until(let_go - self.limits.drain_timeout / 5).await?;
        // What runs on, and is run again already, keeps its note: should the process die of it yet, it is the second one.
        let is_doubted = |partition: &Partition| self.suspects.doubted().any(|doubted| doubted == partition);
        let finished: Vec<_> =
            partitions.iter().filter(|partition| drained || !is_doubted(partition)).cloned().collect();
        let rested = self.rest(&finished, let_go).await?;
        if drained && rested {
            tracing::info!(partitions = %names(partitions), forgotten, "partitions revoked; their work is committed");
        } else {
            tracing::warn!(
                partitions = %names(partitions), limit = ?self.limits.drain_timeout,
                "partitions revoked before their work was done; their next owner repeats it \
                 (raise worker.drain_timeout_ms if batches take that long)"
            );
        }
        Ok(())
    }

    /// Whatever still runs for these partitions settles nothing any more: a commit would set their next owner back.
    fn forget(&mut self, partitions: &[Partition]) {
        for batch in &mut self.running {
            batch.settles.progress.forget(partitions);
            batch.forgotten.extend_from_slice(partitions);
        }
        self.delivery.forget(partitions);
        self.ahead.forget(partitions);
        self.suspects.forget(partitions);
        self.notes.forget(partitions);
        self.learning.take_if(|learning| {
            learning.partitions.retain(|partition| !partitions.contains(partition));
            learning.partitions.is_empty()
        });
        if let Some(noting) = &mut self.noting {
            noting.progress.forget(partitions);
        }
        self.section.take_if(|at_work| partitions.contains(&at_work.section.partition));
        self.is_blocked = false;
    }

    /// Asked to stop: nothing new is begun, what runs is finished within the drain limit, and committed.
    pub(super) async fn finish(&mut self) -> Result<(), WorkerError> {
        let unread = self.batcher.len();
        let deadline = Instant::now() + self.limits.drain_timeout;
        let drained = self.drain_until(deadline).await?;
        if !drained {
            tracing::warn!(limit = ?self.limits.drain_timeout, "the drain limit passed; unfinished jobs are run again by the next worker");
            for batch in &self.running {
                batch.finished.abort();
            }
        }
        let active = self.notes.active();
        if self.rest(&active, deadline.max(Instant::now() + Duration::from_secs(1))).await? {
            tracing::info!(left_for_others = unread, "what was finished is committed");
        }
        Ok(())
    }

    /// Ends with an error that no job is to blame for, so that none is suspected after the next start: as far as the group
    /// can still be told, what was answered is committed, and that nobody died over the rest is noted.
    pub(super) async fn abandon(&mut self, error: &WorkerError) {
        for batch in self.running.drain(..) {
            batch.finished.abort();
        }
        let told = match error {
            WorkerError::Stopped(_) | WorkerError::Model { .. } => self.finish().await,
            // No more answers can be written, and what was written of the last is not committed.
            WorkerError::Publish(_) | WorkerError::TooLarge(_) => {
                let active = self.notes.active();
                self.rest(&active, Instant::now() + LAST_MOMENT).await.map(drop)
            }
            // The group is out of reach, or has moved on, or nobody knows what was committed.
            _ => Ok(()),
        };
        if let Err(error) = told {
            tracing::warn!(error = %Chain(&error), "the group could not be told how far this worker came; some jobs may be run again");
        }
    }

    /// Waits until nothing runs and everything is committed; false when the deadline came first.
    async fn drain_until(&mut self, deadline: Instant) -> Result<bool, WorkerError> {
        while !(self.running.is_empty() && self.delivery.is_idle() && self.noting.is_none()) {
            // One commit for all of it.
            let waits = !self.running.is_empty() || self.delivery.is_publishing();
            let commit_due = self.delivery.due_at(Haste::Needed).filter(|_| !waits);
            tokio::select! {
                biased;
                step = self.delivery.next() => {
                    let step = step?;
                    let failed = matches!(step, Step::Failed);
                    self.advance(step);
                    if failed {
                        tokio::time::sleep(PAUSE_BETWEEN_TRIES).await;
                    }
                }
                finished = oldest_finished(&mut self.running) => self.deliver(finished?)?,
                noted = note_done(&mut self.noting) => self.noted(noted)?,
                () = at(commit_due) => self.start_commit(),
                () = at(Some(deadline)) => return Ok(self.commit_what_is_acknowledged().await),
            }
        }
        Ok(true)
    }

    /// The time is up: what is acknowledged is committed all the same. Always false: not everything was done.
    async fn commit_what_is_acknowledged(&mut self) -> bool {
        if self.delivery.due_at(Haste::Needed).is_none() {
            return false;
        }
        self.start_commit();
        let until = Instant::now() + LAST_MOMENT;
        loop {
            tokio::select! {
                step = self.delivery.next() => match step {
                    Ok(step @ Step::Committed(_)) => {
                        self.advance(step);
                        break;
                    }
                    Ok(_) => {}
                    Err(_) => break,
                },
                () = at(Some(until)) => break,
            }
        }
        false
    }

    /// Notes that nothing of these partitions runs any more; false when the deadline came first.
    async fn rest(&mut self, partitions: &[Partition], deadline: Instant) -> Result<bool, WorkerError> {
        if self.delivery.is_committing() {
            // It may come through yet, and this would set it back.
            return Ok(false);
        }
        loop {
            let Some((note, progress)) = self.notes.at_rest(&self.suspects, partitions).into_iter().next()
            else {
                return Ok(true);
            };
            let done =
                tokio::time::timeout_at(deadline.into(), self.consumer.commit(progress.clone(), &note));
            match done.await {
                Ok(Ok(())) => self.notes.rested(&progress),
                Ok(Err(error)) if error.is_fatal() => return Err(error.into()),
                Ok(Err(error)) if error.is_lost_membership() => {
                    tracing::warn!(error = %Chain(&error), "partitions moved before they were handed over in good order");
                    return Ok(false);
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "the last note was not committed; trying again");
                    tokio::time::sleep(PAUSE_BETWEEN_TRIES).await;
                }
                Err(_) => {
                    tracing::warn!(
                        "the last commit was not acknowledged in time; finished jobs may be run again"
                    );
                    return Ok(false);
                }
            }
        }
    }
}
