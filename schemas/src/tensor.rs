//! A tensor: a name, a shape and data that agree, checked when it is built.

use std::borrow::Cow;

use bytes::{Buf, Bytes};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{Datatype, Element};

/// The most dimensions a tensor has.
pub const MAX_RANK: usize = 8;

/// A named array of elements. Its data is row-major and little-endian without padding, byte for byte what the Open
/// Inference Protocol's binary extension carries; whoever holds a `Tensor` can rely on it agreeing with the shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    name: String,
    datatype: Datatype,
    shape: Vec<u64>,
    data: Bytes,
}

/// Why name, shape and data do not make a tensor, or a tensor does not read as what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The shape has too many dimensions.
    #[error("has {rank} dimensions, more than {MAX_RANK}")]
    Rank {
        /// How many it has.
        rank: usize,
    },
    /// The shape multiplies to more elements than memory can hold.
    #[error("multiplies to more elements than can be addressed")]
    Overflow,
    /// The data is longer or shorter than the shape says.
    #[error("has {actual} bytes where shape and datatype make {expected}")]
    Length {
        /// Bytes that the shape asks for.
        expected: usize,
        /// Bytes that came.
        actual: usize,
    },
    /// The data of a BYTES tensor holds another number of elements than the shape says, or ends inside one.
    #[error("is not the {expected} length-prefixed elements of the shape: {found}")]
    ByteStrings {
        /// Elements that the shape asks for.
        expected: u64,
        /// What was found instead.
        found: ByteStringsFault,
    },
    /// An element of a BOOL tensor is neither 0 nor 1.
    #[error("element {index} is neither 0 nor 1")]
    Bool {
        /// Which element.
        index: usize,
    },
    /// The elements were asked for as another type.
    #[error("is {actual}, not {asked}")]
    Datatype {
        /// What was asked for.
        asked: Datatype,
        /// What the tensor is.
        actual: Datatype,
    },
    /// A byte string is too long for its u32 length.
    #[error("element {index} has 4 GiB or more")]
    ElementTooLong {
        /// Which element.
        index: usize,
    },
}

/// How the data of a BYTES tensor goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ByteStringsFault {
    /// The data ends before the elements do.
    #[error("the data ends in element {0}")]
    EndsInElement(u64),
    /// Bytes are left over after the last element.
    #[error("{0} bytes are left over")]
    LeftOver(usize),
}

impl Tensor {
    /// A tensor of these parts.
    ///
    /// # Errors
    ///
    /// If the shape has more than [`MAX_RANK`] dimensions or overflows, or the data does not agree with it.
    pub fn new(
        name: impl Into<String>,
        datatype: Datatype,
        shape: impl Into<Vec<u64>>,
        data: impl Into<Bytes>,
    ) -> Result<Self, TensorError> {
        let (shape, data) = (shape.into(), data.into());
        check_data(datatype, element_count(&shape)?, &data)?;
        Ok(Self { name: name.into(), datatype, shape, data })
    }

    /// A tensor of these elements.
    ///
    /// ```
    /// use schemas::{Datatype, Tensor};
    ///
    /// let tensor = Tensor::from_elements("x", [2, 2], &[1_i32, 2, 3, 4])?;
    /// assert_eq!((tensor.datatype(), tensor.data().len()), (Datatype::Int32, 16));
    /// # Ok::<(), schemas::TensorError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the shape is not one of that many elements.
    pub fn from_elements<T: Element>(
        name: impl Into<String>,
        shape: impl Into<Vec<u64>>,
        elements: &[T],
    ) -> Result<Self, TensorError> {
        let mut data = Vec::with_capacity(size_of_val(elements));
        T::extend(elements, &mut data);
        Self::new(name, T::DATATYPE, shape, data)
    }

    /// A BYTES tensor of these byte strings.
    ///
    /// # Errors
    ///
    /// If the shape is not one of that many elements, or one has 4 GiB or more.
    pub fn from_byte_strings(
        name: impl Into<String>,
        shape: impl Into<Vec<u64>>,
        items: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<Self, TensorError> {
        let mut data = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let item = item.as_ref();
            let length = u32::try_from(item.len()).map_err(|_| TensorError::ElementTooLong { index })?;
            data.extend_from_slice(&length.to_le_bytes());
            data.extend_from_slice(item);
        }
        Self::new(name, Datatype::Bytes, shape, data)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of the elements.
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// The dimensions, outermost first; none for a scalar.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The elements' bytes.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// How many elements there are: 1 for a scalar, 0 if any dimension is 0.
    pub fn element_count(&self) -> u64 {
        self.shape.iter().product()
    }

    /// The same tensor under another name.
    #[must_use]
    pub fn renamed(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The elements, copied out.
    ///
    /// # Errors
    ///
    /// If the tensor has another datatype.
    pub fn elements<T: Element>(&self) -> Result<Vec<T>, TensorError> {
        self.expect_datatype(T::DATATYPE)?;
        Ok(T::read(&self.data))
    }

    /// The elements of a BYTES tensor.
    ///
    /// # Errors
    ///
    /// If the tensor has another datatype.
    pub fn byte_strings(&self) -> Result<impl Iterator<Item = &[u8]>, TensorError> {
        self.expect_datatype(Datatype::Bytes)?;
        let mut rest: &[u8] = &self.data;
        Ok(std::iter::from_fn(move || {
            let length = rest.try_get_u32_le().ok()? as usize;
            rest.split_off(..length)
        }))
    }

    /// The elements of a BYTES tensor, each a slice of the tensor's data that keeps it alive.
    ///
    /// # Errors
    ///
    /// If the tensor has another datatype.
    pub fn byte_string_slices(&self) -> Result<impl Iterator<Item = Bytes>, TensorError> {
        self.expect_datatype(Datatype::Bytes)?;
        let mut rest = self.data.clone();
        Ok(std::iter::from_fn(move || {
            let length = rest.try_get_u32_le().ok()? as usize;
            (length <= rest.len()).then(|| rest.split_to(length))
        }))
    }

    fn expect_datatype(&self, asked: Datatype) -> Result<(), TensorError> {
        if self.datatype == asked {
            return Ok(());
        }
        Err(TensorError::Datatype { asked, actual: self.datatype })
    }
}

/// How many elements a shape has. Dimensions beside a 0 are multiplied as well: `[0, 2^60]` holds nothing, but whoever
/// computes strides from it would overflow.
fn element_count(shape: &[u64]) -> Result<u64, TensorError> {
    if shape.len() > MAX_RANK {
        return Err(TensorError::Rank { rank: shape.len() });
    }
    if product_of_nonzero(shape).is_none_or(|product| product > isize::MAX as u64) {
        return Err(TensorError::Overflow);
    }
    Ok(shape.iter().product())
}

/// The product of the dimensions that are not 0, or `None` if it does not fit.
pub(crate) fn product_of_nonzero(shape: &[u64]) -> Option<u64> {
    shape.iter().filter(|&&dimension| dimension != 0).try_fold(1_u64, |product, &d| product.checked_mul(d))
}

fn check_data(datatype: Datatype, count: u64, data: &[u8]) -> Result<(), TensorError> {
    let Some(size) = datatype.element_size() else {
        return check_byte_strings(count, data);
    };
    let expected =
        usize::try_from(count).ok().and_then(|count| count.checked_mul(size)).ok_or(TensorError::Overflow)?;
    if data.len() != expected {
        return Err(TensorError::Length { expected, actual: data.len() });
    }
    if datatype == Datatype::Bool
        && let Some(index) = data.iter().position(|&byte| byte > 1)
    {
        return Err(TensorError::Bool { index });
    }
    Ok(())
}

fn check_byte_strings(expected: u64, mut data: &[u8]) -> Result<(), TensorError> {
    for index in 0..expected {
        let element = data.try_get_u32_le().ok().and_then(|length| data.split_off(..length as usize));
        if element.is_none() {
            return Err(TensorError::ByteStrings { expected, found: ByteStringsFault::EndsInElement(index) });
        }
    }
    if data.is_empty() {
        return Ok(());
    }
    Err(TensorError::ByteStrings { expected, found: ByteStringsFault::LeftOver(data.len()) })
}

impl JsonSchema for Tensor {
    fn schema_name() -> Cow<'static, str> {
        "Tensor".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A named array of elements.",
            "type": "object",
            "required": ["name", "datatype", "shape", "data"],
            "properties": {
                "name": { "type": "string", "description": "As the stage or model names it." },
                "datatype": generator.subschema_for::<Datatype>(),
                "shape": {
                    "description": "The dimensions, row-major; none for a scalar.",
                    "type": "array",
                    "maxItems": MAX_RANK,
                    "items": { "type": "integer", "minimum": 0 }
                },
                "data": {
                    "description": "The elements.",
                    "oneOf": [
                        {
                            "description": "In MessagePack, a bin: the elements, little-endian, without padding; BOOL is one \
                                byte, 0 or 1; a BYTES element is a u32 length, then its bytes.",
                            "type": "string",
                            "contentEncoding": "binary"
                        },
                        {
                            "description": "In JSON, an array, flat or nested as the shape says: numbers, booleans for \
                                BOOL, strings for BYTES; FP16 and BF16 have no form.",
                            "type": "array",
                            "items": { "type": ["number", "boolean", "string", "array"] }
                        }
                    ]
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
