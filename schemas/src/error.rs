//! Why bytes are refused, or a message cannot be written as asked.
//!
//! Both kinds of error end in logs, dead letters and failures that users read, so they never carry contents of a
//! payload; names and short values that they quote go through [`quoted`].

use std::fmt;

use crate::FailureCode;

/// Why a record is refused: `inputs[2].shape: has 9 dimensions, more than 8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// `undecodable` for broken bytes, `invalid_input` for well-formed but wrong ones, `too_large` for limits.
    pub code: FailureCode,
    /// Where: `body`, `inputs[2].shape`, `headers.ce_time`.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for DecodeError {}

impl DecodeError {
    pub(crate) fn new(code: FailureCode, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, path: path.into(), message: message.into() }
    }

    pub(crate) fn undecodable(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureCode::Undecodable, path, message)
    }

    pub(crate) fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureCode::InvalidInput, path, message)
    }

    pub(crate) fn too_large(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureCode::TooLarge, path, message)
    }

    /// The same error seen from the map around it, in which the value stands under `key`.
    pub(crate) fn under(mut self, key: &str) -> Self {
        let key = shortened(key);
        self.path = match self.path.as_str() {
            "" => key,
            rest if rest.starts_with('[') => format!("{key}{rest}"),
            rest => format!("{key}.{rest}"),
        };
        self
    }

    /// The same error seen from the array around it.
    pub(crate) fn at(mut self, index: usize) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{separator}{}", self.path);
        self
    }

    /// The same error of a whole body, where an empty path is the body itself.
    pub(crate) fn of_body(mut self) -> Self {
        if self.path.is_empty() {
            "body".clone_into(&mut self.path);
        }
        self
    }
}

/// Why a message cannot be written in the encoding asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// JSON has no form for it; MessagePack does.
    #[error("{path}: {reason}; write it as MessagePack")]
    NotInJson {
        /// Where: `outputs[0].data`, `parameters.score`.
        path: String,
        /// Which value that JSON cannot carry.
        reason: &'static str,
    },
    /// A value is too long for the length field of its encoding.
    #[error("{path}: has 4 GiB or more")]
    TooLong {
        /// Where.
        path: String,
    },
}

/// A name or value from outside, safe to log: in quotes, escaped, and cut to 40 characters.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shortened(text))
}

/// Like [`quoted`], without the quotes.
pub(crate) fn shortened(text: &str) -> String {
    const MAX_CHARACTERS: usize = 40;
    let mut short: String = text.chars().take(MAX_CHARACTERS).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_grow_outwards() {
        let error = || DecodeError::invalid("", "x");
        assert_eq!(error().under("shape").at(2).under("inputs").to_string(), "inputs[2].shape: x");
        assert_eq!(error().at(1).under("shape").at(2).under("inputs").path, "inputs[2].shape[1]");
        assert_eq!(error().at(2).under("inputs").path, "inputs[2]");
        assert_eq!(error().of_body().path, "body");
        assert_eq!(error().under("k").of_body().path, "k");
    }

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        assert_eq!(quoted(&"é".repeat(41)), format!("\"{}…\"", "é".repeat(40)));
        assert_eq!(quoted(&"é".repeat(40)), format!("\"{}\"", "é".repeat(40)));
    }
}
