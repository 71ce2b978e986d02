//! Times in headers: RFC 3339 text that is passed on byte for byte.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcDateTime};

/// A point in time, to the microsecond, with the text it was read from. Two are equal when they name the same instant.
#[derive(Clone)]
pub struct Timestamp {
    text: String,
    unix_micros: i64,
}

/// The years that RFC 3339 can write.
const MIN_MICROS: i64 = -62_167_219_200_000_000;
const MAX_MICROS: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// The time of this machine's clock.
    pub fn now() -> Self {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Self::from_unix_micros(micros)
    }

    /// The instant this many microseconds after 1970, written in UTC. What lies outside the years 0 to 9999 is moved to
    /// the nearest end.
    pub fn from_unix_micros(unix_micros: i64) -> Self {
        let unix_micros = unix_micros.clamp(MIN_MICROS, MAX_MICROS);
        let seconds = unix_micros.div_euclid(1_000_000);
        let at = UtcDateTime::from_unix_timestamp(seconds).expect("years 0 to 9999 are within range");
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second) = at.as_hms();
        let micros = unix_micros.rem_euclid(1_000_000);
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z");
        Self { text, unix_micros }
    }

    /// The instant this many milliseconds after 1970, as Kafka stamps records.
    pub fn from_unix_millis(unix_millis: i64) -> Self {
        Self::from_unix_micros(unix_millis.saturating_mul(1000))
    }

    /// Microseconds after 1970; what is finer is cut off.
    pub fn unix_micros(&self) -> i64 {
        self.unix_micros
    }

    /// The text as it was read or first written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The text is not an RFC 3339 time such as `2026-01-31T12:00:00.5Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an RFC 3339 time such as 2026-01-31T12:00:00.5Z")]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError)?;
        let micros = at.unix_timestamp_nanos().div_euclid(1000);
        let unix_micros = i64::try_from(micros).map_err(|_| TimestampError)?;
        Ok(Self { text: text.to_owned(), unix_micros })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({})", self.text)
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.unix_micros == other.unix_micros
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.unix_micros.cmp(&other.unix_micros)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<i64>) {
        let read = text.parse::<Timestamp>().ok();
        assert_eq!(read.as_ref().map(Timestamp::unix_micros), expect, "{text}");
        if let Some(read) = read {
            assert_eq!(read.as_str(), text);
        }
    }

    #[test]
    fn texts() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("1970-01-01T00:00:01.5Z", Some(1_500_000));
        check("1970-01-01T00:00:00.0000019Z", Some(1));
        check("1969-12-31T23:59:59.9999999Z", Some(-1));
        check("1970-01-01T02:00:00+02:00", Some(0));
        check("2026-02-30T00:00:00Z", None);
        check("2026-02-03 00:00:00", None);
        check("1700000000", None);
        check("", None);
    }

    #[test]
    fn written_in_utc_to_the_microsecond() {
        let check = |micros, text: &str| {
            assert_eq!(Timestamp::from_unix_micros(micros).as_str(), text);
            check(text, Some(micros));
        };
        check(0, "1970-01-01T00:00:00.000000Z");
        check(-1, "1969-12-31T23:59:59.999999Z");
        check(1_767_225_600_000_042, "2026-01-01T00:00:00.000042Z");
        check(MIN_MICROS, "0000-01-01T00:00:00.000000Z");
        check(MAX_MICROS, "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_unix_millis(i64::MIN), Timestamp::from_unix_micros(MIN_MICROS));
        assert_eq!(Timestamp::from_unix_millis(i64::MAX), Timestamp::from_unix_micros(MAX_MICROS));
        assert!(Timestamp::now() > Timestamp::from_unix_millis(1_700_000_000_000));
    }
}
