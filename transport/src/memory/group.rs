//! A consumer group: who has which partition, and what the group has committed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::log::Topics;
use crate::consumer::{Event, Revocation, Status};
use crate::error::{TransportError, list_partitions};
use crate::progress::Progress;
use crate::record::{Offset, Partition};

pub(super) type MemberId = u64;

/// Called when partitions that a member gives up are released.
pub(super) type OnRelease = Arc<dyn Fn(MemberId, &[Partition]) + Send + Sync>;

#[derive(Default)]
pub(super) struct Group {
    pub(super) members: BTreeMap<MemberId, Member>,
    // Each with the note of its last commit.
    committed: BTreeMap<Partition, (Offset, String)>,
    // As if a member elsewhere had them.
    withheld: BTreeSet<Partition>,
}

pub(super) struct Member {
    topics: Vec<Arc<str>>,
    drain_timeout: Duration,
    // Each with the next offset to read.
    pub(super) assigned: BTreeMap<Partition, Offset>,
    /// Not to be read for now.
    pub(super) paused: BTreeSet<Partition>,
    // Given up but not released yet; each with the end of the member's patience.
    leaving: BTreeMap<Partition, Instant>,
    pub(super) signals: VecDeque<Event>,
    // It has been told what it has, be it nothing.
    has_joined: bool,
    pub(super) status: watch::Sender<Status>,
    on_release: OnRelease,
}

impl Member {
    pub(super) fn new(topics: Vec<Arc<str>>, drain_timeout: Duration, on_release: OnRelease) -> Self {
        Self {
            topics,
            drain_timeout,
            assigned: BTreeMap::new(),
            paused: BTreeSet::new(),
            leaving: BTreeMap::new(),
            signals: VecDeque::new(),
            has_joined: false,
            status: watch::Sender::new(Status::default()),
            on_release,
        }
    }

    fn owns(&self, partition: &Partition) -> bool {
        self.assigned.contains_key(partition) || self.leaving.contains_key(partition)
    }

    fn give_up(&mut self, id: MemberId, partitions: Vec<Partition>, lost: bool) {
        if partitions.is_empty() {
            return;
        }
        let patience = Instant::now() + self.drain_timeout;
        for partition in &partitions {
            self.assigned.remove(partition);
            self.paused.remove(partition);
            if !lost {
                self.leaving.insert(partition.clone(), patience);
            }
        }
        let on_release = self.on_release.clone();
        let released = partitions.clone();
        let revocation = Revocation::new(partitions, lost, move || on_release(id, &released));
        self.signals.push_back(Event::Revoked(revocation));
    }
}

impl Group {
    /// Moves partitions so that everybody has about as many: those to be moved are given up first, and go to their
    /// new owner once they are released.
    pub(super) fn rebalance(&mut self, topics: &Topics) {
        let names: BTreeSet<Arc<str>> =
            self.members.values().flat_map(|member| member.topics.iter().cloned()).collect();
        let mut give_up: BTreeMap<MemberId, Vec<Partition>> = BTreeMap::new();
        let mut take: BTreeMap<MemberId, Vec<Partition>> = BTreeMap::new();
        for name in names {
            for (partition, target) in self.targets(&name, topics) {
                let owner = self.members.iter().find(|(_, member)| member.assigned.contains_key(&partition));
                match (owner.map(|(id, _)| *id), target) {
                    (Some(owner), target) if target != Some(owner) => {
                        give_up.entry(owner).or_default().push(partition);
                    }
                    (None, Some(target)) if !self.is_leaving(&partition) => {
                        take.entry(target).or_default().push(partition);
                    }
                    _ => {}
                }
            }
        }
        for (id, member) in &mut self.members {
            member.give_up(*id, give_up.remove(id).unwrap_or_default(), false);
            let taken = take.remove(id).unwrap_or_default();
            for partition in &taken {
                let next = self.committed.get(partition).map_or(Offset::ZERO, |(next, _)| *next);
                member.paused.remove(partition);
                member.assigned.insert(partition.clone(), next);
            }
            // A member that gets nothing learns that too, once.
            if !taken.is_empty() || !std::mem::replace(&mut member.has_joined, true) {
                member.has_joined = true;
                member.signals.push_back(Event::Assigned(taken));
            }
        }
    }

    // Who should have each partition of a topic; nobody has what is withheld.
    fn targets(&self, name: &Arc<str>, topics: &Topics) -> Vec<(Partition, Option<MemberId>)> {
        let all =
            (0..topics.partitions(name).unwrap_or(0)).map(|index| Partition { topic: name.clone(), index });
        let (withheld, shared): (Vec<_>, Vec<_>) =
            all.partition(|partition| self.withheld.contains(partition));
        let members: Vec<(MemberId, Vec<&Partition>)> = self
            .members
            .iter()
            .filter(|(_, member)| member.topics.contains(name))
            .map(|(id, member)| (*id, shared.iter().filter(|p| member.assigned.contains_key(p)).collect()))
            .collect();
        let mut targets: Vec<(Partition, Option<MemberId>)> = spread(&shared, members)
            .into_iter()
            .map(|(partition, member)| (partition.clone(), Some(member)))
            .collect();
        targets.extend(withheld.into_iter().map(|partition| (partition, None)));
        targets
    }

    pub(super) fn is_leaving(&self, partition: &Partition) -> bool {
        self.members.values().any(|member| member.leaving.contains_key(partition))
    }

    pub(super) fn is_held(&self, partition: &Partition) -> bool {
        self.members.values().any(|member| member.owns(partition))
    }

    /// As if a member elsewhere had taken these partitions.
    pub(super) fn withhold(&mut self, partitions: &[Partition]) {
        self.withheld.extend(partitions.iter().cloned());
    }

    /// As if that member had left.
    pub(super) fn give_back(&mut self) {
        self.withheld.clear();
    }

    /// Takes partitions away without asking.
    pub(super) fn lose(&mut self, partitions: &[Partition]) {
        for (id, member) in &mut self.members {
            let lost: Vec<Partition> = partitions.iter().filter(|p| member.owns(p)).cloned().collect();
            for partition in &lost {
                member.leaving.remove(partition);
            }
            member.give_up(*id, lost, true);
        }
    }

    pub(super) fn release(&mut self, member: MemberId, partitions: &[Partition]) {
        if let Some(member) = self.members.get_mut(&member) {
            for partition in partitions {
                member.leaving.remove(partition);
            }
        }
    }

    /// Lets go of what was not released in time; whether there was any.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let mut any = false;
        for member in self.members.values_mut() {
            member.leaving.retain(|_, patience| {
                let stays = *patience > now;
                any |= !stays;
                stays
            });
        }
        any
    }

    /// When the next revocation expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.members.values().flat_map(|member| member.leaving.values().copied()).min()
    }

    pub(super) fn commit(
        &mut self,
        member: MemberId,
        progress: &Progress,
        note: &str,
    ) -> Result<(), TransportError> {
        self.check_held(member, progress)?;
        for (partition, next) in progress.iter() {
            self.committed.insert(partition.clone(), (next, note.to_owned()));
        }
        Ok(())
    }

    /// Refuses progress of partitions that the member does not have; nothing at all is always right.
    pub(super) fn check_held(&self, member: MemberId, progress: &Progress) -> Result<(), TransportError> {
        if progress.is_empty() {
            return Ok(());
        }
        let lost = |reason: String| {
            Err(TransportError::LostMembership { what: "cannot commit offsets".into(), reason })
        };
        let Some(member) = self.members.get(&member) else {
            return lost("the consumer is closed".into());
        };
        let foreign: Vec<Partition> =
            progress.iter().filter(|(p, _)| !member.owns(p)).map(|(p, _)| p.clone()).collect();
        if !foreign.is_empty() {
            return lost(format!("{} belong to another member", list_partitions(&foreign)));
        }
        Ok(())
    }

    pub(super) fn committed(&self) -> Progress {
        self.committed.iter().map(|(partition, (next, _))| (partition.clone(), *next)).collect()
    }

    /// What is committed for one partition, with its note.
    pub(super) fn committed_of(&self, partition: &Partition) -> Option<&(Offset, String)> {
        self.committed.get(partition)
    }

    pub(super) fn update_status(&self, topics: &Topics, brokers_up: bool) {
        for member in self.members.values() {
            let lag = member
                .assigned
                .keys()
                .map(|partition| {
                    let done = self.committed.get(partition).map_or(Offset::ZERO, |(next, _)| *next);
                    (partition.clone(), topics.end(partition).get() - done.get())
                })
                .collect();
            let status = Status { brokers_up, lag, assigned: member.assigned.len() };
            member.status.send_if_modified(|old| {
                let changed = *old != status;
                *old = status;
                changed
            });
        }
    }
}

// Spreads partitions evenly; whoever has one keeps it as far as that is even.
fn spread<'a>(
    partitions: &'a [Partition],
    mut members: Vec<(MemberId, Vec<&'a Partition>)>,
) -> BTreeMap<&'a Partition, MemberId> {
    let mut targets = BTreeMap::new();
    if members.is_empty() {
        return targets;
    }
    let base = partitions.len() / members.len();
    let with_one_more = partitions.len() % members.len();
    members.sort_by_key(|(id, owned)| (std::cmp::Reverse(owned.len()), *id));
    let mut room = Vec::new();
    for (place, (id, owned)) in members.iter().enumerate() {
        let quota = base + usize::from(place < with_one_more);
        targets.extend(owned.iter().take(quota).map(|partition| (*partition, *id)));
        room.extend(std::iter::repeat_n(*id, quota.saturating_sub(owned.len())));
    }
    let free: Vec<&Partition> = partitions.iter().filter(|p| !targets.contains_key(p)).collect();
    targets.extend(free.into_iter().zip(room));
    targets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everything_is_spread_evenly_and_little_moves(
            owners in proptest::collection::vec(proptest::option::of(0..5u64), 1..20),
            members in 1..6u64,
        ) {
            let partitions: Vec<Partition> =
                (0..owners.len()).map(|index| Partition::new("t", index as i32)).collect();
            let owned = |id: u64| {
                partitions.iter().zip(&owners).filter(|(_, o)| **o == Some(id)).map(|(p, _)| p).collect::<Vec<_>>()
            };
            let targets = spread(&partitions, (0..members).map(|id| (id, owned(id))).collect());
            prop_assert_eq!(targets.len(), partitions.len());
            for id in 0..members {
                let count = targets.values().filter(|owner| **owner == id).count();
                prop_assert!(count == partitions.len() / members as usize
                    || count == partitions.len() / members as usize + 1);
                let kept = owned(id).iter().filter(|p| targets[**p] == id).count();
                prop_assert_eq!(kept, owned(id).len().min(count));
            }
        }
    }
}
