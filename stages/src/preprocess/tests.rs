use std::panic::resume_unwind;

use schemas::{FailureCode, Tensor};

use super::*;

fn preprocess(steps: &str) -> Preprocess {
    #[derive(Deserialize)]
    struct File {
        steps: Vec<PreprocessStep>,
    }
    let file: File = toml::from_str(&format!("steps = {steps}")).unwrap();
    Preprocess::new(&file.steps).unwrap()
}

#[test]
fn without_steps_a_job_passes_as_it_is() {
    let mut job = Job::new([Tensor::from_elements("x", [2u64], &[1.0f32, 2.0]).unwrap()]);
    job.parameters.insert("a".to_owned(), 1i64.into());
    let preprocess = Preprocess::default();
    assert!(preprocess.is_pass_through());
    assert_eq!(preprocess.run(job.clone()), Ok(job));
}

#[test]
fn parameters_and_other_tensors_stay() {
    let other = Tensor::from_elements("other", [1u64], &[7i64]).unwrap();
    let pixels = Tensor::from_elements("image", [1u64, 1, 2], &[1u8, 2]).unwrap();
    let mut job = Job::new([other.clone(), pixels]);
    job.parameters.insert("a".to_owned(), 1i64.into());
    let done = preprocess("[{ op = 'layout', tensor = 'image', to = 'chw' }]").run(job).unwrap();
    assert_eq!(done.inputs[0], other);
    assert_eq!(done.inputs[1].shape(), [1, 2, 1, 1]);
    assert_eq!(done.parameters.len(), 1);
}

#[test]
fn a_failure_names_stage_and_step() {
    let job = Job::new([Tensor::from_elements("image", [8u64, 8, 1], &[0.5f32; 64]).unwrap()]);
    let steps = "[{ op = 'normalise' }, { op = 'resize', width = 4, height = 4 }]";
    let error = preprocess(steps).run(job).unwrap_err();
    assert_eq!(
        (error.stage, error.code, error.is_retriable()),
        (Stage::Preprocess, FailureCode::InvalidInput, false)
    );
    assert_eq!(
        error.message,
        "preprocess[1] resize: tensor `image`: expected an image of UINT8, got FP32 [8, 8, 1]"
    );
}

#[test]
fn a_panic_is_one_jobs_failure() {
    #[derive(Debug)]
    struct Panics;
    impl Operation for Panics {
        fn apply(&self, _: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
            // Not `panic!`, which would print a backtrace into the output of the tests.
            resume_unwind(Box::new("broken invariant".to_owned()))
        }
    }
    let step = Step { label: "preprocess[0] panics".to_owned(), operation: Box::new(Panics) };
    let error = Preprocess { steps: vec![step] }.run(Job::default()).unwrap_err();
    assert_eq!(error.code, FailureCode::Internal);
    assert_eq!(error.message, "preprocess[0] panics: panicked: broken invariant");
}
