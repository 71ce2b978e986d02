//! Works a pipeline's dead letters: the original records of failed jobs, with the reason in their headers.
//!
//! Everything reads up to a fixed [end](ends), taken once: what is listed before a question is asked is what is sent or
//! deleted after it, and a replay never meets what its own jobs have failed with.
//!
//! - [`list()`] counts those that a [`Filter`] lets through and gives the newest; [`find`] gives whole ones.
//! - [`Payload`] is what was in one, for people.
//! - [`replay()`] sends them again; the newest of each job only, since the older ones are earlier failures of the same.
//! - [`plan_purge`] says up to which offsets they can be deleted.

mod filter;
mod letter;
mod list;
mod payload;
mod purge;
mod replay;
#[cfg(test)]
mod tests;

use std::time::Duration;

use schemas::TopicNames;
use transport::{Transport, TransportError};

pub use self::filter::Filter;
pub use self::letter::{DeadLetter, REPLAY_COUNT};
pub use self::list::{Listing, Summary, find, list};
pub use self::payload::Payload;
pub use self::purge::{Purge, plan_purge};
pub use self::replay::{Replay, ReplayTo, Replayed, Skip, Skipped, replay};
use crate::scan::{self, Ends};

/// How long a transaction that is under way may hold up the topic's end.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where the pipeline's dead letters end now.
///
/// # Errors
///
/// When the topic cannot be read.
pub async fn ends<T: Transport>(transport: &T, topics: &TopicNames) -> Result<Ends, TransportError> {
    scan::ends(transport, &topics.dead_letters, &Ends::new(), PATIENCE).await
}
