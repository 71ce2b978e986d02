//! JSON as the Open Inference Protocol has it.

use bytes::Bytes;
use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};

use crate::{Datatype, Element, EncodeError, Job, JobResult, Outcome, Parameter, Parameters, Tensor};

pub(super) fn job(job: &Job) -> Result<Bytes, EncodeError> {
    check_tensors("inputs", &job.inputs)?;
    check_parameters(&job.parameters)?;
    Ok(written(&JobBody { inputs: bodies(&job.inputs), parameters: &job.parameters }))
}

pub(super) fn outcome(outcome: &Outcome) -> Result<Bytes, EncodeError> {
    match outcome {
        Outcome::Result(result) => {
            check_tensors("outputs", &result.outputs)?;
            check_parameters(&result.parameters)?;
            Ok(written(&ResultBody::of(result)))
        }
        Outcome::Failure(failure) => Ok(written(failure)),
    }
}

fn written(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).expect("what JSON cannot carry was refused before").into()
}

#[derive(Serialize)]
struct JobBody<'a> {
    inputs: Vec<TensorBody<'a>>,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    parameters: &'a Parameters,
}

#[derive(Serialize)]
struct ResultBody<'a> {
    model_name: &'a str,
    model_version: &'a str,
    outputs: Vec<TensorBody<'a>>,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    parameters: &'a Parameters,
}

impl<'a> ResultBody<'a> {
    fn of(result: &'a JobResult) -> Self {
        Self {
            model_name: &result.model_name,
            model_version: &result.model_version,
            outputs: bodies(&result.outputs),
            parameters: &result.parameters,
        }
    }
}

fn bodies(tensors: &[Tensor]) -> Vec<TensorBody<'_>> {
    tensors.iter().map(TensorBody).collect()
}

struct TensorBody<'a>(&'a Tensor);

impl Serialize for TensorBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("name", self.0.name())?;
        map.serialize_entry("datatype", &self.0.datatype())?;
        map.serialize_entry("shape", self.0.shape())?;
        map.serialize_entry("data", &TensorData(self.0))?;
        map.end()
    }
}

struct TensorData<'a>(&'a Tensor);

impl Serialize for TensorData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.datatype() {
            Datatype::Bool => self.collect::<bool, S>(serializer),
            Datatype::Uint8 => self.collect::<u8, S>(serializer),
            Datatype::Uint16 => self.collect::<u16, S>(serializer),
            Datatype::Uint32 => self.collect::<u32, S>(serializer),
            Datatype::Uint64 => self.collect::<u64, S>(serializer),
            Datatype::Int8 => self.collect::<i8, S>(serializer),
            Datatype::Int16 => self.collect::<i16, S>(serializer),
            Datatype::Int32 => self.collect::<i32, S>(serializer),
            Datatype::Int64 => self.collect::<i64, S>(serializer),
            Datatype::Fp32 => self.collect::<f32, S>(serializer),
            Datatype::Fp64 => self.collect::<f64, S>(serializer),
            Datatype::Bytes => {
                let items = self.0.byte_strings().map_err(S::Error::custom)?;
                let texts: Result<Vec<&str>, _> = items.map(std::str::from_utf8).collect();
                serializer.collect_seq(texts.map_err(S::Error::custom)?)
            }
            Datatype::Fp16 | Datatype::Bf16 => Err(S::Error::custom(HALF_PRECISION)),
        }
    }
}

impl TensorData<'_> {
    fn collect<T: Element + Serialize, S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.elements::<T>().map_err(S::Error::custom)?)
    }
}

const HALF_PRECISION: &str = "FP16 and BF16 have no form in JSON";

fn check_tensors(key: &str, tensors: &[Tensor]) -> Result<(), EncodeError> {
    for (index, tensor) in tensors.iter().enumerate() {
        if let Some(reason) = unfit_for_json(tensor) {
            return Err(EncodeError::NotInJson { path: format!("{key}[{index}].data"), reason });
        }
    }
    Ok(())
}

fn unfit_for_json(tensor: &Tensor) -> Option<&'static str> {
    const NOT_FINITE: &str = "NaN and infinities have no form in JSON";
    let fits = match tensor.datatype() {
        Datatype::Fp16 | Datatype::Bf16 => return Some(HALF_PRECISION),
        Datatype::Fp32 => {
            tensor.elements::<f32>().is_ok_and(|elements| elements.iter().all(|x| x.is_finite()))
        }
        Datatype::Fp64 => {
            tensor.elements::<f64>().is_ok_and(|elements| elements.iter().all(|x| x.is_finite()))
        }
        Datatype::Bytes => {
            let utf8 =
                tensor.byte_strings().is_ok_and(|mut items| items.all(|item| str::from_utf8(item).is_ok()));
            return (!utf8).then_some("BYTES that are not UTF-8 have no form in JSON");
        }
        _ => true,
    };
    (!fits).then_some(NOT_FINITE)
}

fn check_parameters(parameters: &Parameters) -> Result<(), EncodeError> {
    for (key, value) in parameters {
        if matches!(value, Parameter::Float(float) if !float.is_finite()) {
            let path = format!("parameters.{}", crate::error::shortened(key));
            return Err(EncodeError::NotInJson { path, reason: "NaN and infinities have no form in JSON" });
        }
    }
    Ok(())
}
