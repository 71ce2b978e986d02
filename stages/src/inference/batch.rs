//! One batch through one session: jobs that fit each other are put together along the batch axis, run once, and taken
//! apart again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use schemas::{FailureCode, Job, Parameters, Stage, Tensor};

use super::Inferred;
use crate::error::{Fault, JobError, panic_text};
use crate::failure_class::FailureClass;
use crate::model::{Model, ModelError, ModelInput};
use crate::numbers;
use crate::operation::{kind_of, quoted};
use crate::signature::{Fit, Signature};

/// Takes jobs through the model: one outcome per job, in the same order. Blocks.
pub(crate) fn run_jobs(
    model: &mut dyn Model,
    signature: &Signature,
    jobs: Vec<Job>,
) -> Vec<Result<Inferred, JobError>> {
    let mut outcomes: Vec<Option<Result<Inferred, JobError>>> = Vec::new();
    outcomes.resize_with(jobs.len(), || None);
    let mut groups: Vec<Vec<Member>> = Vec::new();
    for (index, job) in jobs.into_iter().enumerate() {
        let Job { inputs, parameters } = job;
        match signature.fit(inputs) {
            Ok(Fit { inputs, rows }) => {
                let member = Member { index, inputs, rows, parameters };
                let group = groups
                    .iter_mut()
                    .find(|group| signature.batch_axis().is_some() && group[0].stacks_on(&member));
                match group {
                    Some(group) => group.push(member),
                    None => groups.push(vec![member]),
                }
            }
            Err(fault) => outcomes[index] = Some(Err(fault.at(Stage::Inference))),
        }
    }
    for group in groups {
        for (index, outcome) in run_group(model, signature, group) {
            outcomes[index] = Some(outcome.map_err(|fault| fault.at(Stage::Inference)));
        }
    }
    outcomes.into_iter().map(|outcome| outcome.expect("every job is in a group or has failed")).collect()
}

/// A job that fits the model.
struct Member {
    /// Its place in the batch.
    index: usize,
    /// In the order of the model's inputs.
    inputs: Vec<Tensor>,
    rows: u64,
    parameters: Parameters,
}

impl Member {
    /// Whether the two differ along the batch axis at most.
    fn stacks_on(&self, other: &Self) -> bool {
        self.inputs.iter().zip(&other.inputs).all(|(mine, theirs)| mine.shape()[1..] == theirs.shape()[1..])
    }
}

/// Runs the members of a group together. If that fails, each is run alone, so that only those fail that are to blame;
/// unless there is nothing to be learned from that.
fn run_group(
    model: &mut dyn Model,
    signature: &Signature,
    group: Vec<Member>,
) -> Vec<(usize, Result<Inferred, Fault>)> {
    let started = Instant::now();
    match run_together(model, signature, &group) {
        Ok(outputs) => {
            let elapsed = started.elapsed();
            let rows = group.iter().map(|member| member.rows).sum();
            group
                .into_iter()
                .zip(outputs)
                .map(|(member, outputs)| member.inferred(outputs, elapsed, rows))
                .collect()
        }
        Err(error) if group.len() == 1 || is_for_all(&error) => {
            group.into_iter().map(|member| (member.index, Err(error.clone().into()))).collect()
        }
        Err(error) => {
            tracing::debug!(%error, jobs = group.len(), "a batch failed, running its jobs one by one");
            group.into_iter().map(|member| run_alone(model, signature, member)).collect()
        }
    }
}

/// Whether the jobs of a batch need not be run one by one after this error: a device that was lost fails them all, and
/// after a run that was too long there is no time for as many runs as there are jobs.
fn is_for_all(error: &ModelError) -> bool {
    error.class == FailureClass::Fatal || error.code == FailureCode::Timeout
}

fn run_alone(
    model: &mut dyn Model,
    signature: &Signature,
    member: Member,
) -> (usize, Result<Inferred, Fault>) {
    let started = Instant::now();
    let outputs = run_together(model, signature, std::slice::from_ref(&member));
    match outputs.map(|mut outputs| outputs.pop().unwrap_or_default()) {
        Ok(outputs) => {
            let rows = member.rows;
            member.inferred(outputs, started.elapsed(), rows)
        }
        Err(error) => (member.index, Err(error.into())),
    }
}

impl Member {
    fn inferred(
        self,
        outputs: Vec<Tensor>,
        elapsed: Duration,
        rows: u64,
    ) -> (usize, Result<Inferred, Fault>) {
        let job = Job { inputs: outputs, parameters: self.parameters };
        let batch_size = u32::try_from(rows).unwrap_or(u32::MAX);
        (self.index, Ok(Inferred { job, elapsed, batch_size }))
    }
}

/// One run of the model; the outputs of each member.
fn run_together(
    model: &mut dyn Model,
    signature: &Signature,
    group: &[Member],
) -> Result<Vec<Vec<Tensor>>, ModelError> {
    let rows: u64 = group.iter().map(|member| member.rows).sum();
    let mut inputs = Vec::with_capacity(signature.inputs().len());
    for (at, spec) in signature.inputs().iter().enumerate() {
        let parts: Vec<&Tensor> = group.iter().map(|member| &member.inputs[at]).collect();
        let mut shape = parts[0].shape().to_vec();
        if let Some(axis) = signature.batch_axis() {
            shape[axis] = rows;
        }
        inputs.push(ModelInput { name: &spec.name, datatype: spec.datatype, shape, parts });
    }
    let outputs = catch_unwind(AssertUnwindSafe(|| model.run(&inputs))).unwrap_or_else(|panic| {
        Err(ModelError::permanent(format!("the model panicked: {}", panic_text(&*panic))))
    })?;
    if outputs.len() != signature.outputs().len() {
        return Err(ModelError::permanent(format!(
            "the model gave {} outputs, not {}",
            outputs.len(),
            signature.outputs().len()
        )));
    }
    if signature.batch_axis().is_none() {
        return Ok(vec![outputs]);
    }
    let mut of_members: Vec<Vec<Tensor>> = group.iter().map(|_| Vec::with_capacity(outputs.len())).collect();
    for output in outputs {
        check_rows(&output, rows)?;
        let parts = split(&output, group.iter().map(|member| member.rows))?;
        for (member, part) in of_members.iter_mut().zip(parts) {
            member.push(part);
        }
    }
    Ok(of_members)
}

fn check_rows(output: &Tensor, rows: u64) -> Result<(), ModelError> {
    if output.shape().first() == Some(&rows) {
        return Ok(());
    }
    Err(ModelError::permanent(format!(
        "output {}: expected {rows} along the first axis, as many as the inputs have rows, got {}; \
         if the first axis of the model is no batch, set `batch_axis = \"none\"`",
        quoted(output.name()),
        kind_of(output)
    )))
}

/// Cuts a tensor into pieces of so many rows; their data stays where it is.
fn split(tensor: &Tensor, rows: impl Iterator<Item = u64>) -> Result<Vec<Tensor>, ModelError> {
    let total = tensor.shape()[0];
    let elements_per_row: u64 = tensor.shape()[1..].iter().product();
    let mut cut = Cut { data: tensor.data(), at: 0 };
    let bytes_per_row = tensor.datatype().element_size().map(|size| size * elements_per_row as usize);
    let piece = |rows: u64| {
        if rows == total {
            return Ok(tensor.clone());
        }
        let start = cut.at;
        let end = match bytes_per_row {
            Some(bytes) => start + bytes * rows as usize,
            None => cut.after_strings(rows * elements_per_row),
        };
        cut.at = end;
        let shape = [&[rows], &tensor.shape()[1..]].concat();
        numbers::tensor(tensor.name(), tensor.datatype(), &shape, tensor.data().slice(start..end))
            .map_err(|fault| ModelError::permanent(fault.message))
    };
    rows.map(piece).collect()
}

/// How far a tensor has been cut.
struct Cut<'a> {
    data: &'a [u8],
    at: usize,
}

impl Cut<'_> {
    /// The place after so many more byte strings, each a length and its bytes.
    fn after_strings(&self, count: u64) -> usize {
        let mut at = self.at;
        for _ in 0..count {
            let Some(length) = self.data.get(at..).and_then(|rest| rest.first_chunk()) else { break };
            at += 4 + u32::from_le_bytes(*length) as usize;
        }
        at.min(self.data.len())
    }
}

#[cfg(test)]
mod tests;
