//! One dead letter.

use schemas::{
    DeadLetterReason, DecodeError, ERROR_HEADER_PREFIX, FailureCode, Headers, JobId, Retry, Stage, TopicNames,
};
use transport::{Position, Received, Record};

/// How often a record was sent again, in decimal digits; a header of its own kind, passed on by every stage.
pub const REPLAY_COUNT: &str = "ms_replay_count";

/// The original record of a failed job, and why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The job: `ce_id`, or the place it was read from.
    pub id: JobId,
    /// Where the dead letter lies.
    pub position: Position,
    /// Why, where and when it failed.
    pub reason: DeadLetterReason,
    /// What its headers say, apart from the reason; what cannot be read is left out.
    pub headers: Headers,
    /// The record as it lies there.
    pub record: Record,
}

impl DeadLetter {
    /// Reads a record of a topic of dead letters.
    ///
    /// # Errors
    ///
    /// When its reason is missing or cannot be read.
    pub fn read(received: Received) -> Result<Self, DecodeError> {
        let Received { record, position, .. } = received;
        let pairs = || record.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
        let reason = DeadLetterReason::read(pairs())?.ok_or_else(|| DecodeError {
            code: FailureCode::InvalidInput,
            path: "headers.ms_error_code".to_owned(),
            message: "is missing, so this is not a dead letter".to_owned(),
        })?;
        let (headers, _) = Headers::read(pairs());
        let id = headers.id.clone();
        let id = id.unwrap_or_else(|| JobId::from_position(&reason.topic, reason.partition, reason.offset));
        Ok(Self { id, position, reason, headers, record })
    }

    /// How often it was sent again already.
    pub fn replays(&self) -> u32 {
        let header = self.record.headers.iter().rfind(|header| header.name == REPLAY_COUNT);
        let text = header.and_then(|header| std::str::from_utf8(header.value.as_deref()?).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether its value is not that of the job because it was too large for the topic.
    pub fn is_truncated(&self) -> bool {
        self.record.value.is_none() && self.reason.message.starts_with("(value of ")
    }

    /// The headers of the record as it was before it failed.
    pub fn original_headers(&self) -> impl Iterator<Item = &transport::Header> {
        self.record.headers.iter().filter(|header| !header.name.starts_with(ERROR_HEADER_PREFIX))
    }

    /// The topic of the stage that the job was on its way to: where it was read, or, if that was while it waited to be run
    /// again, where it would have gone back to.
    pub fn stage_topic<'a>(&self, topics: &'a TopicNames) -> Option<&'a str> {
        let find =
            |topic: &str| Stage::ALL.into_iter().map(|s| topics.of_stage(s)).find(|name| *name == topic);
        if let Some(topic) = find(&self.reason.topic) {
            return Some(topic);
        }
        if !topics.retries.contains(&self.reason.topic) {
            return None;
        }
        let pairs = self.record.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
        let retry = Retry::read(pairs).ok();
        let of_retry = retry.and_then(|retry| find(&retry.topic));
        let stage: Option<Stage> = self.reason.stage.parse().ok();
        of_retry.or_else(|| stage.map(|stage| topics.of_stage(stage)))
    }
}
