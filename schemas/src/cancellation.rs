//! A request to withdraw jobs: a record without a body on the pipeline's topic of cancellations.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::headers::{HeaderPair, HeaderWriter, text_of};
use crate::{DecodeError, JobId, Timestamp};

const SPEC_VERSION: &str = "ce_specversion";
const TYPE: &str = "ce_type";
const ID: &str = "ce_id";
const BATCH_ID: &str = "ce_batchid";
const SOURCE: &str = "ce_source";
const TIME: &str = "ce_time";

/// Which jobs are withdrawn: those that have not been started end as `cancelled`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cancellation {
    /// The job of this id.
    Job(JobId),
    /// All jobs of this batch.
    Batch(String),
}

impl Cancellation {
    /// The value of `ce_type`.
    pub const TYPE: &str = "dev.millstream.cancel.v1";

    /// The headers of its record.
    pub fn write(&self, source: &str, time: &Timestamp) -> Vec<HeaderPair> {
        let mut writer = HeaderWriter::default();
        writer.put(SPEC_VERSION, "1.0");
        match self {
            Self::Job(id) => writer.put(ID, id.as_str()),
            Self::Batch(batch) => writer.put(BATCH_ID, batch),
        }
        writer.put(TYPE, Self::TYPE);
        writer.put(SOURCE, source);
        writer.put(TIME, time.as_str());
        writer.finish()
    }

    /// Reads it from the headers of a record.
    ///
    /// # Errors
    ///
    /// If it is not a cancellation, or names neither a job nor a batch, or both.
    pub fn read<'a>(
        pairs: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Self, DecodeError> {
        let fault = |name: &str, message: String| DecodeError::invalid(format!("headers.{name}"), message);
        let (mut kind, mut id, mut batch) = (None, None, None);
        for (name, value) in pairs {
            let (slot, name) = match name {
                TYPE => (&mut kind, TYPE),
                ID => (&mut id, ID),
                BATCH_ID => (&mut batch, BATCH_ID),
                _ => continue,
            };
            if slot.replace(text_of(name, value)?).is_some() {
                return Err(fault(name, "comes twice".to_owned()));
            }
        }
        if kind != Some(Self::TYPE) {
            return Err(fault(TYPE, format!("is not {}", Self::TYPE)));
        }
        match (id, batch) {
            (Some(id), None) => JobId::new(id).map(Self::Job).map_err(|error| fault(ID, error.to_string())),
            (None, Some("")) => Err(fault(BATCH_ID, "is empty".to_owned())),
            (None, Some(batch)) => Ok(Self::Batch(batch.to_owned())),
            (Some(_), Some(_)) => Err(fault(ID, "stands beside ce_batchid; name one of them".to_owned())),
            (None, None) => Err(fault(ID, "is missing, and ce_batchid too; name one of them".to_owned())),
        }
    }
}

/// `job a-17`, `batch monday`.
impl fmt::Display for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(id) => write!(f, "job {id}"),
            Self::Batch(batch) => write!(f, "batch {batch}"),
        }
    }
}

impl JsonSchema for Cancellation {
    fn schema_name() -> Cow<'static, str> {
        "CancellationHeaders".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = |description: &str| json_schema!({ "type": "string", "description": description });
        let mut id = generator.subschema_for::<JobId>();
        id.insert("description".to_owned(), "The job to be withdrawn.".into());
        let mut time = generator.subschema_for::<Timestamp>();
        time.insert("description".to_owned(), "When it was asked for, RFC 3339.".into());
        json_schema!({
            "description": "The headers of a request to withdraw jobs: a job by its id, or all jobs of a batch.",
            "type": "object",
            "properties": {
                SPEC_VERSION: { "type": "string", "const": "1.0" },
                TYPE: { "type": "string", "const": Self::TYPE },
                ID: id,
                BATCH_ID: {
                    "type": "string", "minLength": 1, "description": "The batch whose jobs are to be withdrawn."
                },
                SOURCE: text("URI reference of the writer."),
                TIME: time,
            },
            "required": [TYPE],
            "oneOf": [{ "required": [ID] }, { "required": [BATCH_ID] }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[HeaderPair]) -> Result<Cancellation, DecodeError> {
        Cancellation::read(pairs.iter().map(|(name, value)| (&**name, value.as_deref())))
    }

    #[test]
    fn reads_back_what_it_writes() {
        let time = Timestamp::from_unix_millis(1_700_000_000_000);
        for cancellation in
            [Cancellation::Job(JobId::new("a-1").unwrap()), Cancellation::Batch("monday".into())]
        {
            assert_eq!(read(&cancellation.write("/x", &time)), Ok(cancellation));
        }
    }

    #[test]
    fn names_one_of_the_two() {
        let kind = || (TYPE.into(), Some(Cancellation::TYPE.into()));
        assert_eq!(read(&[kind()]).unwrap_err().path, "headers.ce_id");
        let both = [kind(), (ID.into(), Some("a".into())), (BATCH_ID.into(), Some("b".into()))];
        assert!(read(&both).unwrap_err().to_string().contains("beside"));
        assert_eq!(read(&[(ID.into(), Some("a".into()))]).unwrap_err().path, "headers.ce_type");
    }
}
