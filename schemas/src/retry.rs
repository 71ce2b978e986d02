//! A job that waits to be run again: headers added to its record while it lies in a retry topic.

use schemars::JsonSchema;

use crate::headers::{HeaderPair, HeaderWriter, text_of};
use crate::{DecodeError, FailureCode, Timestamp};

/// What every header that a retry adds begins with.
pub const RETRY_HEADER_PREFIX: &str = "ms_retry_";

const TOPIC: &str = "ms_retry_topic";
const DUE: &str = "ms_retry_due";
const CODE: &str = "ms_retry_code";

/// Where a job goes back to, when, and why it waits. Key and value of its record are those of the job; `ce_attempt` is that
/// of the run to come.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "RetryHeaders")]
pub struct Retry {
    /// The topic that it was read from and goes back to.
    #[schemars(rename = "ms_retry_topic")]
    pub topic: String,
    /// When it is to be run again, at the earliest, RFC 3339.
    #[schemars(rename = "ms_retry_due")]
    pub due: Timestamp,
    /// What its last run failed with.
    #[schemars(rename = "ms_retry_code")]
    pub code: FailureCode,
}

impl Retry {
    /// The `ms_retry_*` headers.
    pub fn write(&self) -> Vec<HeaderPair> {
        let mut writer = HeaderWriter::default();
        writer.put(TOPIC, &self.topic);
        writer.put(DUE, self.due.as_str());
        writer.put(CODE, self.code.as_str());
        writer.finish()
    }

    /// Reads them from the headers of a record in a retry topic.
    ///
    /// # Errors
    ///
    /// If one of them is missing or cannot be read.
    pub fn read<'a>(
        pairs: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Self, DecodeError> {
        let found: Vec<(&str, Option<&[u8]>)> =
            pairs.into_iter().filter(|(name, _)| name.starts_with(RETRY_HEADER_PREFIX)).collect();
        let fault = |name: &str, message: String| DecodeError::invalid(format!("headers.{name}"), message);
        let get = |wanted: &'static str| match found.iter().rfind(|(name, _)| *name == wanted) {
            Some((_, value)) => text_of(wanted, *value),
            None => Err(fault(wanted, "is missing".to_owned())),
        };
        Ok(Self {
            topic: get(TOPIC)?.to_owned(),
            due: get(DUE)?.parse().map_err(|error| fault(DUE, format!("{error}")))?,
            code: get(CODE)?.parse().map_err(|error| fault(CODE, format!("{error}")))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes_and_names_what_is_missing() {
        let due = Timestamp::from_unix_millis(1_700_000_000_000);
        let retry = Retry { topic: "t".into(), due, code: FailureCode::Timeout };
        let pairs = retry.write();
        let read = |skip: &str| {
            let kept = pairs.iter().filter(|(name, _)| name != skip);
            Retry::read(kept.map(|(name, value)| (&**name, value.as_deref())))
        };
        assert_eq!(read(""), Ok(retry.clone()));
        assert_eq!(read(DUE).unwrap_err().path, "headers.ms_retry_due");
    }
}
