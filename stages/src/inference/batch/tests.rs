use std::panic::resume_unwind;

use proptest::prelude::*;
use schemas::Datatype;

use super::*;
use crate::failure_class::FailureClass;
use crate::fake::{FakeModel, concatenated};
use crate::signature::TensorSpec;

fn job(values: &[f32]) -> Job {
    Job::new([Tensor::from_elements("x", [values.len() as u64 / 2, 2], values).unwrap()])
}

fn run(model: &mut FakeModel, jobs: Vec<Job>) -> Vec<Result<Inferred, JobError>> {
    let signature = model.signature().clone();
    run_jobs(model, &signature, jobs)
}

fn output(outcome: &Result<Inferred, JobError>) -> (Vec<f32>, u32) {
    let inferred = outcome.as_ref().unwrap();
    (inferred.job.inputs[0].elements().unwrap(), inferred.batch_size)
}

/// Fails on batches that hold a negative number, and panics on batches that hold 666.
fn picky() -> FakeModel {
    let spec = |name: &str| TensorSpec::new(name, Datatype::Fp32, &[-1, 2]);
    FakeModel::new(Signature::new(vec![spec("x")], vec![spec("y")]), |inputs| {
        let x = concatenated(&inputs[0])?;
        let values = x.elements::<f32>().unwrap();
        if values.contains(&666.0) {
            resume_unwind(Box::new("out of numbers"));
        }
        if values.iter().any(|value| *value < 0.0) {
            return Err(ModelError::transient("negative"));
        }
        Ok(vec![x.renamed("y")])
    })
}

#[test]
fn jobs_share_one_run_and_get_their_own_rows_back() {
    let mut model = FakeModel::identity(Datatype::Fp32, &[-1, 2]);
    let runs = model.runs();
    let outcomes = run(&mut model, vec![job(&[1.0, 2.0]), job(&[3.0, 4.0, 5.0, 6.0]), job(&[7.0, 8.0])]);
    assert_eq!(output(&outcomes[0]), (vec![1.0, 2.0], 4));
    assert_eq!(output(&outcomes[1]), (vec![3.0, 4.0, 5.0, 6.0], 4));
    assert_eq!(output(&outcomes[2]), (vec![7.0, 8.0], 4));
    assert_eq!(outcomes[1].as_ref().unwrap().job.inputs[0].shape(), [2, 2]);
    assert_eq!(runs.count(), 1);
}

#[test]
fn parameters_stay_with_their_job() {
    let mut model = FakeModel::identity(Datatype::Fp32, &[-1, 2]);
    let mut jobs = vec![job(&[1.0, 2.0]), job(&[3.0, 4.0])];
    jobs[1].parameters.insert("who".to_owned(), "second".into());
    let outcomes = run(&mut model, jobs);
    assert!(outcomes[0].as_ref().unwrap().job.parameters.is_empty());
    assert_eq!(outcomes[1].as_ref().unwrap().job.parameters["who"], "second".into());
}

#[test]
fn jobs_of_different_shapes_run_apart() {
    let mut model = FakeModel::identity(Datatype::Fp32, &[-1, -1]);
    let runs = model.runs();
    let of_length = |length: u64, value: f32| {
        Job::new([Tensor::from_elements("x", [1, length], &vec![value; length as usize]).unwrap()])
    };
    let jobs = vec![of_length(2, 1.0), of_length(3, 2.0), of_length(2, 3.0), of_length(3, 4.0)];
    let outcomes = run(&mut model, jobs);
    assert_eq!(runs.count(), 2);
    for (outcome, (value, length)) in outcomes.iter().zip([(1.0, 2), (2.0, 3), (3.0, 2), (4.0, 3)]) {
        assert_eq!(output(outcome), (vec![value; length], 2));
    }
}

#[test]
fn a_job_that_does_not_fit_fails_alone() {
    let mut model = FakeModel::identity(Datatype::Fp32, &[-1, 2]);
    let wrong = Job::new([Tensor::from_elements("x", [2u64], &[1u8, 2]).unwrap()]);
    let outcomes = run(&mut model, vec![job(&[1.0, 2.0]), wrong, Job::default(), job(&[3.0, 4.0])]);
    assert_eq!(output(&outcomes[0]), (vec![1.0, 2.0], 2));
    assert_eq!(output(&outcomes[3]), (vec![3.0, 4.0], 2));
    let error = outcomes[1].as_ref().unwrap_err();
    assert_eq!(
        (error.stage, error.code, error.class),
        (Stage::Inference, FailureCode::InvalidInput, FailureClass::Permanent)
    );
    assert_eq!(error.message, "input `x`: expected FP32 [?, 2], got UINT8 [2]");
    assert_eq!(outcomes[2].as_ref().unwrap_err().message, "input `x`: missing; expected FP32 [?, 2]");
}

#[test]
fn when_a_batch_fails_only_the_guilty_do() {
    let mut model = picky();
    let runs = model.runs();
    let outcomes =
        run(&mut model, vec![job(&[1.0, 2.0]), job(&[-1.0, 2.0]), job(&[666.0, 2.0]), job(&[3.0, 4.0])]);
    assert_eq!(output(&outcomes[0]), (vec![1.0, 2.0], 1));
    assert_eq!(output(&outcomes[3]), (vec![3.0, 4.0], 1));
    assert_eq!(runs.count(), 5);
    let check = |at: usize, message: &str, class| {
        let error = outcomes[at].as_ref().unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str(), error.class),
            (FailureCode::ModelError, message, class)
        );
    };
    check(1, "negative", FailureClass::Transient);
    check(2, "the model panicked: out of numbers", FailureClass::Permanent);
}

#[test]
fn a_lost_device_is_nobodys_fault_and_not_tried_job_by_job() {
    let spec = |name: &str| TensorSpec::new(name, Datatype::Fp32, &[-1, 2]);
    let mut model = FakeModel::new(Signature::new(vec![spec("x")], vec![spec("y")]), |_| {
        Err(ModelError::fatal("the device was lost"))
    });
    let runs = model.runs();
    for outcome in run(&mut model, vec![job(&[1.0, 2.0]), job(&[3.0, 4.0])]) {
        let error = outcome.unwrap_err();
        assert_eq!((error.code, error.class), (FailureCode::ModelError, FailureClass::Fatal));
        assert!(error.is_retriable());
        assert_eq!(error.message, "the device was lost");
    }
    assert_eq!(runs.count(), 1);
}

#[test]
fn a_single_job_that_fails_is_not_run_again() {
    let mut model = picky();
    let runs = model.runs();
    assert!(run(&mut model, vec![job(&[-1.0, 2.0])])[0].is_err());
    assert_eq!(runs.count(), 1);
}

#[test]
fn without_a_batch_axis_jobs_run_one_by_one() {
    let mut model = FakeModel::identity(Datatype::Fp32, &[1, 2]);
    let runs = model.runs();
    let outcomes = run(&mut model, vec![job(&[1.0, 2.0]), job(&[3.0, 4.0])]);
    assert_eq!(output(&outcomes[0]), (vec![1.0, 2.0], 1));
    assert_eq!(output(&outcomes[1]), (vec![3.0, 4.0], 1));
    assert_eq!(runs.count(), 2);
}

#[test]
fn an_output_that_has_other_rows_is_told_of() {
    let spec = |name: &str| TensorSpec::new(name, Datatype::Fp32, &[-1]);
    let mut model = FakeModel::new(Signature::new(vec![spec("x")], vec![spec("y")]), |_| {
        Ok(vec![Tensor::from_elements("y", [3u64], &[0.0f32; 3]).unwrap()])
    });
    let one = || Job::new([Tensor::from_elements("x", [1u64], &[0.0f32]).unwrap()]);
    for outcome in run(&mut model, vec![one(), one()]) {
        assert_eq!(
            outcome.unwrap_err().message,
            "output `y`: expected 1 along the first axis, as many as the inputs have rows, got FP32 [3]; \
             if the first axis of the model is no batch, set `batch_axis = \"none\"`"
        );
    }
}

#[test]
fn no_jobs_no_run() {
    let mut model = FakeModel::identity(Datatype::Fp32, &[-1, 2]);
    assert!(run(&mut model, Vec::new()).is_empty());
    assert_eq!(model.runs().count(), 0);
}

fn tensors() -> impl Strategy<Value = Vec<Tensor>> {
    let bytes = prop::collection::vec(prop::collection::vec(1u8..128, 0..6), 2..9).prop_map(|mut items| {
        items.truncate(items.len() / 2 * 2);
        Tensor::from_byte_strings("x", [items.len() as u64 / 2, 2], items).unwrap()
    });
    let numbers = prop::collection::vec(any::<i16>(), 2..9).prop_map(|mut items| {
        items.truncate(items.len() / 2 * 2);
        Tensor::from_elements("x", [items.len() as u64 / 2, 2], &items).unwrap()
    });
    prop_oneof![prop::collection::vec(bytes, 1..6), prop::collection::vec(numbers, 1..6)]
}

proptest! {
    /// Put together, run and taken apart: each job has its own tensor again, whatever the datatype and rows.
    #[test]
    fn together_and_apart_is_the_same(tensors in tensors()) {
        let mut model = FakeModel::identity(tensors[0].datatype(), &[-1, 2]);
        let runs = model.runs();
        let jobs = tensors.iter().map(|tensor| Job::new([tensor.clone()])).collect();
        for (outcome, tensor) in run(&mut model, jobs).into_iter().zip(tensors) {
            prop_assert_eq!(outcome.unwrap().job.inputs, vec![tensor.renamed("y")]);
        }
        prop_assert_eq!(runs.count(), 1);
    }
}
