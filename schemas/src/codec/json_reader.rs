//! JSON, read value by value.

use std::borrow::Cow;
use std::ops::Range;
use std::str::FromStr;

use bytes::Bytes;

use crate::codec::json_elements::read_elements;
use crate::codec::reader::{MAX_DEPTH, Reader, parameter_out_of_range, too_deep, too_many, wrong_kind};
use crate::{Datatype, DecodeError, Parameter};

#[derive(Clone)]
pub(super) struct JsonReader<'a> {
    text: &'a str,
    /// Where the next value begins, or the white space before it.
    at: usize,
}

/// A number as it is written; what it means depends on what is asked for.
pub(super) struct Number<'a> {
    pub(super) text: &'a str,
    /// Neither fraction nor exponent.
    is_integer: bool,
}

impl<'a> JsonReader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(body).map_err(|error| {
            DecodeError::undecodable("", format!("is not UTF-8 from byte {}", error.valid_up_to()))
        })?;
        Ok(Self { text, at: 0 })
    }

    /// A reader of a value that was passed over before.
    fn within(&self, span: Range<usize>) -> Self {
        Self { text: &self.text[..span.end], at: span.start }
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.text.len() - self.at
    }

    /// Whether an array comes next, and the first thing in it is another.
    pub(super) fn begins_nested(&self) -> bool {
        let mut ahead = self.clone();
        ahead.take(b'[') && ahead.peek() == Some(b'[')
    }

    /// A boolean, if one comes next.
    pub(super) fn boolean(&mut self) -> Option<bool> {
        matches!(self.peek(), Some(b't' | b'f')).then(|| self.read_bool().ok()).flatten()
    }

    /// A number, if one comes next.
    pub(super) fn any_number(&mut self) -> Option<Number<'a>> {
        matches!(self.peek(), Some(b'-' | b'0'..=b'9')).then(|| self.number().ok()).flatten()
    }

    /// A string, if one comes next.
    pub(super) fn text(&mut self) -> Option<Cow<'a, str>> {
        (self.peek() == Some(b'"')).then(|| self.string().ok()).flatten()
    }

    /// Whether the body is an object with this key. If it is not, it is well-formed JSON all the same.
    pub(super) fn is_object_with(&self, key: &str) -> Result<bool, DecodeError> {
        let mut reader = self.clone();
        if reader.peek() != Some(b'{') {
            reader.skip()?;
            return reader.end().map(|()| false);
        }
        reader.at += 1;
        if !reader.take(b'}') {
            loop {
                let found = reader.key()?;
                if found == key {
                    return Ok(true);
                }
                reader.skip().map_err(|error| error.under(&found))?;
                if reader.closes(b'}')? {
                    break;
                }
            }
        }
        reader.end().map(|()| false)
    }

    /// The first byte of what comes next.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))?;
        self.at += blank;
        Some(rest[blank])
    }

    /// Takes this byte if it comes next.
    pub(super) fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// After an item: true at the end of its array or object, false after a comma.
    pub(super) fn closes(&mut self, end: u8) -> Result<bool, DecodeError> {
        match self.peek() {
            Some(found) if found == end || found == b',' => {
                self.at += 1;
                Ok(found == end)
            }
            _ => Err(self.broken()),
        }
    }

    fn key(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        if self.peek() != Some(b'"') {
            return Err(self.broken());
        }
        let key = self.string()?;
        if self.take(b':') { Ok(key) } else { Err(self.broken()) }
    }

    /// A string, from its opening quote.
    fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start + 1..];
        let mut escaped = false;
        let mut length = 0;
        loop {
            match rest.get(length) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    length += 2;
                }
                Some(0..=0x1f) | None => {
                    self.at = (start + 1 + length).min(self.text.len());
                    return Err(self.broken());
                }
                Some(_) => length += 1,
            }
        }
        let end = start + 1 + length;
        self.at = end + 1;
        if !escaped {
            return Ok(Cow::Borrowed(&self.text[start + 1..end]));
        }
        match serde_json::from_str(&self.text[start..=end]) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => {
                Err(DecodeError::undecodable("", format!("is a string with a broken escape at byte {start}")))
            }
        }
    }

    /// A number, from its first digit or its sign.
    fn number(&mut self) -> Result<Number<'a>, DecodeError> {
        let bytes = &self.text.as_bytes()[self.at..];
        let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|byte| any.contains(byte));
        let digits =
            |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();

        let first = usize::from(is(0, b"-"));
        // Nothing but a 0 begins with a 0.
        let integer_end = if is(first, b"0") { first + 1 } else { digits(first) };
        let (mut end, mut begins_digits) = (integer_end, first);
        if is(end, b".") && end > begins_digits {
            begins_digits = end + 1;
            end = digits(begins_digits);
        }
        if is(end, b"eE") && end > begins_digits {
            begins_digits = end + 1 + usize::from(is(end + 1, b"+-"));
            end = digits(begins_digits);
        }
        let text = &self.text[self.at..self.at + end];
        self.at += end;
        if end == begins_digits {
            Err(self.broken())
        } else {
            Ok(Number { text, is_integer: end == integer_end })
        }
    }

    /// One of the three literal names.
    fn literal(&mut self, literal: &str) -> Result<(), DecodeError> {
        if !self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.broken());
        }
        self.at += literal.len();
        Ok(())
    }

    /// What kind of value comes next; an error if none does.
    fn kind(&mut self) -> Result<&'static str, DecodeError> {
        match self.peek() {
            Some(b'{') => Ok("an object"),
            Some(b'[') => Ok("an array"),
            Some(b'"') => Ok("a string"),
            Some(b't' | b'f') => Ok("a boolean"),
            Some(b'n') => Ok("null"),
            Some(b'-' | b'0'..=b'9') => Ok("a number"),
            _ => Err(self.broken()),
        }
    }

    /// A value of another kind than asked for; broken bytes if it is none at all.
    fn unexpected(&mut self, expected: &str) -> DecodeError {
        self.kind().map_or_else(|broken| broken, |found| wrong_kind(expected, found))
    }

    fn broken(&self) -> DecodeError {
        let at = self.at;
        let message = if at < self.text.len() {
            format!("is not JSON from byte {at}")
        } else if self.text.is_empty() {
            "is empty".to_owned()
        } else {
            "ends too early".to_owned()
        };
        DecodeError::undecodable("", message)
    }

    /// Passes over a string, a number or a literal.
    fn skip_scalar(&mut self) -> Result<(), DecodeError> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => Err(self.broken()),
        }
    }
}

impl<'a> Reader<'a> for JsonReader<'a> {
    type Data = Range<usize>;

    fn read_map(
        &mut self,
        mut entry: impl FnMut(&mut Self, &str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.take(b'{') {
            return Err(self.unexpected("an object"));
        }
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            entry(self, &key).map_err(|error| error.under(&key))?;
            if self.closes(b'}')? {
                return Ok(());
            }
        }
    }

    fn read_array<T>(
        &mut self,
        most: usize,
        noun: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        if !self.take(b'[') {
            return Err(self.unexpected("an array"));
        }
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(items);
        }
        loop {
            if items.len() == most {
                return Err(too_many(most, noun));
            }
            let index = items.len();
            items.push(item(self).map_err(|error| error.at(index))?);
            if self.closes(b']')? {
                return Ok(items);
            }
        }
    }

    fn read_str(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        if self.peek() == Some(b'"') { self.string() } else { Err(self.unexpected("a string")) }
    }

    fn read_uint(&mut self) -> Result<u64, DecodeError> {
        const EXPECTED: &str = "an integer from 0 to 2^64 - 1";
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.unexpected(EXPECTED));
        }
        self.number()?.integer().ok_or_else(|| wrong_kind(EXPECTED, "another number"))
    }

    fn read_bool(&mut self) -> Result<bool, DecodeError> {
        match self.peek() {
            Some(b't') => self.literal("true").map(|()| true),
            Some(b'f') => self.literal("false").map(|()| false),
            _ => Err(self.unexpected("a boolean")),
        }
    }

    fn read_parameter(&mut self) -> Result<Parameter, DecodeError> {
        match self.peek() {
            Some(b'"') => self.string().map(|text| Parameter::Str(text.into_owned())),
            Some(b't' | b'f') => self.read_bool().map(Parameter::Bool),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                if number.is_integer {
                    number.integer().map(Parameter::Int).ok_or_else(parameter_out_of_range)
                } else {
                    let value: Option<f64> = number.text.parse().ok().filter(|value: &f64| value.is_finite());
                    value
                        .map(Parameter::Float)
                        .ok_or_else(|| DecodeError::invalid("", "does not fit a double"))
                }
            }
            _ => Err(self.unexpected("a boolean, a number or a string")),
        }
    }

    fn read_data(&mut self) -> Result<Range<usize>, DecodeError> {
        if self.peek() != Some(b'[') {
            return Err(self.unexpected("an array"));
        }
        let start = self.at;
        self.skip()?;
        Ok(start..self.at)
    }

    fn skip(&mut self) -> Result<(), DecodeError> {
        // The closing byte of each open object or array, the innermost last.
        let mut open = [0_u8; MAX_DEPTH];
        let mut depth = 0;
        loop {
            let end = match self.peek() {
                Some(b'{') => Some(b'}'),
                Some(b'[') => Some(b']'),
                _ => None,
            };
            if let Some(end) = end {
                self.at += 1;
                *open.get_mut(depth).ok_or_else(too_deep)? = end;
                depth += 1;
                if self.take(end) {
                    depth -= 1;
                } else {
                    if end == b'}' {
                        self.key()?;
                    }
                    continue;
                }
            } else {
                self.skip_scalar()?;
            }
            // A value is complete; so may be what holds it.
            while depth > 0 && self.closes(open[depth - 1])? {
                depth -= 1;
            }
            if depth == 0 {
                return Ok(());
            }
            if open[depth - 1] == b'}' {
                self.key()?;
            }
        }
    }

    fn tensor_data(
        &self,
        data: Range<usize>,
        datatype: Datatype,
        shape: &[u64],
    ) -> Result<Bytes, DecodeError> {
        read_elements(self.within(data), datatype, shape).map(Bytes::from)
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => {
                let message = format!("{} bytes follow the JSON value", self.text.len() - self.at);
                Err(DecodeError::undecodable("", message))
            }
        }
    }
}

impl Number<'_> {
    /// The integer, if it is written as one and fits.
    pub(super) fn integer<T: FromStr>(&self) -> Option<T> {
        let text = if self.text == "-0" { "0" } else { self.text };
        if self.is_integer { text.parse().ok() } else { None }
    }
}

#[cfg(test)]
mod tests;
