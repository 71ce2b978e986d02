//! The few figures that are read out of librdkafka's statistics; the rest of the document is skipped over.

use std::collections::HashMap;

use serde::Deserialize;

use crate::record::Partition;

/// What the statistics say that nothing else does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// At least one broker is connected.
    pub(crate) brokers_up: bool,
    /// For each partition the records that are not committed yet.
    pub(crate) lag: Vec<(Partition, i64)>,
}

/// Reads a statistics document; the lag of the partitions that `wanted` names, in that order.
pub(crate) fn read<'a>(
    json: &[u8],
    wanted: impl IntoIterator<Item = &'a Partition>,
) -> Result<Figures, serde_json::Error> {
    let document: Document = serde_json::from_slice(json)?;
    let brokers_up = document.brokers.values().any(|broker| matches!(&*broker.state, "UP" | "UPDATE"));
    let lag = wanted
        .into_iter()
        .filter_map(|partition| {
            let figures =
                document.topics.get(&*partition.topic)?.partitions.get(&partition.index.to_string())?;
            Some((partition.clone(), figures.lag()?))
        })
        .collect();
    Ok(Figures { brokers_up, lag })
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    brokers: HashMap<String, Broker>,
    #[serde(default)]
    topics: HashMap<String, Topic>,
}

#[derive(Deserialize)]
struct Broker {
    state: String,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: HashMap<String, Offsets>,
}

#[derive(Deserialize)]
struct Offsets {
    committed_offset: i64,
    lo_offset: i64,
    hi_offset: i64,
    ls_offset: i64,
}

impl Offsets {
    // librdkafka's own lag is unknown until the first commit; a backlog that nobody has begun is a lag all the same.
    fn lag(&self) -> Option<i64> {
        let end = if self.ls_offset >= 0 { self.ls_offset } else { self.hi_offset };
        if end < 0 {
            return None;
        }
        let begin = if self.committed_offset >= 0 { self.committed_offset } else { self.lo_offset.max(0) };
        Some((end - begin).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: &str, offsets: [i64; 4], up: bool, lag: Option<i64>) {
        let [committed, lo, hi, ls] = offsets;
        let json = format!(
            r#"{{"name": "x", "brokers": {{"b:1/1": {{"state": "{state}", "rtt": {{"p99": 3}}}}}},
                "topics": {{"t": {{"age": 3, "partitions": {{
                    "0": {{"partition": 0, "committed_offset": {committed}, "lo_offset": {lo}, "hi_offset": {hi},
                           "ls_offset": {ls}, "fetch_state": "active"}},
                    "-1": {{"partition": -1, "committed_offset": -1001, "lo_offset": -1001, "hi_offset": -1001,
                           "ls_offset": -1001}}}}}}}}}}"#
        );
        let wanted = [Partition::new("t", 0), Partition::new("other", 0)];
        let figures = read(json.as_bytes(), &wanted).unwrap();
        assert_eq!(figures.brokers_up, up);
        assert_eq!(figures.lag.first().map(|(_, lag)| *lag), lag);
        assert!(figures.lag.len() <= 1);
    }

    #[test]
    fn lag_is_what_is_not_committed() {
        check("UP", [10, 0, 30, 25], true, Some(15));
        check("UPDATE", [-1001, 5, 30, -1001], true, Some(25));
        check("DOWN", [-1001, -1001, 7, 7], false, Some(7));
        check("TRY_CONNECT", [-1001, -1001, -1001, -1001], false, None);
        check("UP", [10, 0, 9, 9], true, Some(0));
    }

    #[test]
    fn an_empty_document_says_nothing() {
        assert_eq!(read(b"{}", []).unwrap(), Figures { brokers_up: false, lag: Vec::new() });
        assert!(read(b"{", []).is_err());
    }
}
