//! A member of a group in memory.

use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;

use tokio::sync::watch;

use super::cluster::Cluster;
use super::group::{Member, MemberId};
use super::transactions::Membership;
use crate::consumer::{Committed, Consumer, ConsumerOptions, Event, Status};
use crate::error::TransportError;
use crate::progress::Progress;
use crate::record::Partition;

/// A member of a consumer group in memory; leaves the group when it is dropped.
pub struct MemoryConsumer {
    cluster: Arc<Cluster>,
    group: String,
    member: MemberId,
    options: ConsumerOptions,
    // Which partition begins the next chunk, so that none starves.
    turn: usize,
    status: watch::Receiver<Status>,
}

impl MemoryConsumer {
    pub(super) fn join(
        cluster: &Arc<Cluster>,
        group: &str,
        topics: &[String],
        options: ConsumerOptions,
    ) -> Self {
        let (member, status) = cluster.join(group, topics, options.drain_timeout);
        Self { cluster: cluster.clone(), group: group.into(), member, options, turn: 0, status }
    }

    /// Who it is, for transactions that commit for it.
    pub(super) fn membership(&self) -> Membership {
        Membership { group: self.group.clone(), member: self.member }
    }

    fn change_member(&self, change: impl FnOnce(&mut Member)) {
        self.cluster.change(|state| {
            if let Some(member) = state.topics_and_group(&self.group).1.members.get_mut(&self.member) {
                change(member);
            }
        });
    }

    async fn take(&mut self, signals_only: bool) -> Option<Event> {
        let mut changes = self.cluster.changes();
        loop {
            changes.mark_unchanged();
            let expiry = {
                let mut state = self.cluster.lock();
                state.expire_revocations();
                let reachable = state.reachable;
                let (topics, group) = state.topics_and_group(&self.group);
                let member = group.members.get_mut(&self.member)?;
                if let Some(event) = member.signals.pop_front() {
                    return Some(event);
                }
                if reachable && !signals_only {
                    let wanted = member
                        .assigned
                        .iter_mut()
                        .filter(|(partition, _)| !member.paused.contains(*partition))
                        .collect();
                    let records = super::fetch::chunk(topics, wanted, &mut self.turn, &self.options);
                    if !records.is_empty() {
                        return Some(Event::Records(records));
                    }
                }
                group.next_expiry()
            };
            super::cluster::wait_for_change(&mut changes, expiry).await;
        }
    }
}

impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Event> {
        self.take(false).await
    }

    async fn next_signal(&mut self) -> Option<Event> {
        self.take(true).await
    }

    fn commit(
        &self,
        progress: Progress,
        note: &str,
    ) -> impl Future<Output = Result<(), TransportError>> + Send + 'static {
        ready(self.cluster.commit(&self.group, self.member, &progress, note))
    }

    fn committed(
        &self,
        partitions: &[Partition],
    ) -> impl Future<Output = Result<Vec<Committed>, TransportError>> + Send + 'static {
        ready(self.cluster.committed(&self.group, partitions))
    }

    fn pause(&self, partition: &Partition) {
        self.change_member(|member| {
            if member.assigned.contains_key(partition) {
                member.paused.insert(partition.clone());
            }
        });
    }

    fn resume(&self, partition: &Partition) {
        self.change_member(|member| {
            member.paused.remove(partition);
        });
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    async fn close(self) {}
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.cluster.leave(&self.group, self.member);
    }
}

impl fmt::Debug for MemoryConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConsumer").field("group", &self.group).finish_non_exhaustive()
    }
}
