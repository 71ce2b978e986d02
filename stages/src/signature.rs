//! What a model takes and gives, as its own file declares it, and whether a job fits.

use std::fmt;

use schemas::{Datatype, Tensor};

use crate::error::Fault;
use crate::operation::{kind_of, quoted};

/// The inputs and outputs of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    batched: bool,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub datatype: Datatype,
    /// Its axes, outermost first.
    pub dimensions: Vec<Dimension>,
}

/// The size of one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// Always this many.
    Fixed(u64),
    /// As many as come; axes of the same name agree within a job.
    Dynamic(Option<String>),
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Dynamic(Some(name)) => f.write_str(name),
            Self::Dynamic(None) => f.write_str("?"),
        }
    }
}

/// `FP32 [batch, 1, 8, 8]`
impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [", self.datatype)?;
        for (axis, dimension) in self.dimensions.iter().enumerate() {
            write!(f, "{}{dimension}", if axis == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

impl TensorSpec {
    /// An input or output; a dimension below 0 is dynamic and has no name.
    pub fn new(name: impl Into<String>, datatype: Datatype, dimensions: &[i64]) -> Self {
        let dimension = |size: &i64| u64::try_from(*size).map_or(Dimension::Dynamic(None), Dimension::Fixed);
        Self { name: name.into(), datatype, dimensions: dimensions.iter().map(dimension).collect() }
    }

    fn first_is_dynamic(&self) -> bool {
        matches!(self.dimensions.first(), Some(Dimension::Dynamic(_)))
    }
}

impl Signature {
    /// A signature whose batch axis follows from it: the first axis, if it is dynamic in every input and every output.
    /// Inputs that name their first axes differently have different axes there, and so no batch axis.
    pub fn new(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Self {
        let mut names = inputs.iter().filter_map(|input| match input.dimensions.first() {
            Some(Dimension::Dynamic(name)) => name.as_deref(),
            _ => None,
        });
        let first_name = names.next();
        let one_name = names.all(|name| Some(name) == first_name);
        let batched =
            !inputs.is_empty() && one_name && inputs.iter().chain(&outputs).all(TensorSpec::first_is_dynamic);
        Self { inputs, outputs, batched }
    }

    /// The same signature without a batch axis: jobs are run one by one.
    #[must_use]
    pub fn unbatched(self) -> Self {
        Self { batched: false, ..self }
    }

    /// What the model takes, in its order.
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    /// What the model gives, in its order.
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// The axis along which jobs are put together, if there is one.
    pub fn batch_axis(&self) -> Option<usize> {
        self.batched.then_some(0)
    }

    /// Checks that a job's tensors are what the model takes, and puts them in the order of the model's inputs.
    pub(crate) fn fit(&self, mut inputs: Vec<Tensor>) -> Result<Fit, Fault> {
        if let Some(unknown) = inputs.iter().find(|tensor| self.input(tensor.name()).is_none()) {
            return Err(Fault::invalid_input(format!(
                "input {}: the model has no such input; it takes {}",
                quoted(unknown.name()),
                self.list_inputs()
            )));
        }
        let mut bound = BoundNames::default();
        for spec in &self.inputs {
            let mut named = inputs.iter().filter(|tensor| tensor.name() == spec.name);
            let tensor = named.next().ok_or_else(|| {
                Fault::invalid_input(format!("input {}: missing; expected {spec}", quoted(&spec.name)))
            })?;
            if named.next().is_some() {
                return Err(Fault::invalid_input(format!("input {}: given twice", quoted(&spec.name))));
            }
            spec.check(tensor)?;
            bound.check(spec, tensor)?;
        }
        inputs.sort_by_key(|tensor| self.inputs.iter().position(|input| input.name == tensor.name()));
        let rows = if self.batched { self.rows(&inputs)? } else { 1 };
        Ok(Fit { inputs, rows })
    }

    fn input(&self, name: &str) -> Option<&TensorSpec> {
        self.inputs.iter().find(|input| input.name == name)
    }

    fn list_inputs(&self) -> String {
        let one = |input: &TensorSpec| format!("{} {input}", quoted(&input.name));
        self.inputs.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// How many rows a job has along the batch axis; all its inputs have the same number of them.
    fn rows(&self, inputs: &[Tensor]) -> Result<u64, Fault> {
        let first = &inputs[0];
        let rows = first.shape()[0];
        if rows == 0 {
            return Err(Fault::invalid_input(format!(
                "input {}: has no rows ({}); expected at least one",
                quoted(first.name()),
                kind_of(first)
            )));
        }
        match inputs.iter().find(|input| input.shape()[0] != rows) {
            None => Ok(rows),
            Some(other) => Err(Fault::invalid_input(format!(
                "input {}: has {} rows, but input {} has {rows}",
                quoted(other.name()),
                other.shape()[0],
                quoted(first.name())
            ))),
        }
    }
}

/// A job that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fit {
    /// The job's tensors in the order of the model's inputs.
    pub(crate) inputs: Vec<Tensor>,
    /// Rows along the batch axis; 1 where there is none.
    pub(crate) rows: u64,
}

impl TensorSpec {
    fn check(&self, tensor: &Tensor) -> Result<(), Fault> {
        let same_size = |(dimension, size): (&Dimension, &u64)| match dimension {
            Dimension::Fixed(expected) => expected == size,
            Dimension::Dynamic(_) => true,
        };
        let shape = tensor.shape();
        let fits = tensor.datatype() == self.datatype
            && shape.len() == self.dimensions.len()
            && self.dimensions.iter().zip(shape).all(same_size);
        if !fits {
            return Err(Fault::invalid_input(format!(
                "input {}: expected {self}, got {}",
                quoted(&self.name),
                kind_of(tensor)
            )));
        }
        if self.datatype == Datatype::Bytes { self.check_strings(tensor) } else { Ok(()) }
    }

    /// ONNX strings are text: UTF-8, and ONNX Runtime takes them without a NUL.
    fn check_strings(&self, tensor: &Tensor) -> Result<(), Fault> {
        let mut strings = tensor.byte_strings().map_err(|error| Fault::internal(error.to_string()))?;
        let wrong = strings.position(|string| string.contains(&0) || std::str::from_utf8(string).is_err());
        match wrong {
            None => Ok(()),
            Some(index) => Err(Fault::invalid_input(format!(
                "input {}: element {index} is not UTF-8 without NUL, which the model's strings are",
                quoted(&self.name)
            ))),
        }
    }
}

/// The sizes that a job gives to named axes.
#[derive(Default)]
struct BoundNames<'a>(Vec<(&'a str, u64, &'a str)>);

impl<'a> BoundNames<'a> {
    fn check(&mut self, spec: &'a TensorSpec, tensor: &Tensor) -> Result<(), Fault> {
        for (dimension, &size) in spec.dimensions.iter().zip(tensor.shape()) {
            let Dimension::Dynamic(Some(name)) = dimension else { continue };
            match self.0.iter().find(|(bound, ..)| bound == name) {
                None => self.0.push((name, size, &spec.name)),
                Some((_, bound, _)) if *bound == size => {}
                Some((_, bound, input)) => {
                    return Err(Fault::invalid_input(format!(
                        "input {}: axis {} has size {size}, but {bound} in input {}",
                        quoted(&spec.name),
                        quoted(name),
                        quoted(input)
                    )));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
