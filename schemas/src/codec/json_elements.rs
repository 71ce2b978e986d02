//! The `data` array of a JSON tensor: flat, or nested as its shape says.

use std::str::FromStr;

use crate::codec::json_reader::JsonReader;
use crate::{Datatype, DecodeError};

/// Reads the array into the bytes that a tensor holds. The text is known to be an array, and the shape to be within the
/// limits.
pub(super) fn read_elements(
    mut reader: JsonReader,
    datatype: Datatype,
    shape: &[u64],
) -> Result<Vec<u8>, DecodeError> {
    if matches!(datatype, Datatype::Fp16 | Datatype::Bf16) {
        let message = format!("is {datatype}, which has no form in JSON: send it as MessagePack");
        return Err(DecodeError::invalid("", message));
    }
    let expected: u64 = shape.iter().product();
    // An element and its comma are two bytes at least: nothing is reserved for a shape that the text cannot fill.
    let most = (reader.left() / 2 + 1).min(usize::try_from(expected).unwrap_or(usize::MAX));
    let data = Vec::with_capacity(most * datatype.element_size().unwrap_or(4));
    let mut elements = Elements { datatype, data, count: 0 };
    if reader.begins_nested() {
        elements.nested(&mut reader, shape)?;
    } else {
        elements.flat(&mut reader, expected)?;
    }
    Ok(elements.data)
}

/// The elements read so far.
struct Elements {
    datatype: Datatype,
    data: Vec<u8>,
    count: u64,
}

impl Elements {
    /// An array of exactly so many elements.
    fn flat(&mut self, reader: &mut JsonReader, expected: u64) -> Result<(), DecodeError> {
        let message = match each_item(reader, expected, |reader| self.element(reader))? {
            Items::Found(found) if found == expected => return Ok(()),
            Items::Found(found) => format!("has {found} elements where the shape makes {expected}"),
            Items::TooMany => format!("has more elements than the {expected} of the shape"),
        };
        Err(DecodeError::invalid("", message))
    }

    /// Arrays in arrays, one level for each dimension: eight at most, so recursion is as shallow.
    fn nested(&mut self, reader: &mut JsonReader, shape: &[u64]) -> Result<(), DecodeError> {
        let not_as_shape = || DecodeError::invalid("", "is not nested as the shape says");
        let Some((&expected, inner)) = shape.split_first() else { return Err(not_as_shape()) };
        if reader.peek() != Some(b'[') {
            return Err(not_as_shape());
        }
        let items = each_item(reader, expected, |reader| {
            if inner.is_empty() { self.element(reader) } else { self.nested(reader, inner) }
        })?;
        if items == Items::Found(expected) { Ok(()) } else { Err(not_as_shape()) }
    }

    fn element(&mut self, reader: &mut JsonReader) -> Result<(), DecodeError> {
        let read = match self.datatype {
            Datatype::Bool => reader.boolean().map(|value| self.data.push(value.into())),
            Datatype::Uint8 => integer(reader).map(|value| self.push(u8::to_le_bytes(value))),
            Datatype::Uint16 => integer(reader).map(|value| self.push(u16::to_le_bytes(value))),
            Datatype::Uint32 => integer(reader).map(|value| self.push(u32::to_le_bytes(value))),
            Datatype::Uint64 => integer(reader).map(|value| self.push(u64::to_le_bytes(value))),
            Datatype::Int8 => integer(reader).map(|value| self.push(i8::to_le_bytes(value))),
            Datatype::Int16 => integer(reader).map(|value| self.push(i16::to_le_bytes(value))),
            Datatype::Int32 => integer(reader).map(|value| self.push(i32::to_le_bytes(value))),
            Datatype::Int64 => integer(reader).map(|value| self.push(i64::to_le_bytes(value))),
            Datatype::Fp32 => float(reader, f32::is_finite).map(|value| self.push(f32::to_le_bytes(value))),
            Datatype::Fp64 => float(reader, f64::is_finite).map(|value| self.push(f64::to_le_bytes(value))),
            Datatype::Bytes => self.byte_string(reader),
            Datatype::Fp16 | Datatype::Bf16 => None,
        };
        let (index, datatype) = (self.count, self.datatype);
        self.count += 1;
        read.ok_or_else(|| DecodeError::invalid("", format!("element {index} is not a {datatype}")))
    }

    fn byte_string(&mut self, reader: &mut JsonReader) -> Option<()> {
        let text = reader.text()?;
        self.push(u32::try_from(text.len()).ok()?.to_le_bytes());
        self.data.extend_from_slice(text.as_bytes());
        Some(())
    }

    fn push<const N: usize>(&mut self, bytes: [u8; N]) {
        self.data.extend_from_slice(&bytes);
    }
}

/// A number without fraction or exponent that fits the type.
fn integer<T: FromStr>(reader: &mut JsonReader) -> Option<T> {
    reader.any_number()?.integer()
}

/// A number within the range of the type.
fn float<T: FromStr + Copy>(reader: &mut JsonReader, is_finite: fn(T) -> bool) -> Option<T> {
    reader.any_number()?.text.parse().ok().filter(|value| is_finite(*value))
}

/// How many items an array had.
#[derive(PartialEq)]
enum Items {
    Found(u64),
    TooMany,
}

/// Reads the items of an array, and stops where there are more than `most`.
fn each_item(
    reader: &mut JsonReader,
    most: u64,
    mut item: impl FnMut(&mut JsonReader) -> Result<(), DecodeError>,
) -> Result<Items, DecodeError> {
    reader.take(b'[');
    if reader.take(b']') {
        return Ok(Items::Found(0));
    }
    let mut found = 0;
    loop {
        if found == most {
            return Ok(Items::TooMany);
        }
        item(reader)?;
        found += 1;
        if reader.closes(b']')? {
            return Ok(Items::Found(found));
        }
    }
}
