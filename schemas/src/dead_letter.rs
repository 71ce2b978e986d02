//! Why a record lies in the dead letters: headers added to the original record.

use bytes::Bytes;
use schemars::JsonSchema;

use crate::error::{quoted, shortened};
use crate::headers::{HeaderPair, HeaderWriter, text_of};
use crate::{DecodeError, FailureCode, Timestamp};

/// What every header that a dead letter adds begins with.
pub const ERROR_HEADER_PREFIX: &str = "ms_error_";

const CODE: &str = "ms_error_code";
const MESSAGE: &str = "ms_error_message";
const STAGE: &str = "ms_error_stage";
const TOPIC: &str = "ms_error_topic";
const PARTITION: &str = "ms_error_partition";
const OFFSET: &str = "ms_error_offset";
const TIME: &str = "ms_error_time";

/// Why, where and when a record failed. Key, value and the other headers of a dead letter are those of the record.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "DeadLetterHeaders")]
pub struct DeadLetterReason {
    /// What kind of failure it is.
    #[schemars(rename = "ms_error_code")]
    pub code: FailureCode,
    /// What went wrong, in words; at most 1,024 bytes are written.
    #[schemars(rename = "ms_error_message")]
    pub message: String,
    /// The stage that gave up on it.
    #[schemars(rename = "ms_error_stage")]
    pub stage: String,
    /// The topic the record was read from.
    #[schemars(rename = "ms_error_topic")]
    pub topic: String,
    /// The partition it was read from, in decimal digits.
    #[schemars(rename = "ms_error_partition", with = "String", regex(pattern = r"^\d+$"))]
    pub partition: i32,
    /// Its offset there, in decimal digits.
    #[schemars(rename = "ms_error_offset", with = "String", regex(pattern = r"^\d+$"))]
    pub offset: i64,
    /// When it failed, RFC 3339.
    #[schemars(rename = "ms_error_time")]
    pub time: Timestamp,
}

impl DeadLetterReason {
    /// The longest message that is written: headers count towards the largest record Kafka takes.
    pub const MAX_MESSAGE_BYTES: usize = 1024;

    /// The headers of the dead letter made of a record with these headers: those, without an older reason, then this one.
    pub fn onto<N: AsRef<str>>(
        &self,
        original: impl IntoIterator<Item = (N, Option<Bytes>)>,
    ) -> Vec<HeaderPair> {
        let kept = original.into_iter().filter(|(name, _)| !name.as_ref().starts_with(ERROR_HEADER_PREFIX));
        kept.map(|(name, value)| (name.as_ref().to_owned().into(), value)).chain(self.write()).collect()
    }

    /// The `ms_error_*` headers alone.
    pub fn write(&self) -> Vec<HeaderPair> {
        let mut writer = HeaderWriter::default();
        writer.put(CODE, self.code.as_str());
        writer.put(MESSAGE, cut(&self.message, Self::MAX_MESSAGE_BYTES));
        writer.put(STAGE, &self.stage);
        writer.put(TOPIC, &self.topic);
        writer.put_display(PARTITION, self.partition);
        writer.put_display(OFFSET, self.offset);
        writer.put(TIME, self.time.as_str());
        writer.finish()
    }

    /// The reason in a dead letter's headers, or `None` if there is no `ms_error_code` among them.
    ///
    /// # Errors
    ///
    /// If one of the headers is missing or cannot be read.
    pub fn read<'a>(
        pairs: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Option<Self>, DecodeError> {
        let found: Vec<(&str, Option<&[u8]>)> =
            pairs.into_iter().filter(|(name, _)| name.starts_with(ERROR_HEADER_PREFIX)).collect();
        if !found.iter().any(|(name, _)| *name == CODE) {
            return Ok(None);
        }
        let get = |wanted: &'static str| match found.iter().rfind(|(name, _)| *name == wanted) {
            Some((_, value)) => text_of(wanted, *value),
            None => Err(fault(wanted, "is missing")),
        };
        let number = |name| get(name)?.parse::<i64>().map_err(|_| fault(name, "is not a whole number"));
        let code = get(CODE)?;
        Ok(Some(Self {
            code: code.parse().map_err(|error| fault(CODE, &format!("{error} {}", quoted(code))))?,
            message: get(MESSAGE)?.to_owned(),
            stage: get(STAGE)?.to_owned(),
            topic: get(TOPIC)?.to_owned(),
            partition: number(PARTITION)?.try_into().map_err(|_| fault(PARTITION, "is not a partition"))?,
            offset: number(OFFSET)?,
            time: get(TIME)?.parse().map_err(|error| fault(TIME, &format!("{error}")))?,
        }))
    }
}

fn fault(name: &str, message: &str) -> DecodeError {
    DecodeError::invalid(format!("headers.{}", shortened(name)), message)
}

/// At most `max` bytes of the text, whole characters only.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
