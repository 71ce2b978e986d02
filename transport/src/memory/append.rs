//! What is written: all records that can be, or the reasons why not.

use std::collections::VecDeque;

use super::cluster::State;
use crate::error::{FailedRecord, PublishError, PublishErrorKind};
use crate::record::Record;

impl State {
    pub(super) fn append(&mut self, records: Vec<Record>) -> Result<(), PublishError> {
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

    /// The largest record that a topic takes.
    pub(super) fn max_bytes(&self, topic: &str) -> usize {
        let own = self.topic_max_record_bytes.get(topic).copied();
        own.map_or(self.max_record_bytes, |own| own.min(self.max_record_bytes))
    }

    pub(super) fn refusal(&mut self, record: &Record) -> Option<(PublishErrorKind, String)> {
        let topic = &record.topic;
        if let Some(kind) = self.publish_faults.get_mut(&**topic).and_then(VecDeque::pop_front) {
            return Some((kind, format!("topic `{topic}`: an injected failure")));
        }
        let (size, most) = (record.size(), self.max_bytes(topic));
        if size > most {
            let reason = format!("its {size} bytes are more than topic `{topic}` takes ({most})");
            return Some((PublishErrorKind::TooLarge, reason));
        }
        if self.topics.partitions(topic).is_none() {
            return Some((PublishErrorKind::Fatal, format!("topic `{topic}` does not exist; create it")));
        }
        None
    }
}
