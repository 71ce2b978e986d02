//! MessagePack, written into one buffer of exactly the right size.
//!
//! Every message is written twice by the same function: first into a counter, then into the buffer.

use std::io::{self, Write};

use bytes::Bytes;
use rmp::encode::{
    ValueWriteError, write_array_len, write_bin, write_bool, write_f64, write_map_len, write_sint, write_str,
    write_uint,
};

use crate::{EncodeError, Failure, Job, JobResult, Outcome, Parameter, Parameters, Tensor};

type Written = Result<(), ValueWriteError>;

pub(super) fn job(job: &Job) -> Result<Bytes, EncodeError> {
    exactly(Writes::Job(job))
}

pub(super) fn outcome(outcome: &Outcome) -> Result<Bytes, EncodeError> {
    exactly(match outcome {
        Outcome::Result(result) => Writes::Result(result),
        Outcome::Failure(failure) => Writes::Failure(failure),
    })
}

/// What is to be written.
#[derive(Clone, Copy)]
enum Writes<'a> {
    Job(&'a Job),
    Result(&'a JobResult),
    Failure(&'a Failure),
}

fn exactly(message: Writes) -> Result<Bytes, EncodeError> {
    const NEVER: &str = "writing to memory does not fail";
    let mut counter = Counter(0);
    write_message(&mut counter, message).expect(NEVER);
    // Below 4 GiB in all, no value outgrows the 32 bits of its length.
    if u32::try_from(counter.0).is_err() {
        return Err(EncodeError::TooLong { path: "body".to_owned() });
    }
    let mut buffer = Vec::with_capacity(counter.0);
    write_message(&mut buffer, message).expect(NEVER);
    Ok(buffer.into())
}

/// Takes bytes and remembers only how many.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_message(to: &mut impl Write, message: Writes) -> Written {
    match message {
        Writes::Job(job) => write_job(to, job),
        Writes::Result(result) => write_result(to, result),
        Writes::Failure(failure) => write_failure(to, failure),
    }
}

fn write_job(to: &mut impl Write, job: &Job) -> Written {
    write_map_len(to, 1 + u32::from(!job.parameters.is_empty()))?;
    write_tensors(to, "inputs", &job.inputs)?;
    write_parameters(to, &job.parameters)
}

fn write_result(to: &mut impl Write, result: &JobResult) -> Written {
    write_map_len(to, 3 + u32::from(!result.parameters.is_empty()))?;
    write_str(to, "model_name")?;
    write_str(to, &result.model_name)?;
    write_str(to, "model_version")?;
    write_str(to, &result.model_version)?;
    write_tensors(to, "outputs", &result.outputs)?;
    write_parameters(to, &result.parameters)
}

fn write_failure(to: &mut impl Write, failure: &Failure) -> Written {
    write_map_len(to, 5)?;
    write_str(to, "stage")?;
    write_str(to, &failure.stage)?;
    write_str(to, "code")?;
    write_str(to, failure.code.as_str())?;
    write_str(to, "message")?;
    write_str(to, &failure.message)?;
    write_str(to, "attempt")?;
    write_uint(to, failure.attempt.into())?;
    write_str(to, "retriable")?;
    write_bool(to, failure.retriable).map_err(ValueWriteError::InvalidMarkerWrite)
}

fn write_tensors(to: &mut impl Write, key: &str, tensors: &[Tensor]) -> Written {
    write_str(to, key)?;
    write_array_len(to, length(tensors.len()))?;
    tensors.iter().try_for_each(|tensor| write_tensor(to, tensor))
}

fn write_tensor(to: &mut impl Write, tensor: &Tensor) -> Written {
    write_map_len(to, 4)?;
    write_str(to, "name")?;
    write_str(to, tensor.name())?;
    write_str(to, "datatype")?;
    write_str(to, tensor.datatype().as_str())?;
    write_str(to, "shape")?;
    write_array_len(to, length(tensor.shape().len()))?;
    for &dimension in tensor.shape() {
        write_uint(to, dimension)?;
    }
    write_str(to, "data")?;
    write_bin(to, tensor.data())
}

fn write_parameters(to: &mut impl Write, parameters: &Parameters) -> Written {
    if parameters.is_empty() {
        return Ok(());
    }
    write_str(to, "parameters")?;
    write_map_len(to, length(parameters.len()))?;
    for (key, value) in parameters {
        write_str(to, key)?;
        match value {
            Parameter::Bool(value) => write_bool(to, *value).map_err(ValueWriteError::InvalidMarkerWrite)?,
            Parameter::Int(value) => drop(write_sint(to, *value)?),
            Parameter::Float(value) => write_f64(to, *value)?,
            Parameter::Str(value) => write_str(to, value)?,
        }
    }
    Ok(())
}

/// A count as MessagePack writes it. One that does not fit belongs to a message that is refused for its size.
fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
