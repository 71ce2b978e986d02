//! A job: what is asked.

use bytes::{BufMut, Bytes, BytesMut};
use schemars::JsonSchema;

use crate::{Datatype, DecodeError, Parameter, Parameters, Tensor};

/// The name of the one tensor that a raw payload reads as.
pub const PAYLOAD_NAME: &str = "payload";

/// The parameter that keeps a raw payload's `content-type` once the job travels as MessagePack.
pub const CONTENT_TYPE_PARAMETER: &str = "content_type";

/// A job between two stages, or on its way to the first: named tensors and parameters. Who it is stands in the
/// [`Headers`](crate::Headers).
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[schemars(description = "A job: named tensors and parameters. Who it is stands in the headers.")]
pub struct Job {
    /// The tensors, as the stage or model names them.
    pub inputs: Vec<Tensor>,
    /// Small named values beside the tensors.
    #[schemars(default)]
    pub parameters: Parameters,
}

impl Job {
    /// A job of these tensors, without parameters.
    pub fn new(inputs: impl Into<Vec<Tensor>>) -> Self {
        Self { inputs: inputs.into(), parameters: Parameters::new() }
    }

    /// The job that a raw payload reads as: one BYTES tensor [`PAYLOAD_NAME`] of shape `[1]`, and the content type, if
    /// there is one, as the parameter [`CONTENT_TYPE_PARAMETER`].
    ///
    /// # Errors
    ///
    /// `too_large` for a payload of 4 GiB or more, whose length does not fit its prefix.
    pub fn from_raw(content_type: Option<&str>, payload: &[u8]) -> Result<Self, DecodeError> {
        let length = u32::try_from(payload.len()).map_err(|_| {
            DecodeError::too_large("body", "a payload of 4 GiB or more cannot be a BYTES element")
        })?;
        let mut data = BytesMut::with_capacity(4 + payload.len());
        data.put_u32_le(length);
        data.put_slice(payload);
        let tensor = Tensor::new(PAYLOAD_NAME, Datatype::Bytes, [1], data.freeze())
            .expect("one length-prefixed element is a BYTES tensor of shape [1]");
        let mut job = Self::new([tensor]);
        if let Some(content_type) = content_type {
            let value = Parameter::Str(content_type.to_owned());
            job.parameters.insert(CONTENT_TYPE_PARAMETER.to_owned(), value);
        }
        Ok(job)
    }

    /// The bytes of a raw payload, without a copy; `None` if this is not a job as [`Job::from_raw`] makes it.
    pub fn raw_payload(&self) -> Option<Bytes> {
        match self.inputs.as_slice() {
            [tensor] if tensor.name() == PAYLOAD_NAME && tensor.shape() == [1] => {
                tensor.byte_string_slices().ok()?.next()
            }
            _ => None,
        }
    }

    /// The tensor of this name.
    pub fn input(&self, name: &str) -> Option<&Tensor> {
        self.inputs.iter().find(|tensor| tensor.name() == name)
    }
}
