//! MessagePack, read value by value from a record that tensor data goes on pointing into.

use std::borrow::Cow;

use bytes::Bytes;
use rmp::Marker;

use crate::codec::reader::{MAX_DEPTH, Reader, parameter_out_of_range, too_deep, too_many, wrong_kind};
use crate::{Datatype, DecodeError, MAX_RANK, Parameter};

#[derive(Clone)]
pub(super) struct MessagePackReader<'a> {
    body: &'a Bytes,
    rest: &'a [u8],
}

/// A value, or the beginning of one that holds others.
enum Value<'a> {
    Nil,
    Bool(bool),
    Uint(u64),
    Negative(i64),
    Float(f64),
    Str(&'a str),
    Bin(&'a [u8]),
    Ext,
    /// So many values follow.
    Array(usize),
    /// So many pairs of a key and a value follow.
    Map(usize),
}

impl Value<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a bool",
            Self::Uint(_) => "an int",
            Self::Negative(_) => "a negative int",
            Self::Float(_) => "a float",
            Self::Str(_) => "a str",
            Self::Bin(_) => "a bin",
            Self::Ext => "an ext",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
        }
    }
}

impl<'a> MessagePackReader<'a> {
    pub(super) fn new(body: &'a Bytes) -> Self {
        Self { body, rest: body }
    }

    fn value(&mut self) -> Result<Value<'a>, DecodeError> {
        let [marker] = self.fixed()?;
        Ok(match Marker::from_u8(marker) {
            Marker::Null => Value::Nil,
            Marker::False => Value::Bool(false),
            Marker::True => Value::Bool(true),
            Marker::FixPos(value) => Value::Uint(value.into()),
            Marker::U8 => Value::Uint(u8::from_be_bytes(self.fixed()?).into()),
            Marker::U16 => Value::Uint(u16::from_be_bytes(self.fixed()?).into()),
            Marker::U32 => Value::Uint(u32::from_be_bytes(self.fixed()?).into()),
            Marker::U64 => Value::Uint(u64::from_be_bytes(self.fixed()?)),
            Marker::FixNeg(value) => signed(value.into()),
            Marker::I8 => signed(i8::from_be_bytes(self.fixed()?).into()),
            Marker::I16 => signed(i16::from_be_bytes(self.fixed()?).into()),
            Marker::I32 => signed(i32::from_be_bytes(self.fixed()?).into()),
            Marker::I64 => signed(i64::from_be_bytes(self.fixed()?)),
            Marker::F32 => Value::Float(f32::from_be_bytes(self.fixed()?).into()),
            Marker::F64 => Value::Float(f64::from_be_bytes(self.fixed()?)),
            Marker::FixStr(length) => self.str(length.into())?,
            Marker::Str8 => self.length_8().and_then(|length| self.str(length))?,
            Marker::Str16 => self.length_16().and_then(|length| self.str(length))?,
            Marker::Str32 => self.length_32().and_then(|length| self.str(length))?,
            Marker::Bin8 => self.length_8().and_then(|length| self.take(length)).map(Value::Bin)?,
            Marker::Bin16 => self.length_16().and_then(|length| self.take(length)).map(Value::Bin)?,
            Marker::Bin32 => self.length_32().and_then(|length| self.take(length)).map(Value::Bin)?,
            Marker::FixArray(count) => self.holding(count.into(), 1).map(Value::Array)?,
            Marker::Array16 => self.length_16().and_then(|count| self.holding(count, 1)).map(Value::Array)?,
            Marker::Array32 => self.length_32().and_then(|count| self.holding(count, 1)).map(Value::Array)?,
            Marker::FixMap(count) => self.holding(count.into(), 2).map(Value::Map)?,
            Marker::Map16 => self.length_16().and_then(|count| self.holding(count, 2)).map(Value::Map)?,
            Marker::Map32 => self.length_32().and_then(|count| self.holding(count, 2)).map(Value::Map)?,
            Marker::FixExt1 => self.ext(1)?,
            Marker::FixExt2 => self.ext(2)?,
            Marker::FixExt4 => self.ext(4)?,
            Marker::FixExt8 => self.ext(8)?,
            Marker::FixExt16 => self.ext(16)?,
            Marker::Ext8 => self.length_8().and_then(|length| self.ext(length))?,
            Marker::Ext16 => self.length_16().and_then(|length| self.ext(length))?,
            Marker::Ext32 => self.length_32().and_then(|length| self.ext(length))?,
            Marker::Reserved => {
                return Err(DecodeError::undecodable("", "byte 0xc1 begins no value of MessagePack"));
            }
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        self.rest.split_off(..length).ok_or_else(|| self.truncated(length))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.truncated(N))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn length_8(&mut self) -> Result<usize, DecodeError> {
        Ok(u8::from_be_bytes(self.fixed()?).into())
    }

    fn length_16(&mut self) -> Result<usize, DecodeError> {
        Ok(u16::from_be_bytes(self.fixed()?).into())
    }

    fn length_32(&mut self) -> Result<usize, DecodeError> {
        Ok(u32::from_be_bytes(self.fixed()?) as usize)
    }

    fn str(&mut self, length: usize) -> Result<Value<'a>, DecodeError> {
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Value::Str).map_err(|_| DecodeError::undecodable("", "is a str that is not UTF-8"))
    }

    fn ext(&mut self, length: usize) -> Result<Value<'a>, DecodeError> {
        // The type comes first, in a byte of its own.
        self.take(length.saturating_add(1)).map(|_| Value::Ext)
    }

    /// A count of values, each of `width` bytes at least, that the rest of the record can hold. Nothing is ever reserved
    /// for a count that has not passed here.
    fn holding(&self, count: usize, width: usize) -> Result<usize, DecodeError> {
        let needed = count.saturating_mul(width);
        if needed > self.rest.len() { Err(self.truncated(needed)) } else { Ok(count) }
    }

    fn truncated(&self, needed: usize) -> DecodeError {
        if self.body.is_empty() {
            return DecodeError::undecodable("", "is empty");
        }
        let (at, left) = (self.body.len() - self.rest.len(), self.rest.len());
        let message = format!("ends too early: {needed} bytes are due at byte {at}, and {left} are left");
        DecodeError::undecodable("", message)
    }
}

fn signed(value: i64) -> Value<'static> {
    u64::try_from(value).map_or(Value::Negative(value), Value::Uint)
}

impl<'a> Reader<'a> for MessagePackReader<'a> {
    type Data = &'a [u8];

    fn read_map(
        &mut self,
        mut entry: impl FnMut(&mut Self, &str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = match self.value()? {
            Value::Map(count) => count,
            other => return Err(wrong_kind("a map", other.kind())),
        };
        for _ in 0..count {
            match self.value()? {
                Value::Str(key) => entry(self, key).map_err(|error| error.under(key))?,
                other => {
                    return Err(DecodeError::invalid(
                        "",
                        format!("has a key that is {}, not a str", other.kind()),
                    ));
                }
            }
        }
        Ok(())
    }

    fn read_array<T>(
        &mut self,
        most: usize,
        noun: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = match self.value()? {
            Value::Array(count) if count <= most => count,
            Value::Array(_) => return Err(too_many(most, noun)),
            other => return Err(wrong_kind("an array", other.kind())),
        };
        // A shape and most lists of tensors fit; a longer list grows with what is really there, not with what it claims.
        let mut items = Vec::with_capacity(count.min(MAX_RANK));
        for index in 0..count {
            items.push(item(self).map_err(|error| error.at(index))?);
        }
        Ok(items)
    }

    fn read_str(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        match self.value()? {
            Value::Str(text) => Ok(Cow::Borrowed(text)),
            other => Err(wrong_kind("a str", other.kind())),
        }
    }

    fn read_uint(&mut self) -> Result<u64, DecodeError> {
        match self.value()? {
            Value::Uint(value) => Ok(value),
            other => Err(wrong_kind("an unsigned int", other.kind())),
        }
    }

    fn read_bool(&mut self) -> Result<bool, DecodeError> {
        match self.value()? {
            Value::Bool(value) => Ok(value),
            other => Err(wrong_kind("a bool", other.kind())),
        }
    }

    fn read_parameter(&mut self) -> Result<Parameter, DecodeError> {
        match self.value()? {
            Value::Bool(value) => Ok(Parameter::Bool(value)),
            Value::Uint(value) => {
                i64::try_from(value).map(Parameter::Int).map_err(|_| parameter_out_of_range())
            }
            Value::Negative(value) => Ok(Parameter::Int(value)),
            Value::Float(value) => Ok(Parameter::Float(value)),
            Value::Str(text) => Ok(Parameter::Str(text.to_owned())),
            other => Err(wrong_kind("a bool, an int, a float or a str", other.kind())),
        }
    }

    fn read_data(&mut self) -> Result<&'a [u8], DecodeError> {
        match self.value()? {
            Value::Bin(data) => Ok(data),
            other => Err(wrong_kind("a bin", other.kind())),
        }
    }

    fn skip(&mut self) -> Result<(), DecodeError> {
        // How many values are still due in each open array or map, the innermost last.
        let mut due = [0_usize; MAX_DEPTH];
        let mut depth = 0;
        loop {
            let held = match self.value()? {
                Value::Array(count) => Some(count),
                Value::Map(count) => Some(2 * count),
                _ => None,
            };
            if let Some(count) = held {
                *due.get_mut(depth).ok_or_else(too_deep)? = count;
                depth += 1;
            } else if depth > 0 {
                due[depth - 1] -= 1;
            }
            // A container that is complete is itself one value of the container around it.
            while depth > 0 && due[depth - 1] == 0 {
                depth -= 1;
                if depth > 0 {
                    due[depth - 1] -= 1;
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn tensor_data(&self, data: &'a [u8], _: Datatype, _: &[u64]) -> Result<Bytes, DecodeError> {
        Ok(self.body.slice_ref(data))
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::undecodable("", format!("{left} bytes follow the map"))),
        }
    }
}
