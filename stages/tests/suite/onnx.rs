//! Models of every kind through ONNX Runtime.

use half::{bf16, f16};
use schemas::{Datatype, FailureCode, Job, Tensor};
use stages::{BatchAxis, FailureClass, Inference, Inferred, JobError, ModelConfig, RuntimeConfig};

use crate::{here, load, require_runtime};

async fn run_one(inference: &Inference, inputs: Vec<Tensor>) -> Result<Inferred, JobError> {
    inference.run(vec![Job::new(inputs)]).await.remove(0)
}

fn outputs(outcome: Result<Inferred, JobError>) -> Vec<Tensor> {
    outcome.unwrap().job.inputs
}

/// A tensor `[rows, 3]` of each datatype with its extremes in it.
fn extremes(datatype: Datatype, rows: u64) -> Tensor {
    macro_rules! numbers {
        ($($value:expr),*) => {{
            let values = [$($value),*].repeat(rows as usize);
            Tensor::from_elements("x", [rows, 3], &values).unwrap()
        }};
    }
    match datatype {
        Datatype::Bool => numbers!(true, false, true),
        Datatype::Uint8 => numbers!(0u8, 7, u8::MAX),
        Datatype::Uint16 => numbers!(0u16, 7, u16::MAX),
        Datatype::Uint32 => numbers!(0u32, 7, u32::MAX),
        Datatype::Uint64 => numbers!(0u64, 7, u64::MAX),
        Datatype::Int8 => numbers!(i8::MIN, 7, i8::MAX),
        Datatype::Int16 => numbers!(i16::MIN, 7, i16::MAX),
        Datatype::Int32 => numbers!(i32::MIN, 7, i32::MAX),
        Datatype::Int64 => numbers!(i64::MIN, 7, i64::MAX),
        Datatype::Fp16 => {
            let bits = [f16::MIN, f16::NEG_ZERO, f16::NAN].map(f16::to_le_bytes).concat();
            Tensor::new("x", datatype, [rows, 3], bits.repeat(rows as usize)).unwrap()
        }
        Datatype::Bf16 => {
            let bits = [bf16::MAX, bf16::INFINITY, bf16::NAN].map(bf16::to_le_bytes).concat();
            Tensor::new("x", datatype, [rows, 3], bits.repeat(rows as usize)).unwrap()
        }
        Datatype::Fp32 => numbers!(f32::MIN, -0.0, f32::NAN),
        Datatype::Fp64 => numbers!(f64::MAX, f64::NEG_INFINITY, f64::NAN),
        Datatype::Bytes => {
            let items = ["", "grüße", "a longer text"].repeat(rows as usize);
            Tensor::from_byte_strings("x", [rows, 3], items).unwrap()
        }
    }
}

#[tokio::test]
async fn every_datatype_goes_in_and_comes_out_to_the_bit() {
    for datatype in Datatype::ALL {
        let inference = load(&format!("identity_{}", datatype.as_str().to_lowercase()));
        assert_eq!(inference.signature().batch_axis(), Some(0));
        assert_eq!(inference.signature().inputs()[0].to_string(), format!("{datatype} [batch, 3]"));
        let inputs: Vec<Tensor> = [1, 2, 1].map(|rows| extremes(datatype, rows)).to_vec();
        let jobs = inputs.iter().map(|input| Job::new([input.clone()])).collect();
        for (outcome, input) in inference.run(jobs).await.into_iter().zip(inputs) {
            let inferred = outcome.unwrap();
            assert_eq!(inferred.batch_size, 4, "{datatype}");
            assert_eq!(inferred.job.inputs, [input.renamed("y")], "{datatype}");
        }
    }
}

#[tokio::test]
async fn axes_may_be_dynamic_and_outputs_many() {
    let inference = load("dynamic");
    let signature = inference.signature();
    assert_eq!(signature.inputs()[0].to_string(), "FP32 [batch, length]");
    assert_eq!(signature.outputs()[1].to_string(), "INT64 [batch, 1]");
    let job =
        |values: &[f32]| Job::new([Tensor::from_elements("x", [1, values.len() as u64], values).unwrap()]);
    let outcomes = inference.run(vec![job(&[1.0, 2.0]), job(&[5.0, 1.0, 2.0]), job(&[4.0, 3.0])]).await;
    let expect = [(3.0, 1, 2), (8.0, 0, 1), (7.0, 0, 2)];
    for (outcome, (sum, highest, batch_size)) in outcomes.into_iter().zip(expect) {
        let inferred = outcome.unwrap();
        assert_eq!(inferred.batch_size, batch_size);
        let outputs = inferred.job.inputs;
        assert_eq!((outputs[0].name(), outputs[0].elements::<f32>().unwrap()), ("sum", vec![sum]));
        assert_eq!((outputs[1].name(), outputs[1].elements::<i64>().unwrap()), ("highest", vec![highest]));
    }
}

#[tokio::test]
async fn two_inputs_in_any_order() {
    let inference = load("two_inputs");
    let tensor =
        |name: &str, values: &[i64]| Tensor::from_elements(name, [1, values.len() as u64], values).unwrap();
    let inputs = vec![tensor("mask", &[1, 0, 1]), tensor("ids", &[7, 8, 9])];
    let masked = outputs(run_one(&inference, inputs).await);
    assert_eq!(masked[0].elements::<i64>().unwrap(), [7, 0, 9]);

    let uneven = vec![tensor("mask", &[1]), tensor("ids", &[7, 8])];
    let error = run_one(&inference, uneven).await.unwrap_err();
    assert_eq!(error.message, "input `mask`: axis `length` has size 1, but 2 in input `ids`");
}

#[tokio::test]
async fn a_model_without_a_batch_axis_runs_job_by_job() {
    let inference = load("no_batch");
    assert_eq!(inference.signature().batch_axis(), None);
    let job = |start: f32| {
        let values: Vec<f32> = (0..6).map(|step| start + step as f32).collect();
        Job::new([Tensor::from_elements("x", [2u64, 3], &values).unwrap()])
    };
    let outcomes = inference.run(vec![job(0.0), job(10.0)]).await;
    let second = outputs(outcomes[1].clone());
    assert_eq!(second[0].shape(), [3, 2]);
    assert_eq!(second[0].elements::<f32>().unwrap(), [10.0, 13.0, 11.0, 14.0, 12.0, 15.0]);
}

#[tokio::test]
async fn only_the_job_fails_that_the_model_fails_on() {
    let inference = load("fails");
    let job = |index: i64| Job::new([Tensor::from_elements("index", [1u64], &[index]).unwrap()]);
    let outcomes = inference.run(vec![job(0), job(99), job(3)]).await;
    assert_eq!(outputs(outcomes[0].clone())[0].elements::<f32>().unwrap(), [0.0, 1.0]);
    assert_eq!(outputs(outcomes[2].clone())[0].elements::<f32>().unwrap(), [6.0, 7.0]);
    let error = outcomes[1].as_ref().unwrap_err();
    assert_eq!((error.code, error.class), (FailureCode::ModelError, FailureClass::Permanent));
    assert!(error.message.contains("Gather") && !error.message.contains('\n'), "{error}");
}

#[tokio::test]
async fn an_axis_that_is_no_batch_is_told_of_and_can_be_declared() {
    let tensor = || Tensor::from_elements("x", [1u64, 3], &[1.0f32, 2.0, 3.0]).unwrap();
    let error = run_one(&load("doubles"), vec![tensor()]).await.unwrap_err();
    assert!(error.message.starts_with("output `y`: expected 1 along the first axis"), "{error}");

    let config = ModelConfig { batch_axis: BatchAxis::None, ..ModelConfig::new(here("models/doubles.onnx")) };
    let inference = Inference::load(&RuntimeConfig::default(), "doubles", &config).unwrap();
    assert_eq!(outputs(run_one(&inference, vec![tensor()]).await)[0].shape(), [2, 3]);
}

#[tokio::test]
async fn strings_are_worked_on() {
    let inference = load("shout");
    let job = |text: &str| Job::new([Tensor::from_byte_strings("text", [1u64], [text]).unwrap()]);
    let outcomes = inference.run(vec![job("hi"), job(""), job("grüße")]).await;
    let loud: Vec<Vec<u8>> = outcomes
        .into_iter()
        .map(|outcome| outputs(outcome)[0].byte_strings().unwrap().next().unwrap().to_vec())
        .collect();
    assert_eq!(loud, ["hi!".as_bytes(), b"!", "grüße!".as_bytes()]);

    let broken = Tensor::from_byte_strings("text", [1u64], [b"\xff"]).unwrap();
    let error = run_one(&inference, vec![broken]).await.unwrap_err();
    assert_eq!(error.code, FailureCode::InvalidInput);
}

#[tokio::test]
async fn sessions_run_side_by_side_and_warm_up() {
    require_runtime();
    let config =
        ModelConfig { sessions: 3, intra_threads: Some(1), ..ModelConfig::new(here("models/dynamic.onnx")) };
    let inference = Inference::load(&RuntimeConfig::default(), "dynamic", &config).unwrap();
    let warm = inference.warm_up().await.unwrap();
    assert_eq!(warm.inputs[0].elements::<f32>().unwrap(), [0.0]);
    let runs: Vec<_> = (0..30)
        .map(|value| {
            let inference = inference.clone();
            let tensor = Tensor::from_elements("x", [1u64, 2], &[value as f32, 1.0]).unwrap();
            tokio::spawn(async move { run_one(&inference, vec![tensor]).await })
        })
        .collect();
    for (value, run) in runs.into_iter().enumerate() {
        assert_eq!(outputs(run.await.unwrap())[0].elements::<f32>().unwrap(), [value as f32 + 1.0]);
    }
}

#[tokio::test]
async fn every_model_warms_up() {
    for name in ["identity_bytes", "identity_bf16", "two_inputs", "no_batch", "fails", "shout"] {
        load(name).warm_up().await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn load_error(name: &str, path: std::path::PathBuf) -> String {
    require_runtime();
    Inference::load(&RuntimeConfig::default(), name, &ModelConfig::new(path)).unwrap_err().to_string()
}

#[test]
fn what_is_no_model_is_told() {
    let error = load_error("m", here("models/make.py"));
    assert!(
        error.starts_with("model `m`: ") && error.contains("make.py is not a usable ONNX model: "),
        "{error}"
    );

    let error = load_error("m", here("models/sequence.onnx"));
    assert!(error.contains("output `y`: is Sequence<"), "{error}");

    let error = load_error("m", here("models/external.onnx"));
    assert!(error.ends_with("(external data), which is not supported; save it as one file"), "{error}");

    let error = load_error("m", here("models/absent.onnx"));
    assert!(error.starts_with("model `m`: cannot read "), "{error}");
}

#[test]
fn the_digest_is_that_of_the_file() {
    let inference = load("fails");
    assert_eq!(inference.digest().len(), 64);
    assert_ne!(inference.digest(), load("dynamic").digest());
}
