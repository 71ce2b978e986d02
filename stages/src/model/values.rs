//! Tensors of ours to values of ONNX Runtime and back, with one copy each way: in, the parts of a batch into one
//! aligned buffer; out, the whole output into memory that the jobs of the batch then share.

use bytes::Bytes;
use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{
    DynValue, PrimitiveTensorElementType, Tensor as OrtTensor, TensorElementType, Utf8Data, ValueType,
};
use schemas::{Datatype, Tensor};

use super::{ModelError, ModelInput};
use crate::operation::quoted;

/// The datatype of an element type, where the contract has one for it.
pub(super) fn datatype_of(element: TensorElementType) -> Option<Datatype> {
    Some(match element {
        TensorElementType::Bool => Datatype::Bool,
        TensorElementType::Uint8 => Datatype::Uint8,
        TensorElementType::Uint16 => Datatype::Uint16,
        TensorElementType::Uint32 => Datatype::Uint32,
        TensorElementType::Uint64 => Datatype::Uint64,
        TensorElementType::Int8 => Datatype::Int8,
        TensorElementType::Int16 => Datatype::Int16,
        TensorElementType::Int32 => Datatype::Int32,
        TensorElementType::Int64 => Datatype::Int64,
        TensorElementType::Float16 => Datatype::Fp16,
        TensorElementType::Bfloat16 => Datatype::Bf16,
        TensorElementType::Float32 => Datatype::Fp32,
        TensorElementType::Float64 => Datatype::Fp64,
        TensorElementType::String => Datatype::Bytes,
        _ => return None,
    })
}

/// The value that a session takes.
pub(super) fn to_value(input: &ModelInput<'_>) -> Result<SessionInputValue<'static>, ModelError> {
    match input.datatype {
        Datatype::Bool => {
            // The only type whose memory not every byte is valid in.
            let values: Vec<bool> =
                input.parts.iter().flat_map(|part| part.data().iter().map(|byte| *byte != 0)).collect();
            numbers_value(input, values)
        }
        Datatype::Uint8 => numbers_value(input, gather::<u8>(input)),
        Datatype::Uint16 => numbers_value(input, gather::<u16>(input)),
        Datatype::Uint32 => numbers_value(input, gather::<u32>(input)),
        Datatype::Uint64 => numbers_value(input, gather::<u64>(input)),
        Datatype::Int8 => numbers_value(input, gather::<i8>(input)),
        Datatype::Int16 => numbers_value(input, gather::<i16>(input)),
        Datatype::Int32 => numbers_value(input, gather::<i32>(input)),
        Datatype::Int64 => numbers_value(input, gather::<i64>(input)),
        Datatype::Fp16 => numbers_value(input, gather::<f16>(input)),
        Datatype::Bf16 => numbers_value(input, gather::<bf16>(input)),
        Datatype::Fp32 => numbers_value(input, gather::<f32>(input)),
        Datatype::Fp64 => numbers_value(input, gather::<f64>(input)),
        Datatype::Bytes => strings_value(input),
    }
}

/// The parts of an input in one buffer that is aligned for its numbers.
fn gather<T: bytemuck::Pod>(input: &ModelInput<'_>) -> Vec<T> {
    let bytes: usize = input.parts.iter().map(|part| part.data().len()).sum();
    let mut numbers = vec![T::zeroed(); bytes / size_of::<T>()];
    let mut rest: &mut [u8] = bytemuck::cast_slice_mut(&mut numbers);
    for part in &input.parts {
        let (target, after) = rest.split_at_mut(part.data().len());
        target.copy_from_slice(part.data());
        rest = after;
    }
    numbers
}

fn numbers_value<T>(input: &ModelInput<'_>, numbers: Vec<T>) -> Result<SessionInputValue<'static>, ModelError>
where
    T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    OrtTensor::from_array((dimensions(input)?, numbers))
        .map(Into::into)
        .map_err(|error| refused(input, &error))
}

fn strings_value(input: &ModelInput<'_>) -> Result<SessionInputValue<'static>, ModelError> {
    let mut texts = Vec::new();
    for part in &input.parts {
        texts.extend(part.byte_string_slices().map_err(|error| refused(input, &error))?.map(Text));
    }
    OrtTensor::from_string_array((dimensions(input)?, texts.as_slice()))
        .map(Into::into)
        .map_err(|error| refused(input, &error))
}

/// A string of a tensor, which has been checked to be UTF-8 when the job was found to fit the model.
#[derive(Clone)]
struct Text(Bytes);

impl Utf8Data for Text {
    fn as_utf8_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn dimensions(input: &ModelInput<'_>) -> Result<Vec<i64>, ModelError> {
    let dimension = |size: &u64| i64::try_from(*size).map_err(|error| refused(input, &error));
    input.shape.iter().map(dimension).collect()
}

fn refused(input: &ModelInput<'_>, error: &dyn std::fmt::Display) -> ModelError {
    ModelError::permanent(format!("input {}: {error}", quoted(input.name)))
}

/// The tensor that a session gave.
pub(super) fn to_tensor(name: &str, value: &DynValue) -> Result<Tensor, ModelError> {
    let wrong =
        |error: &dyn std::fmt::Display| ModelError::permanent(format!("output {}: {error}", quoted(name)));
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(wrong(&format_args!("is {}, not a tensor", value.dtype())));
    };
    let Some(datatype) = datatype_of(*ty) else {
        return Err(wrong(&format_args!("has elements of type {ty}, which no job can carry")));
    };
    let dimension = |size: &i64| u64::try_from(*size).map_err(|error| wrong(&error));
    let shape = shape.iter().map(dimension).collect::<Result<Vec<u64>, _>>()?;
    let data = match datatype {
        Datatype::Bool => value
            .try_extract_tensor::<bool>()
            .map(|(_, values)| Bytes::from_iter(values.iter().map(|value| u8::from(*value)))),
        Datatype::Uint8 => copy::<u8>(value),
        Datatype::Uint16 => copy::<u16>(value),
        Datatype::Uint32 => copy::<u32>(value),
        Datatype::Uint64 => copy::<u64>(value),
        Datatype::Int8 => copy::<i8>(value),
        Datatype::Int16 => copy::<i16>(value),
        Datatype::Int32 => copy::<i32>(value),
        Datatype::Int64 => copy::<i64>(value),
        Datatype::Fp16 => copy::<f16>(value),
        Datatype::Bf16 => copy::<bf16>(value),
        Datatype::Fp32 => copy::<f32>(value),
        Datatype::Fp64 => copy::<f64>(value),
        // ONNX Runtime is not asked for the content of no strings.
        Datatype::Bytes if shape.contains(&0) => Ok(Bytes::new()),
        Datatype::Bytes => {
            let (_, strings) = value.try_extract_strings().map_err(|error| wrong(&error))?;
            return Tensor::from_byte_strings(name, shape, strings).map_err(|error| wrong(&error));
        }
    };
    let data = data.map_err(|error| wrong(&error))?;
    Tensor::new(name, datatype, shape, data).map_err(|error| wrong(&error))
}

fn copy<T: PrimitiveTensorElementType + bytemuck::NoUninit>(value: &DynValue) -> ort::Result<Bytes> {
    let (_, numbers) = value.try_extract_tensor::<T>()?;
    Ok(Bytes::copy_from_slice(bytemuck::cast_slice(numbers)))
}
