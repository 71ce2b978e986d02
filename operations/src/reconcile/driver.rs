//! Feeds the reconciler from a transport: every topic, from a point to a fixed end.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::Timestamp;
use transport::{Offset, Partition, Progress, ReadFrom, Received, Transport, TransportError};

use super::Reconciler;
use super::options::{Options, Role};
use super::report::Report;
use crate::scan;

/// How long a transaction that is under way may hold up the ends of the topics. The brokers end it within its timeout.
const PATIENCE: Duration = Duration::from_secs(90);

/// What has to be known before a topic is read.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What the groups have committed; looked up before anything else, so that what it led to lies before the ends.
    pub committed: Progress,
    /// Where each partition ended after that, transactions under way included: reading goes at least as far.
    pub at_least: Progress,
    /// Where to begin in each partition; those that are not named are read from the beginning.
    pub begin: Progress,
    /// The first offset that each partition still has, where it is not 0.
    pub low: Progress,
    /// Roles whose topics do not exist.
    pub absent: Vec<Role>,
}

/// Reads the topics and judges what is in them.
///
/// The ends are looked up once, results first: what lies before them came from what is read, also while workers run.
///
/// # Errors
///
/// When a topic cannot be read.
pub async fn run<T: Transport>(
    transport: &T,
    mut options: Options,
    plan: &Plan,
) -> Result<Report, TransportError> {
    let roles = || Role::DOWNSTREAM_FIRST.into_iter().filter(|role| !plan.absent.contains(role));
    let mut ends = BTreeMap::new();
    for role in roles() {
        let topic = role.topic(&options.topics).to_owned();
        let found = scan::ends(transport, &topic, &of_topic(&plan.at_least, &topic), PATIENCE).await?;
        options.partitions.insert(topic.clone(), i32::try_from(found.len()).unwrap_or(i32::MAX));
        ends.insert(topic, found);
    }
    let topics = options.topics.clone();
    let mut reconciler = Reconciler::new(options);
    let mut gone =
        plan.low.iter().map(|(partition, _)| (partition.clone(), None)).collect::<BTreeMap<_, _>>();
    for role in roles() {
        let topic = role.topic(&topics);
        let from = ReadFrom::Offsets(of_topic(&plan.begin, topic));
        let mut records = scan::open(transport, topic, from, &ends[topic]).await?;
        while let Some(received) = records.next().await? {
            note_first(&mut gone, &received);
            reconciler.observe(role, &received);
        }
    }
    note_gone(&mut reconciler.options, &gone);
    Ok(reconciler.finish(&plan.committed))
}

/// The part of `progress` that is about one topic.
fn of_topic(progress: &Progress, topic: &str) -> BTreeMap<i32, Offset> {
    let of_topic = progress.iter().filter(|(partition, _)| &*partition.topic == topic);
    of_topic.map(|(partition, offset)| (partition.index, offset)).collect()
}

type FirstTimes = BTreeMap<Partition, Option<i64>>;

/// The time of the first record that is left in a partition which has lost some.
fn note_first(gone: &mut FirstTimes, received: &Received) {
    if gone.is_empty() {
        return;
    }
    if let Some(first @ None) = gone.get_mut(&received.position.partition) {
        *first = Some(received.timestamp_ms.unwrap_or(0));
    }
}

fn note_gone(options: &mut Options, gone: &FirstTimes) {
    let later = |known: &mut Option<Timestamp>, time: Timestamp| {
        if known.as_ref().is_none_or(|known| *known < time) {
            *known = Some(time);
        }
    };
    for (Partition { topic, .. }, first) in gone {
        if **topic == *options.topics.dead_letters {
            // Purged to the end: until now.
            let time = first.map_or_else(Timestamp::now, Timestamp::from_unix_millis);
            later(&mut options.gone.dead_letters_until, time);
        } else {
            options.gone.any = true;
            if let Some(first) = first {
                later(&mut options.gone.jobs_until, Timestamp::from_unix_millis(*first));
            }
        }
    }
}
