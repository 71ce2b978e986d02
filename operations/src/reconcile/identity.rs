//! What every record of a job has in common, in a few bits: compared, never shown.

use bytes::Bytes;
use schemas::{DEFAULTED_PARAMETERS, Headers, Parameter, Parameters, TimeSheet, Timestamp};

use super::names::hash;

/// Matches everything: what a record does not tell.
pub(super) const UNKNOWN: u32 = 0;

/// Headers that begin so are this project's, and may change on the way.
const OF_OURS: &str = "ms_";

/// Whether two of these hashes are of the same thing, as far as both are known.
pub(super) fn agree(one: u32, other: u32) -> bool {
    one == other || one == UNKNOWN || other == UNKNOWN
}

/// 32 bits of a hash, never [`UNKNOWN`].
pub(super) fn fold(hash: u64) -> u32 {
    let folded = u32::try_from(hash >> 32 ^ hash & u64::from(u32::MAX)).expect("both halves have 32 bits");
    folded.max(1)
}

/// A key, or that there is none, in 48 bits; never 0, which matches every key.
pub(super) fn of_key(key: Option<&Bytes>) -> u64 {
    (hash(&key) >> 16).max(1)
}

/// Whether two keys are the same, as far as both are known.
pub(super) fn keys_agree(one: u64, other: u64) -> bool {
    one == other || one == 0 || other == 0
}

/// The headers that pass every hop unchanged.
pub(super) fn of_headers(headers: &Headers, time: &Timestamp) -> u32 {
    let Headers { deadline, batch_id, reply_to, priority, unknown, .. } = headers;
    let unknown: Vec<_> = unknown.iter().filter(|(name, _)| !name.starts_with(OF_OURS)).collect();
    let deadline = deadline.as_ref().map(Timestamp::unix_micros);
    fold(hash(&(time.unix_micros(), deadline, batch_id, reply_to, priority, unknown)))
}

/// The job's own parameters, without what the stages add.
pub(super) fn of_parameters(parameters: &Parameters) -> u32 {
    fold(hash(&own(parameters)))
}

/// Whether there are any beside what the stages add.
pub(super) fn has_own_parameters(parameters: &Parameters) -> bool {
    !own(parameters).is_empty()
}

fn own(parameters: &Parameters) -> Vec<(&str, u8, u64, &str)> {
    let mut sheet = Parameters::new();
    TimeSheet::default().write(&mut sheet);
    let is_own = |name: &str| !sheet.contains_key(name) && !DEFAULTED_PARAMETERS.contains(&name);
    parameters.iter().filter(|(name, _)| is_own(name)).map(hashable).collect()
}

/// Bytes as they are.
pub(super) fn of_value(value: Option<&Bytes>) -> u32 {
    fold(hash(&value))
}

fn hashable<'a>((name, value): (&'a String, &'a Parameter)) -> (&'a str, u8, u64, &'a str) {
    match value {
        Parameter::Bool(value) => (name, 0, u64::from(*value), ""),
        Parameter::Int(value) => (name, 1, value.cast_unsigned(), ""),
        Parameter::Float(value) => (name, 2, value.to_bits(), ""),
        Parameter::Str(value) => (name, 3, 0, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_sheets_and_marks_of_defaults_do_not_count() {
        let own = Parameters::from([("n".into(), 3_i64.into())]);
        let mut later = own.clone();
        TimeSheet { total_us: 7, ..TimeSheet::default() }.write(&mut later);
        later.insert("defaulted".into(), true.into());
        assert_eq!(of_parameters(&own), of_parameters(&later));
        later.insert("n".into(), 4_i64.into());
        assert_ne!(of_parameters(&own), of_parameters(&later));
    }

    #[test]
    fn headers_of_the_project_do_not_count_and_strangers_do() {
        let time = Timestamp::from_unix_millis(1_700_000_000_000);
        let with = |name: &str| Headers { unknown: vec![(name.into(), None)], ..Headers::default() };
        assert_eq!(of_headers(&with("ms_replay_count"), &time), of_headers(&Headers::default(), &time));
        assert_ne!(of_headers(&with("tenant"), &time), of_headers(&Headers::default(), &time));
        assert_ne!(of_headers(&with("tenant"), &time), of_headers(&with("tenants"), &time));
    }
}
