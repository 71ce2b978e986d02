//! What the maps of the contract are read through, whatever the encoding.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{Datatype, DecodeError, Parameter};

/// How deep a value under an unknown key may be nested. It is walked without recursion, so this bounds work and nothing
/// else.
pub(super) const MAX_DEPTH: usize = 32;

/// A position in a body, from which values are read one after the other. Paths of errors are relative to the value read.
pub(super) trait Reader<'a>: Clone {
    /// Where a tensor's data lies; it is only read once datatype and shape are known, which may come after it.
    type Data;

    /// Reads a map with string keys; `entry` reads the value of each key.
    fn read_map(
        &mut self,
        entry: impl FnMut(&mut Self, &str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError>;

    /// Reads an array of at most `most` items, which a reader's error calls `noun`.
    fn read_array<T>(
        &mut self,
        most: usize,
        noun: &str,
        item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError>;

    fn read_str(&mut self) -> Result<Cow<'a, str>, DecodeError>;
    fn read_uint(&mut self) -> Result<u64, DecodeError>;
    fn read_bool(&mut self) -> Result<bool, DecodeError>;
    fn read_parameter(&mut self) -> Result<Parameter, DecodeError>;
    fn read_data(&mut self) -> Result<Self::Data, DecodeError>;

    /// Passes over a value of any kind, checking only that it is well formed.
    fn skip(&mut self) -> Result<(), DecodeError>;

    /// The bytes of a tensor of this datatype and shape.
    fn tensor_data(&self, data: Self::Data, datatype: Datatype, shape: &[u64]) -> Result<Bytes, DecodeError>;

    /// Refuses whatever follows.
    fn end(&mut self) -> Result<(), DecodeError>;
}

/// A value of another kind than the contract asks for.
pub(super) fn wrong_kind(expected: &str, found: &str) -> DecodeError {
    DecodeError::invalid("", format!("must be {expected}, is {found}"))
}

pub(super) fn too_many(most: usize, noun: &str) -> DecodeError {
    DecodeError::too_large("", format!("has more than {most} {noun}"))
}

pub(super) fn too_deep() -> DecodeError {
    DecodeError::too_large("", format!("is nested more than {MAX_DEPTH} deep"))
}

/// An integer that a parameter cannot hold.
pub(super) fn parameter_out_of_range() -> DecodeError {
    DecodeError::invalid("", "is an integer outside of 64 bits with sign")
}
