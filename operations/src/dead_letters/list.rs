//! Finds dead letters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use schemas::{DecodeError, JobId, Timestamp, TopicNames};
use serde::Serialize;
use transport::{Offset, Position, ReadFrom, Reader, Transport, TransportError};

use super::filter::Filter;
use super::letter::DeadLetter;
use crate::scan::{self, Ends, Scan};

/// One dead letter in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// When it failed.
    pub time: Timestamp,
    /// Its code, as it is written on the wire.
    pub code: &'static str,
    /// The stage that gave up on it.
    pub stage: String,
    /// The job.
    pub id: JobId,
    /// Its partition in the topic of dead letters.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// What went wrong.
    pub message: String,
    /// The bytes of its value.
    pub bytes: usize,
    /// How often it was sent again.
    pub replays: u32,
    /// Whether its value was left out.
    pub truncated: bool,
}

/// What a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The newest, newest first.
    pub letters: Vec<Summary>,
    /// How many there are that the filter lets through.
    pub matching: u64,
    /// These by code.
    pub by_code: BTreeMap<&'static str, u64>,
    /// These by stage.
    pub by_stage: BTreeMap<String, u64>,
    /// Records that are no dead letters or cannot be read, wherever they come from.
    pub unreadable: u64,
}

/// What lies on a topic of dead letters.
pub(super) enum Found {
    Letter(Box<DeadLetter>),
    Unreadable(Position, DecodeError),
}

/// The next record that is meant, or that cannot be read.
pub(super) async fn next<R: Reader>(
    records: &mut Scan<'_, R>,
    topics: &TopicNames,
    filter: &Filter,
) -> Result<Option<Found>, TransportError> {
    while let Some(received) = records.next().await? {
        let position = received.position.clone();
        match DeadLetter::read(received) {
            Ok(letter) if filter.admits(&letter, topics) => return Ok(Some(Found::Letter(Box::new(letter)))),
            Ok(_) => {}
            Err(error) => return Ok(Some(Found::Unreadable(position, error))),
        }
    }
    Ok(None)
}

/// Counts the dead letters that the filter lets through, and gives the newest `limit` of them.
///
/// # Errors
///
/// When the topic cannot be read.
pub async fn list<T: Transport>(
    transport: &T,
    topics: &TopicNames,
    filter: &Filter,
    ends: &Ends,
    limit: usize,
) -> Result<Listing, TransportError> {
    let mut listing = Listing::default();
    let mut newest = BinaryHeap::new();
    let mut records = scan::open(transport, &topics.dead_letters, ReadFrom::Beginning, ends).await?;
    while let Some(found) = next(&mut records, topics, filter).await? {
        let letter = match found {
            Found::Letter(letter) => letter,
            Found::Unreadable(position, error) => {
                tracing::warn!(%position, %error, "this is no dead letter that can be read");
                listing.unreadable += 1;
                continue;
            }
        };
        listing.matching += 1;
        *listing.by_code.entry(letter.reason.code.as_str()).or_default() += 1;
        *listing.by_stage.entry(letter.reason.stage.clone()).or_default() += 1;
        newest.push(Reverse(Newest(summary(&letter))));
        if newest.len() > limit {
            newest.pop();
        }
    }
    listing.letters = newest.into_sorted_vec().into_iter().map(|Reverse(Newest(summary))| summary).collect();
    Ok(listing)
}

/// The dead letters that the filter lets through, whole: the newest one, or the one at a place, and how many there are.
///
/// # Errors
///
/// When the topic cannot be read.
pub async fn find<T: Transport>(
    transport: &T,
    topics: &TopicNames,
    filter: &Filter,
    ends: &Ends,
    at: Option<(i32, Offset)>,
) -> Result<(Option<DeadLetter>, u64), TransportError> {
    let from = match at {
        None => ReadFrom::Beginning,
        // Nothing of the other partitions.
        Some((partition, offset)) => {
            let mut from = ends.clone();
            from.insert(partition, offset);
            ReadFrom::Offsets(from)
        }
    };
    let (mut newest, mut count) = (None::<DeadLetter>, 0);
    let mut records = scan::open(transport, &topics.dead_letters, from, ends).await?;
    while let Some(found) = next(&mut records, topics, filter).await? {
        let Found::Letter(letter) = found else { continue };
        let is_there = |(partition, offset)| {
            letter.position.partition.index == partition && letter.position.offset == offset
        };
        match at {
            Some(at) if is_there(at) => return Ok((Some(*letter), 1)),
            Some(_) => {}
            None => {
                count += 1;
                if newest.as_ref().is_none_or(|newest| newest.reason.time <= letter.reason.time) {
                    newest = Some(*letter);
                }
            }
        }
    }
    Ok((newest, count))
}

fn summary(letter: &DeadLetter) -> Summary {
    Summary {
        time: letter.reason.time.clone(),
        code: letter.reason.code.as_str(),
        stage: letter.reason.stage.clone(),
        id: letter.id.clone(),
        partition: letter.position.partition.index,
        offset: letter.position.offset.get(),
        message: letter.reason.message.clone(),
        bytes: letter.record.value.as_ref().map_or(0, bytes::Bytes::len),
        replays: letter.replays(),
        truncated: letter.is_truncated(),
    }
}

/// Ordered by time, the same times by place.
#[derive(PartialEq, Eq)]
struct Newest(Summary);

impl Newest {
    fn rank(&self) -> (&Timestamp, i32, i64) {
        (&self.0.time, self.0.partition, self.0.offset)
    }
}

impl PartialOrd for Newest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Newest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}
