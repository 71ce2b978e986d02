//! The maps of the contract: which keys they have, which must be there, and what their values are.

use crate::codec::reader::{Reader, too_many};
use crate::error::quoted;
use crate::tensor::product_of_nonzero;
use crate::{
    Datatype, DecodeError, Failure, FailureCode, Job, JobResult, Limits, MessageKind, Outcome, Parameters,
    Tensor, TensorError,
};

/// Reads one value that is the whole body.
pub(super) fn whole<'a, R: Reader<'a>, T>(
    reader: &R,
    read: impl FnOnce(&mut R) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let mut reading = reader.clone();
    let value = read(&mut reading).and_then(|value| reading.end().map(|()| value));
    value.map_err(|error| broken_bytes(reader, &error).unwrap_or(error).of_body())
}

/// Bytes that are no well-formed value at all are `undecodable`, even if something else was found wrong with them first.
fn broken_bytes<'a, R: Reader<'a>>(reader: &R, found: &DecodeError) -> Option<DecodeError> {
    if found.code == FailureCode::Undecodable {
        return None;
    }
    let mut walk = reader.clone();
    let broken = walk.skip().and_then(|()| walk.end()).err()?;
    (broken.code == FailureCode::Undecodable).then_some(broken)
}

pub(super) fn read_job<'a, R: Reader<'a>>(reader: &mut R, limits: &Limits) -> Result<Job, DecodeError> {
    let (mut inputs, mut parameters) = (None, None);
    reader.read_map(|reader, key| match key {
        "inputs" => fill(&mut inputs, read_tensors(reader, limits)?),
        "parameters" => fill(&mut parameters, read_parameters(reader, limits)?),
        _ => reader.skip(),
    })?;
    Ok(Job { inputs: required(inputs, "inputs")?, parameters: parameters.unwrap_or_default() })
}

pub(super) fn read_outcome<'a, R: Reader<'a>>(
    kind: MessageKind,
    reader: &mut R,
    limits: &Limits,
) -> Result<Outcome, DecodeError> {
    match kind {
        MessageKind::Result => read_result(reader, limits).map(Outcome::Result),
        MessageKind::Failure => read_failure(reader).map(Outcome::Failure),
        MessageKind::Job => Err(DecodeError::invalid("headers.ce_type", "is a job, not an outcome")),
    }
}

fn read_result<'a, R: Reader<'a>>(reader: &mut R, limits: &Limits) -> Result<JobResult, DecodeError> {
    let (mut model_name, mut model_version, mut outputs, mut parameters) = (None, None, None, None);
    reader.read_map(|reader, key| match key {
        "model_name" => fill(&mut model_name, reader.read_str()?.into_owned()),
        "model_version" => fill(&mut model_version, reader.read_str()?.into_owned()),
        "outputs" => fill(&mut outputs, read_tensors(reader, limits)?),
        "parameters" => fill(&mut parameters, read_parameters(reader, limits)?),
        _ => reader.skip(),
    })?;
    Ok(JobResult {
        model_name: required(model_name, "model_name")?,
        model_version: required(model_version, "model_version")?,
        outputs: required(outputs, "outputs")?,
        parameters: parameters.unwrap_or_default(),
    })
}

fn read_failure<'a, R: Reader<'a>>(reader: &mut R) -> Result<Failure, DecodeError> {
    let (mut stage, mut code, mut message, mut attempt, mut retriable) = (None, None, None, None, None);
    reader.read_map(|reader, key| match key {
        "stage" => fill(&mut stage, reader.read_str()?.into_owned()),
        "code" => fill(&mut code, read_code(reader)?),
        "message" => fill(&mut message, reader.read_str()?.into_owned()),
        "attempt" => fill(&mut attempt, read_attempt(reader)?),
        "retriable" => fill(&mut retriable, reader.read_bool()?),
        _ => reader.skip(),
    })?;
    Ok(Failure {
        stage: required(stage, "stage")?,
        code: required(code, "code")?,
        message: required(message, "message")?,
        attempt: required(attempt, "attempt")?,
        retriable: required(retriable, "retriable")?,
    })
}

fn read_code<'a, R: Reader<'a>>(reader: &mut R) -> Result<FailureCode, DecodeError> {
    let text = reader.read_str()?;
    text.parse().map_err(|error| DecodeError::invalid("", format!("{error} {}", quoted(&text))))
}

fn read_attempt<'a, R: Reader<'a>>(reader: &mut R) -> Result<u32, DecodeError> {
    u32::try_from(reader.read_uint()?).map_err(|_| DecodeError::invalid("", "does not fit 32 bits"))
}

fn read_parameters<'a, R: Reader<'a>>(reader: &mut R, limits: &Limits) -> Result<Parameters, DecodeError> {
    let mut parameters = Parameters::new();
    reader.read_map(|reader, key| {
        let value = reader.read_parameter()?;
        if parameters.insert(key.to_owned(), value).is_some() {
            return Err(comes_twice());
        }
        if parameters.len() > limits.max_parameters {
            return Err(too_many(limits.max_parameters, "parameters before it"));
        }
        Ok(())
    })?;
    Ok(parameters)
}

fn read_tensors<'a, R: Reader<'a>>(reader: &mut R, limits: &Limits) -> Result<Vec<Tensor>, DecodeError> {
    reader.read_array(limits.max_tensors, "tensors", |reader| read_tensor(reader, limits))
}

fn read_tensor<'a, R: Reader<'a>>(reader: &mut R, limits: &Limits) -> Result<Tensor, DecodeError> {
    let (mut name, mut datatype, mut shape, mut data) = (None, None, None, None);
    reader.read_map(|reader, key| match key {
        "name" => fill(&mut name, reader.read_str()?.into_owned()),
        "datatype" => fill(&mut datatype, read_datatype(reader)?),
        "shape" => fill(&mut shape, read_shape(reader, limits)?),
        "data" => fill(&mut data, reader.read_data()?),
        _ => reader.skip(),
    })?;
    let name = required(name, "name")?;
    let datatype = required(datatype, "datatype")?;
    let shape = required(shape, "shape")?;
    let data = required(data, "data")?;
    let data = reader.tensor_data(data, datatype, &shape).map_err(|error| error.under("data"))?;
    Tensor::new(name, datatype, shape, data).map_err(|error| refused(&error))
}

fn read_datatype<'a, R: Reader<'a>>(reader: &mut R) -> Result<Datatype, DecodeError> {
    let text = reader.read_str()?;
    text.parse().map_err(|error| DecodeError::invalid("", format!("is {}: {error}", quoted(&text))))
}

fn read_shape<'a, R: Reader<'a>>(reader: &mut R, limits: &Limits) -> Result<Vec<u64>, DecodeError> {
    let max_rank = limits.max_rank.min(crate::MAX_RANK);
    let shape = reader.read_array(max_rank, "dimensions", R::read_uint)?;
    let most = limits.max_elements;
    if product_of_nonzero(&shape).is_none_or(|product| product > most) {
        return Err(DecodeError::too_large("", format!("multiplies to more than {most} elements")));
    }
    Ok(shape)
}

fn refused(error: &TensorError) -> DecodeError {
    match error {
        TensorError::Rank { .. } | TensorError::Overflow => {
            DecodeError::too_large("shape", error.to_string())
        }
        _ => DecodeError::invalid("data", error.to_string()),
    }
}

fn fill<T>(slot: &mut Option<T>, value: T) -> Result<(), DecodeError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(comes_twice()),
    }
}

fn comes_twice() -> DecodeError {
    DecodeError::invalid("", "comes twice")
}

fn required<T>(slot: Option<T>, key: &str) -> Result<T, DecodeError> {
    slot.ok_or_else(|| DecodeError::invalid(key, "is missing"))
}
