//! The state behind all handles of one in-memory transport.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::group::{Group, Member, MemberId, OnRelease};
use super::log::Topics;
use super::{CommitFault, TransactionFault};
use crate::consumer::{Committed, Status};
use crate::error::{FailedRecord, PublishError, PublishErrorKind, TransportError};
use crate::progress::Progress;
use crate::record::{Partition, Record};

pub(super) struct Cluster {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

pub(super) struct State {
    pub(super) topics: Topics,
    groups: BTreeMap<String, Group>,
    pub(super) reachable: bool,
    pub(super) max_record_bytes: usize,
    pub(super) message_timeout: Duration,
    // For each topic the failures of the next records.
    publish_faults: BTreeMap<String, VecDeque<PublishErrorKind>>,
    commit_faults: VecDeque<CommitFault>,
    pub(super) transaction_faults: VecDeque<TransactionFault>,
    // How often each transactional id has been taken over.
    pub(super) transaction_epochs: BTreeMap<String, u64>,
    // Published while unreachable, oldest first.
    held: VecDeque<Held>,
    next_id: u64,
}

struct Held {
    id: u64,
    records: Vec<Record>,
    done: oneshot::Sender<Result<(), PublishError>>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                topics: Topics::default(),
                groups: BTreeMap::new(),
                reachable: true,
                // As the Kafka producer's `message.max.bytes` and `message.timeout.ms`.
                max_record_bytes: 4 * 1024 * 1024,
                message_timeout: Duration::from_secs(30),
                publish_faults: BTreeMap::new(),
                commit_faults: VecDeque::new(),
                transaction_faults: VecDeque::new(),
                transaction_epochs: BTreeMap::new(),
                held: VecDeque::new(),
                next_id: 0,
            }),
            changed: watch::Sender::new(()),
        }
    }
}

/// Waits until something has changed, or until an expiry.
pub(super) async fn wait_for_change(changes: &mut watch::Receiver<()>, expiry: Option<Instant>) {
    let expired = async {
        match expiry {
            Some(expiry) => tokio::time::sleep_until(expiry).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // The sender lives as long as the cluster, which the caller holds.
        _changed = changes.changed() => {}
        () = expired => {}
    }
}

impl Cluster {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the cluster panics")
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Changes the state, lets every group settle, and wakes everybody.
    ///
    /// What `change` returns is dropped by the caller, outside the lock: revocations among it call back.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = {
            let mut state = self.lock();
            let result = change(&mut state);
            state.settle();
            result
        };
        self.changed.send_replace(());
        result
    }

    pub(super) fn join(
        self: &Arc<Self>,
        group: &str,
        topics: &[String],
        drain_timeout: Duration,
    ) -> (MemberId, watch::Receiver<Status>) {
        let on_release = self.on_release(group);
        self.change(|state| {
            state.next_id += 1;
            let id = state.next_id;
            let topics = topics.iter().map(|topic| topic.as_str().into()).collect();
            let member = Member::new(topics, drain_timeout, on_release);
            let status = member.status.subscribe();
            let (_, group) = state.topics_and_group(group);
            group.members.insert(id, member);
            (id, status)
        })
    }

    pub(super) fn leave(&self, group: &str, member: MemberId) {
        let left = self.change(|state| state.topics_and_group(group).1.members.remove(&member));
        drop(left);
    }

    fn on_release(self: &Arc<Self>, group: &str) -> OnRelease {
        // Weak: the cluster owns the members, which own this.
        let cluster: Weak<Self> = Arc::downgrade(self);
        let group = group.to_owned();
        Arc::new(move |member: MemberId, partitions: &[Partition]| {
            if let Some(cluster) = cluster.upgrade() {
                cluster.change(|state| state.topics_and_group(&group).1.release(member, partitions));
            }
        })
    }

    pub(super) fn commit(
        &self,
        group: &str,
        member: MemberId,
        progress: &Progress,
        note: &str,
    ) -> Result<(), TransportError> {
        if progress.is_empty() {
            return Ok(());
        }
        let what = || "cannot commit offsets".to_owned();
        self.change(|state| {
            if let Some(fault) = state.commit_faults.pop_front() {
                return Err(fault.error());
            }
            if !state.reachable {
                return Err(TransportError::Unavailable {
                    what: what(),
                    reason: "no broker is reachable".into(),
                });
            }
            state.topics_and_group(group).1.commit(member, progress, note)
        })
    }

    pub(super) fn committed(
        &self,
        group: &str,
        partitions: &[Partition],
    ) -> Result<Vec<Committed>, TransportError> {
        let mut state = self.lock();
        if !state.reachable {
            return Err(TransportError::Unavailable {
                what: "cannot ask what the group has committed".into(),
                reason: "no broker is reachable".into(),
            });
        }
        let (topics, group) = state.topics_and_group(group);
        let committed = partitions.iter().map(|partition| {
            let (next, note) = group.committed_of(partition).cloned().unzip();
            let end = topics.end(partition);
            Committed { partition: partition.clone(), next, note: note.unwrap_or_default(), end }
        });
        Ok(committed.collect())
    }

    /// Takes over a transactional id, if a broker is reachable; how often that has been done.
    pub(super) fn take_over(&self, transactional_id: &str) -> Result<u64, TransportError> {
        self.change(|state| {
            if !state.reachable {
                return Err(TransportError::Unavailable {
                    what: format!("cannot take over transactional id `{transactional_id}`"),
                    reason: "no broker is reachable".into(),
                });
            }
            let epoch = state.transaction_epochs.entry(transactional_id.into()).or_default();
            *epoch += 1;
            Ok(*epoch)
        })
    }

    /// Publishes now, or when the brokers are reachable again; the id finds what is held until then.
    pub(super) fn publish(
        &self,
        records: Vec<Record>,
    ) -> (Option<u64>, oneshot::Receiver<Result<(), PublishError>>) {
        let (done, result) = oneshot::channel();
        let held = self.change(|state| {
            if state.reachable {
                // Nobody waits when the future was dropped.
                drop(done.send(state.append(records)));
                return None;
            }
            state.next_id += 1;
            let id = state.next_id;
            state.held.push_back(Held { id, records, done });
            Some(id)
        });
        (held, result)
    }

    /// Gives up on what is held; whether it still was.
    pub(super) fn give_up(&self, id: u64) -> bool {
        self.change(|state| {
            let before = state.held.len();
            state.held.retain(|held| held.id != id);
            state.held.len() < before
        })
    }

    pub(super) fn set_reachable(&self, reachable: bool) {
        self.change(|state| {
            state.reachable = reachable;
            while reachable && let Some(held) = state.held.pop_front() {
                let result = state.append(held.records);
                drop(held.done.send(result));
            }
        });
    }

    pub(super) fn fail_publishes(&self, topic: &str, kind: PublishErrorKind, count: usize) {
        self.change(|state| {
            let faults = state.publish_faults.entry(topic.into()).or_default();
            faults.extend(std::iter::repeat_n(kind, count));
        });
    }

    pub(super) fn fail_commits(&self, fault: CommitFault, count: usize) {
        self.change(|state| state.commit_faults.extend(std::iter::repeat_n(fault, count)));
    }

    pub(super) fn fail_transactions(&self, fault: TransactionFault, count: usize) {
        self.change(|state| state.transaction_faults.extend(std::iter::repeat_n(fault, count)));
    }
}

impl State {
    pub(super) fn topics_and_group(&mut self, group: &str) -> (&Topics, &mut Group) {
        (&self.topics, self.groups.entry(group.into()).or_default())
    }

    /// Lets go of what was not released in time.
    pub(super) fn expire_revocations(&mut self) {
        let now = Instant::now();
        for group in self.groups.values_mut() {
            if group.expire(now) {
                group.rebalance(&self.topics);
            }
        }
    }

    fn settle(&mut self) {
        self.expire_revocations();
        for group in self.groups.values_mut() {
            group.rebalance(&self.topics);
            group.update_status(&self.topics, self.reachable);
        }
    }

    fn append(&mut self, records: Vec<Record>) -> Result<(), PublishError> {
        let total = records.len();
        let mut failures = Vec::new();
        for (index, record) in records.into_iter().enumerate() {
            if let Some((kind, reason)) = self.refusal(&record) {
                failures.push(FailedRecord { index, kind, reason });
            } else if self.topics.append(record).is_none() {
                unreachable!("a record of a missing topic is refused");
            }
        }
        PublishError::from_failures(failures, total).map_or(Ok(()), Err)
    }

    pub(super) fn refusal(&mut self, record: &Record) -> Option<(PublishErrorKind, String)> {
        let topic = &record.topic;
        if let Some(kind) = self.publish_faults.get_mut(&**topic).and_then(VecDeque::pop_front) {
            return Some((kind, format!("topic `{topic}`: an injected failure")));
        }
        let size = record.size();
        if size > self.max_record_bytes {
            let reason =
                format!("its {size} bytes are more than topic `{topic}` takes ({})", self.max_record_bytes);
            return Some((PublishErrorKind::TooLarge, reason));
        }
        if self.topics.partitions(topic).is_none() {
            return Some((PublishErrorKind::Fatal, format!("topic `{topic}` does not exist; create it")));
        }
        None
    }
}
