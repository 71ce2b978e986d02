//! Marks that ride through every hop among the headers of strangers: how often a dead letter was replayed, and whether a
//! result is a default in place of a failure.

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{FailureCode, Headers};

/// How often the job came back from the dead letters, in decimal digits; absent means never.
pub const REPLAY_COUNT_HEADER: &str = "ms_replay_count";

/// On a result that stands in for a failure: the code of that failure.
pub const DEFAULTED_HEADER: &str = "ms_defaulted";

/// The parameters that such a result has beside those of its job: that it is one, and what its job failed with.
pub const DEFAULTED_PARAMETERS: [&str; 4] = ["defaulted", "failure_stage", "failure_code", "failure_message"];

impl Headers {
    /// How often the job came back from the dead letters. What cannot be read counts as never, and several as the last.
    pub fn replay_count(&self) -> u32 {
        self.mark(REPLAY_COUNT_HEADER).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Marks the job as one that came back from the dead letters so often.
    pub fn set_replay_count(&mut self, count: u32) {
        self.set_mark(REPLAY_COUNT_HEADER, (count > 0).then(|| count.to_string().into()));
    }

    /// If the result is a default that the pipeline declares: what its job failed with.
    pub fn defaulted(&self) -> Option<FailureCode> {
        self.mark(DEFAULTED_HEADER).and_then(|text| text.parse().ok())
    }

    /// Marks a result as a default in place of this failure; with `None`, takes away a mark that is not ours, which a
    /// producer may have written.
    pub fn set_defaulted(&mut self, code: Option<FailureCode>) {
        self.set_mark(DEFAULTED_HEADER, code.map(|code| Bytes::from_static(code.as_str().as_bytes())));
    }

    fn mark(&self, wanted: &str) -> Option<&str> {
        let (_, value) = self.unknown.iter().rfind(|(name, _)| name == wanted)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    fn set_mark(&mut self, name: &str, value: Option<Bytes>) {
        self.unknown.retain(|(unknown, _)| unknown != name);
        if let Some(value) = value {
            self.unknown.push((name.to_owned(), Some(value)));
        }
    }
}

/// Adds the marks to the schema of [`Headers`], where they have no fields.
pub(crate) fn describe(schema: &mut Schema) {
    let mut code = FailureCode::json_schema(&mut SchemaGenerator::default());
    code.insert(
        "description".to_owned(),
        "On a result that stands in for a failure: what the job failed with.".into(),
    );
    let count = serde_json::json!({
        "description": "How often the job came back from the dead letters; decimal digits.",
        "type": "string",
        "pattern": "^[1-9][0-9]*$",
    });
    if let Some(properties) = schema.get_mut("properties").and_then(|properties| properties.as_object_mut()) {
        properties.insert(REPLAY_COUNT_HEADER.to_owned(), count);
        properties.insert(DEFAULTED_HEADER.to_owned(), code.to_value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &str, values: &[Option<&'static [u8]>]) -> Headers {
        let unknown = values.iter().map(|value| (name.to_owned(), value.map(Bytes::from_static))).collect();
        Headers { unknown, ..Headers::default() }
    }

    #[test]
    fn replays_are_counted() {
        let check = |values: &[Option<&'static [u8]>], expect| {
            assert_eq!(headers(REPLAY_COUNT_HEADER, values).replay_count(), expect);
        };
        check(&[], 0);
        check(&[Some(b"2")], 2);
        check(&[Some(b"1"), Some(b"2")], 2);
        check(&[Some(b"often")], 0);
        check(&[Some(b"\xff")], 0);
        check(&[None], 0);
        let mut twice = headers(REPLAY_COUNT_HEADER, &[Some(b"1"), None]);
        twice.set_replay_count(3);
        assert_eq!((twice.replay_count(), twice.unknown.len()), (3, 1));
        twice.set_replay_count(0);
        assert_eq!(twice, Headers::default());
    }

    #[test]
    fn defaults_are_marked() {
        let mut headers = headers(DEFAULTED_HEADER, &[Some(b"forged")]);
        assert_eq!(headers.defaulted(), None);
        headers.set_defaulted(Some(FailureCode::Timeout));
        assert_eq!(headers.defaulted(), Some(FailureCode::Timeout));
        let written = headers.write();
        assert_eq!(written.last().unwrap(), &(DEFAULTED_HEADER.into(), Some("timeout".into())));
        headers.set_defaulted(None);
        assert_eq!(headers, Headers::default());
    }
}
