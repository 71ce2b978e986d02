//! What the operations of both stages share: the trait behind the list, how a wrong parameter is reported, and how an
//! operation finds its tensor.

use std::fmt;

use schemas::{Datatype, Tensor};

use crate::config::StageConfigError;
use crate::error::Fault;

/// One step of preprocessing or postprocessing, ready to run: a pure function over a job's tensors.
pub(crate) trait Operation: fmt::Debug + Send + Sync {
    fn apply(&self, tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault>;
}

/// A parameter of an operation that cannot be; the list adds which step it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

impl FieldError {
    pub(crate) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }

    /// `list` is `preprocess` or `postprocess`.
    pub(crate) fn in_list(self, list: &str, index: usize) -> StageConfigError {
        StageConfigError::new(format!("{list}[{index}].{}", self.field), self.message)
    }
}

/// Checks a name that is given for a tensor to be made.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), FieldError> {
    if name.is_empty() { Err(FieldError::new(field, "must not be empty")) } else { Ok(()) }
}

/// Where the tensor is that an operation works on: the one it names, or the only one there is.
pub(crate) fn position(tensors: &[Tensor], wanted: Option<&str>) -> Result<usize, Fault> {
    match wanted {
        Some(name) => tensors.iter().position(|tensor| tensor.name() == name).ok_or_else(|| {
            Fault::invalid_input(format!(
                "there is no tensor {}; the job has {}",
                quoted(name),
                names(tensors)
            ))
        }),
        None if tensors.len() == 1 => Ok(0),
        None if tensors.is_empty() => Err(Fault::invalid_input("the job has no tensor")),
        None => Err(Fault::invalid_input(format!(
            "the job has {} and the step does not say which to take; name it with `tensor`",
            names(tensors)
        ))),
    }
}

/// The names of the tensors as a sentence part, cut short where there are many.
pub(crate) fn names(tensors: &[Tensor]) -> String {
    const SHOWN: usize = 8;
    if tensors.is_empty() {
        return "no tensor".to_owned();
    }
    let mut shown: Vec<String> =
        tensors.iter().take(SHOWN).map(|tensor| quoted(tensor.name()).to_string()).collect();
    if tensors.len() > SHOWN {
        shown.push(format!("{} more", tensors.len() - SHOWN));
    }
    shown.join(", ")
}

/// A name from outside as messages show it: in backticks, without control characters, cut at 64 characters, so that a
/// hostile name cannot flood or break a log line.
pub(crate) fn quoted(name: &str) -> Quoted<'_> {
    Quoted(name)
}

pub(crate) struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        f.write_str("`")?;
        for character in self.0.chars().take(SHOWN) {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if self.0.chars().nth(SHOWN).is_some() {
            f.write_str("…")?;
        }
        f.write_str("`")
    }
}

/// A tensor's kind as messages show it: `UINT8 [8, 8]`.
pub(crate) fn kind(datatype: Datatype, shape: &[u64]) -> String {
    format!("{datatype} {shape:?}")
}

/// As [`kind`], of a tensor at hand.
pub(crate) fn kind_of(tensor: &Tensor) -> String {
    kind(tensor.datatype(), tensor.shape())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str) -> Tensor {
        Tensor::from_elements(name, [1u64], &[1u8]).unwrap()
    }

    #[test]
    fn finds_the_tensor_named_or_the_only_one() {
        assert_eq!(position(&[tensor("a"), tensor("b")], Some("b")), Ok(1));
        assert_eq!(position(&[tensor("a")], None), Ok(0));
    }

    #[test]
    fn says_which_tensors_there_are() {
        let check = |tensors: &[Tensor], wanted, expect: &str| {
            assert_eq!(position(tensors, wanted).unwrap_err().message, expect);
        };
        check(&[tensor("a"), tensor("b")], Some("c"), "there is no tensor `c`; the job has `a`, `b`");
        check(&[], Some("c"), "there is no tensor `c`; the job has no tensor");
        check(&[], None, "the job has no tensor");
        check(
            &[tensor("a"), tensor("b")],
            None,
            "the job has `a`, `b` and the step does not say which to take; name it with `tensor`",
        );
    }

    #[test]
    fn a_hostile_name_stays_one_short_line() {
        assert_eq!(quoted("a\nb").to_string(), "`a\\nb`");
        assert_eq!(quoted(&"x".repeat(100_000)).to_string().chars().count(), 64 + 3);
    }
}
