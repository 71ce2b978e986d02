//! What goes wrong inside ONNX Runtime: runs that take too long, memory that is short, a crash.

use std::path::Path;
use std::time::{Duration, Instant};

use schemas::{FailureCode, Job, Tensor};
use stages::{FailureClass, Inference, Inferred, JobError, ModelConfig, RuntimeConfig};

use crate::require_runtime;

/// Loads one of the models that the fault tests of the whole system run.
fn load(name: &str, timeout_ms: Option<u64>) -> Inference {
    require_runtime();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models").join(format!("{name}.onnx"));
    let config = ModelConfig { timeout_ms, ..ModelConfig::new(path) };
    Inference::load(&RuntimeConfig::default(), name, &config).unwrap()
}

/// A job for `slow.onnx` that takes so many turns of its loop, about a microsecond each.
fn turns(count: i64) -> Job {
    Job::new([Tensor::from_elements("x", [1u64, 1], &[count]).unwrap()])
}

/// More than half an hour.
const FOR_EVER: i64 = 2_000_000_000;

fn answer(outcome: &Result<Inferred, JobError>) -> i64 {
    outcome.as_ref().unwrap().job.inputs[0].elements::<i64>().unwrap()[0]
}

#[tokio::test]
async fn a_run_that_is_too_long_is_ended_and_the_session_works_afterwards() {
    let inference = load("slow", Some(1000));
    inference.warm_up().await.unwrap();
    for _ in 0..3 {
        let started = Instant::now();
        let outcomes = inference.run(vec![turns(1), turns(FOR_EVER)]).await;
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(1000) && took < Duration::from_secs(20), "{took:?}");
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            assert_eq!((error.code, error.class), (FailureCode::Timeout, FailureClass::Transient));
            assert!(error.message.contains("after 1000 ms"), "{error}");
            assert!(error.message.contains("models.slow.timeout_ms"), "{error}");
        }
        let outcomes = inference.run(vec![turns(1), turns(1000)]).await;
        assert_eq!(outcomes.iter().map(answer).collect::<Vec<_>>(), [1, 1000]);
        assert_eq!(outcomes[0].as_ref().unwrap().batch_size, 2);
    }
    assert_eq!(inference.sessions_available(), 1);
}

#[tokio::test]
async fn runs_within_the_limit_are_left_alone() {
    let limited = load("slow", Some(60_000));
    for count in [0, 1, 1000, 100_000] {
        let outcomes = limited.run(vec![turns(count)]).await;
        assert_eq!(answer(&outcomes[0]), count);
    }
}
