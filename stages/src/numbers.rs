//! A tensor's numbers as Rust numbers and back.

use bytes::Bytes;
use half::{bf16, f16};
use schemas::{Datatype, Tensor};

use crate::error::Fault;
use crate::operation::{kind_of, quoted};

/// The numbers of a tensor of any numeric datatype as `f32`; integers of 32 and 64 bits are rounded to it.
pub(crate) fn as_f32(tensor: &Tensor) -> Result<Vec<f32>, Fault> {
    macro_rules! converted {
        ($element:ty, $convert:expr) => {
            tensor.elements::<$element>().map(|values| values.into_iter().map($convert).collect())
        };
    }
    let values = match tensor.datatype() {
        Datatype::Fp32 => tensor.elements::<f32>(),
        Datatype::Fp64 => converted!(f64, |value| value as f32),
        Datatype::Fp16 => Ok(halves(tensor.data()).map(|bits| f16::from_bits(bits).to_f32()).collect()),
        Datatype::Bf16 => Ok(halves(tensor.data()).map(|bits| bf16::from_bits(bits).to_f32()).collect()),
        Datatype::Bool => converted!(bool, |value| f32::from(u8::from(value))),
        Datatype::Uint8 => converted!(u8, f32::from),
        Datatype::Uint16 => converted!(u16, f32::from),
        Datatype::Uint32 => converted!(u32, |value| value as f32),
        Datatype::Uint64 => converted!(u64, |value| value as f32),
        Datatype::Int8 => converted!(i8, f32::from),
        Datatype::Int16 => converted!(i16, f32::from),
        Datatype::Int32 => converted!(i32, |value| value as f32),
        Datatype::Int64 => converted!(i64, |value| value as f32),
        Datatype::Bytes => return Err(not_numbers(tensor, "numbers")),
    };
    values.map_err(|error| Fault::internal(format!("tensor {}: {error}", quoted(tensor.name()))))
}

/// The scores of a tensor as `f64`, which holds every one of them exactly. Integers of 64 bits, which it would round,
/// are refused.
pub(crate) fn scores(tensor: &Tensor) -> Result<Vec<f64>, Fault> {
    macro_rules! converted {
        ($element:ty) => {
            tensor.elements::<$element>().map(|values| values.into_iter().map(f64::from).collect())
        };
    }
    let values = match tensor.datatype() {
        Datatype::Fp32 => converted!(f32),
        Datatype::Fp64 => tensor.elements::<f64>(),
        Datatype::Fp16 => Ok(halves(tensor.data()).map(|bits| f16::from_bits(bits).to_f64()).collect()),
        Datatype::Bf16 => Ok(halves(tensor.data()).map(|bits| bf16::from_bits(bits).to_f64()).collect()),
        Datatype::Uint8 => converted!(u8),
        Datatype::Uint16 => converted!(u16),
        Datatype::Uint32 => converted!(u32),
        Datatype::Int8 => converted!(i8),
        Datatype::Int16 => converted!(i16),
        Datatype::Int32 => converted!(i32),
        Datatype::Bool | Datatype::Uint64 | Datatype::Int64 | Datatype::Bytes => {
            return Err(not_numbers(tensor, "floats or integers of at most 32 bits"));
        }
    };
    values.map_err(|error| Fault::internal(format!("tensor {}: {error}", quoted(tensor.name()))))
}

fn not_numbers(tensor: &Tensor, expected: &str) -> Fault {
    Fault::invalid_input(format!(
        "tensor {}: expected {expected}, got {}",
        quoted(tensor.name()),
        kind_of(tensor)
    ))
}

fn halves(data: &[u8]) -> impl Iterator<Item = u16> {
    let (pairs, _) = data.as_chunks::<2>();
    pairs.iter().map(|pair| u16::from_le_bytes(*pair))
}

/// A tensor of these numbers, whose data is their memory and no copy of it.
pub(crate) fn fp32_tensor(name: &str, shape: &[u64], values: Vec<f32>) -> Result<Tensor, Fault> {
    tensor(name, Datatype::Fp32, shape, bytes_of(values))
}

/// As [`fp32_tensor`].
pub(crate) fn int64_tensor(name: &str, shape: &[u64], values: Vec<i64>) -> Result<Tensor, Fault> {
    tensor(name, Datatype::Int64, shape, bytes_of(values))
}

/// A tensor that an operation made; that its parts do not agree would be a bug in the operation.
pub(crate) fn tensor(
    name: &str,
    datatype: Datatype,
    shape: &[u64],
    data: impl Into<Bytes>,
) -> Result<Tensor, Fault> {
    Tensor::new(name, datatype, shape, data)
        .map_err(|error| Fault::internal(format!("tensor {}: {error}", quoted(name))))
}

/// The memory of numbers as bytes, without a copy.
pub(crate) fn bytes_of<T: bytemuck::NoUninit + Send + 'static>(values: Vec<T>) -> Bytes {
    struct Owner<T>(Vec<T>);
    impl<T: bytemuck::NoUninit> AsRef<[u8]> for Owner<T> {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    Bytes::from_owner(Owner(values))
}

// Tensor data is little-endian and is handed to and from memory as it is.
#[cfg(target_endian = "big")]
compile_error!(
    "tensors are passed to ONNX Runtime as little-endian memory; big-endian machines are not supported"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_becomes_f32() {
        let check = |tensor: Tensor, expect: &[f32]| assert_eq!(as_f32(&tensor).unwrap(), expect);
        let two = [2u64];
        check(Tensor::from_elements("x", two, &[1.5f32, -2.0]).unwrap(), &[1.5, -2.0]);
        check(Tensor::from_elements("x", two, &[1.5f64, -2.0]).unwrap(), &[1.5, -2.0]);
        check(Tensor::from_elements("x", two, &[true, false]).unwrap(), &[1.0, 0.0]);
        check(Tensor::from_elements("x", two, &[1u8, 255]).unwrap(), &[1.0, 255.0]);
        check(Tensor::from_elements("x", two, &[1u64, 1 << 40]).unwrap(), &[1.0, 1_099_511_627_776.0]);
        check(Tensor::from_elements("x", two, &[-1i8, 2]).unwrap(), &[-1.0, 2.0]);
        check(Tensor::new("x", Datatype::Fp16, two, vec![0x00, 0x3e, 0x00, 0xc0]).unwrap(), &[1.5, -2.0]);
        check(Tensor::new("x", Datatype::Bf16, two, vec![0xc0, 0x3f, 0x00, 0xc0]).unwrap(), &[1.5, -2.0]);
    }

    #[test]
    fn what_is_no_number_is_named() {
        let text = Tensor::from_byte_strings("x", [1u64], ["a"]).unwrap();
        assert_eq!(as_f32(&text).unwrap_err().message, "tensor `x`: expected numbers, got BYTES [1]");
        let wide = Tensor::from_elements("x", [1u64], &[1i64]).unwrap();
        assert_eq!(
            scores(&wide).unwrap_err().message,
            "tensor `x`: expected floats or integers of at most 32 bits, got INT64 [1]"
        );
    }

    #[test]
    fn numbers_become_a_tensor_without_a_copy() {
        let values = vec![1.0f32, 2.0];
        let address = values.as_ptr().cast::<u8>();
        let tensor = fp32_tensor("x", &[2], values).unwrap();
        assert_eq!(tensor.data().as_ptr(), address);
        assert_eq!(tensor.elements::<f32>().unwrap(), [1.0, 2.0]);
    }
}
