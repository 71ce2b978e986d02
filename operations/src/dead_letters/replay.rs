//! Sends dead letters again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use schemas::{JobId, RETRY_HEADER_PREFIX, Timestamp, TopicNames};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use transport::{Header, Position, PublishError, Publisher, ReadFrom, Record, Transport, TransportError};

use super::filter::Filter;
use super::letter::{DeadLetter, REPLAY_COUNT};
use super::list::{Found, next};
use crate::scan::{self, Ends};

/// Records that wait for their acknowledgement together.
const CHUNK: usize = 256;
/// Bytes of these at most.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// How many skipped records are told; all are counted.
const MAX_TOLD: usize = 100;
/// Who writes a record that is sent again: the job begins anew, so it does not come from a stage.
const SOURCE: &str = "/millstream/producer/replay";

/// Where dead letters are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReplayTo {
    /// To the stage that failed.
    #[default]
    Failed,
    /// To the first stage of the pipeline.
    Start,
}

/// How dead letters are sent again.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Where to.
    pub to: ReplayTo,
    /// Those that were sent so often are left where they are.
    pub max_replays: u32,
    /// Leave a deadline out that has passed.
    pub reset_deadline: bool,
    /// Records a second at most.
    pub rate: Option<f64>,
    /// Send nothing, only say what would be sent.
    pub dry_run: bool,
}

impl Default for Replay {
    fn default() -> Self {
        Self { to: ReplayTo::default(), max_replays: 3, reset_deadline: false, rate: None, dry_run: false }
    }
}

/// Why a dead letter was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// It was sent too often already.
    OverLimit,
    /// Its value was left out because it was too large for the topic.
    Truncated,
    /// It has no value, so it is no job.
    WithoutValue,
    /// It cannot be read.
    Unreadable,
    /// Kafka did not acknowledge it.
    NotAcknowledged,
}

impl Skip {
    /// In words.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::OverLimit => "sent too often already",
            Self::Truncated => {
                "its value was left out because it was too large for the topic of dead letters"
            }
            Self::WithoutValue => "it has no value, so it is no job",
            Self::Unreadable => "it cannot be read",
            Self::NotAcknowledged => "not acknowledged",
        }
    }
}

/// A dead letter that was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The job, if it is known.
    pub id: Option<JobId>,
    /// Where the dead letter lies: `partition/offset`.
    pub position: String,
    /// Why.
    pub skip: Skip,
    /// More about it.
    pub why: String,
}

/// What a replay did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Dead letters that the filter lets through.
    pub matching: u64,
    /// Those that are earlier failures of a job that has a newer one; only that is sent.
    pub superseded: u64,
    /// Sent and acknowledged; in a dry run, those that would be sent.
    pub sent: u64,
    /// These by the topic that they go to.
    pub by_topic: BTreeMap<String, u64>,
    /// Sent with a deadline that has passed, so they will fail as `expired`.
    pub expired: u64,
    /// Sent without their deadline, which had passed.
    pub deadlines_reset: u64,
    /// Not sent, by the reason.
    pub skipped: BTreeMap<Skip, u64>,
    /// The first of those.
    pub skipped_letters: Vec<Skipped>,
    /// Whether nothing was really sent.
    pub dry_run: bool,
}

impl Replayed {
    /// How many were not sent.
    pub fn skipped_count(&self) -> u64 {
        self.skipped.values().sum()
    }

    fn skip(&mut self, id: Option<&JobId>, at: &Position, skip: Skip, why: String) {
        *self.skipped.entry(skip).or_default() += 1;
        if self.skipped_letters.len() < MAX_TOLD {
            let position = format!("{}/{}", at.partition.index, at.offset);
            self.skipped_letters.push(Skipped { id: id.cloned(), position, skip, why });
        }
    }
}

/// Sends the dead letters that the filter lets through and that lie before `ends`, the newest of each job. A record keeps its
/// key, its value and its headers, except that it begins anew: without the reason, without attempts and retries, with the id
/// by which it failed, and with one replay more counted.
///
/// # Errors
///
/// When the topic cannot be read, or nothing can be published at all. A record that is not acknowledged is not an error
/// but told in [`Replayed::skipped`].
pub async fn replay<T: Transport>(
    transport: &T,
    topics: &TopicNames,
    filter: &Filter,
    ends: &Ends,
    options: &Replay,
) -> Result<Replayed, TransportError> {
    let newest = newest(transport, topics, filter, ends).await?;
    let mut outbox = Outbox {
        publisher: transport.publisher().await?,
        options,
        pace: Pace::new(options.rate),
        replayed: Replayed { dry_run: options.dry_run, ..Replayed::default() },
        waiting: Vec::new(),
        bytes: 0,
    };
    let mut records = scan::open(transport, &topics.dead_letters, ReadFrom::Beginning, ends).await?;
    while let Some(found) = next(&mut records, topics, filter).await? {
        match found {
            Found::Unreadable(position, error) => {
                outbox.replayed.skip(None, &position, Skip::Unreadable, error.to_string());
            }
            Found::Letter(letter) => {
                outbox.replayed.matching += 1;
                if newest.get(&letter.id).is_some_and(|(_, position)| *position != letter.position) {
                    outbox.replayed.superseded += 1;
                    continue;
                }
                outbox.take(*letter, topics).await?;
            }
        }
    }
    outbox.flush().await?;
    Ok(outbox.replayed)
}

type Newest = HashMap<JobId, (Timestamp, Position)>;

/// For each job its last dead letter.
async fn newest<T: Transport>(
    transport: &T,
    topics: &TopicNames,
    filter: &Filter,
    ends: &Ends,
) -> Result<Newest, TransportError> {
    let mut newest = Newest::new();
    let mut records = scan::open(transport, &topics.dead_letters, ReadFrom::Beginning, ends).await?;
    while let Some(found) = next(&mut records, topics, filter).await? {
        let Found::Letter(letter) = found else { continue };
        let DeadLetter { id, position, reason, .. } = *letter;
        if newest.get(&id).is_none_or(|(time, _)| *time <= reason.time) {
            newest.insert(id, (reason.time, position));
        }
    }
    Ok(newest)
}

struct Outbox<'a, P> {
    publisher: P,
    options: &'a Replay,
    pace: Pace,
    replayed: Replayed,
    waiting: Vec<(JobId, Position, Record)>,
    bytes: usize,
}

impl<P: Publisher> Outbox<'_, P> {
    async fn take(&mut self, letter: DeadLetter, topics: &TopicNames) -> Result<(), TransportError> {
        let replays = letter.replays();
        let skip = if letter.is_truncated() {
            Some(Skip::Truncated)
        } else if letter.record.value.is_none() {
            Some(Skip::WithoutValue)
        } else {
            (replays >= self.options.max_replays).then_some(Skip::OverLimit)
        };
        if let Some(skip) = skip {
            let why = match skip {
                Skip::OverLimit => format!("sent {replays} times already; --max-replays allows more"),
                skip => skip.reason().to_owned(),
            };
            self.replayed.skip(Some(&letter.id), &letter.position, skip, why);
            return Ok(());
        }
        let topic = match self.options.to {
            ReplayTo::Start => Some(topics.preprocess.as_str()),
            ReplayTo::Failed => letter.stage_topic(topics),
        };
        // The filter lets nothing else through.
        let Some(topic) = topic else { return Ok(()) };
        let is_late = letter.headers.deadline.as_ref().is_some_and(|deadline| *deadline <= Timestamp::now());
        let reset = is_late && self.options.reset_deadline;
        self.replayed.expired += u64::from(is_late && !reset);
        self.replayed.deadlines_reset += u64::from(reset);
        let record = anew(&letter, topic, replays + 1, reset);
        if self.options.dry_run {
            self.count(&record);
            return Ok(());
        }
        self.bytes += record.size();
        self.waiting.push((letter.id, letter.position, record));
        if self.pace.is_limited() || self.waiting.len() >= CHUNK || self.bytes >= CHUNK_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    fn count(&mut self, record: &Record) {
        self.replayed.sent += 1;
        *self.replayed.by_topic.entry(record.topic.to_string()).or_default() += 1;
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        self.pace.wait().await;
        let records = waiting.iter().map(|(.., record)| record.clone()).collect();
        let outcome = self.publisher.publish(records).await;
        let failures = outcome.as_ref().err().map(PublishError::failures).unwrap_or_default();
        for (index, (id, position, record)) in waiting.iter().enumerate() {
            match failures.iter().find(|failure| failure.index == index) {
                None => self.count(record),
                Some(failure) => {
                    let why = failure.reason.clone();
                    self.replayed.skip(Some(id), position, Skip::NotAcknowledged, why);
                }
            }
        }
        match outcome {
            // The others would fare the same.
            Err(error) if error.is_fatal() => Err(TransportError::Fatal {
                what: format!("cannot send dead letters again ({} were sent before)", self.replayed.sent),
                reason: error.to_string(),
            }),
            _ => Ok(()),
        }
    }
}

/// The record as a new job.
fn anew(letter: &DeadLetter, topic: &str, replays: u32, reset_deadline: bool) -> Record {
    let dropped = |name: &str| {
        matches!(name, "ce_attempt" | "ce_source" | REPLAY_COUNT)
            || name.starts_with(RETRY_HEADER_PREFIX)
            || name == "ce_deadline" && reset_deadline
            // One that cannot be read would fail it again; the id by which it is known stands in its place.
            || name == "ce_id" && letter.headers.id.is_none()
    };
    let mut headers: Vec<Header> =
        letter.original_headers().filter(|header| !dropped(&header.name)).cloned().collect();
    if letter.headers.id.is_none() {
        headers.push(Header::new("ce_id", letter.id.to_string()));
    }
    headers.push(Header::new("ce_source", SOURCE));
    headers.push(Header::new(REPLAY_COUNT, replays.to_string()));
    let Record { key, value, .. } = letter.record.clone();
    Record { topic: topic.into(), key, value, headers }
}

/// So many records a second: each waits for its turn.
struct Pace {
    step: Option<Duration>,
    next: Instant,
}

impl Pace {
    fn new(rate: Option<f64>) -> Self {
        let step = rate.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        Self { step, next: Instant::now() }
    }

    fn is_limited(&self) -> bool {
        self.step.is_some()
    }

    async fn wait(&mut self) {
        let Some(step) = self.step else { return };
        sleep_until(self.next).await;
        // Time that was lost is not made up for: never faster than the rate.
        self.next = Instant::now() + step;
    }
}
