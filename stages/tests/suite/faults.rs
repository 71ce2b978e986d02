//! What goes wrong inside ONNX Runtime: runs that take too long, memory that is short, a crash.

use std::path::Path;
use std::time::{Duration, Instant};

use schemas::{FailureCode, Job, Tensor};
use stages::{FailureClass, Inference, Inferred, JobError, ModelConfig, RuntimeConfig};

use crate::{load as load_own, require_runtime};

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

#[tokio::test]
async fn memory_that_is_short_may_be_there_another_time() {
    let inference = load_own("hungry");
    let job = |elements: i64| Job::new([Tensor::from_elements("size", [1u64], &[elements]).unwrap()]);
    // More than a process can address.
    let outcomes = inference.run(vec![job(5), job(1 << 58)]).await;
    assert_eq!(outcomes[0].as_ref().unwrap().job.inputs[0].elements::<f32>().unwrap(), [5.0]);
    let error = outcomes[1].as_ref().unwrap_err();
    assert_eq!((error.code, error.class), (FailureCode::ModelError, FailureClass::Transient), "{error}");
}

/// Set in the process that divides by zero.
const DIVIDES_BY_ZERO: &str = "STAGES_TEST_DIVIDES_BY_ZERO";

#[tokio::test]
async fn whole_numbers_are_divided() {
    let inference = load("divide", None);
    let job = |divisor: i32| Job::new([Tensor::from_elements("x", [1u64, 1], &[100 + divisor]).unwrap()]);
    let divisors = if std::env::var_os(DIVIDES_BY_ZERO).is_some() { vec![7, 0] } else { vec![7, -3] };
    let outcomes = inference.run(divisors.into_iter().map(job).collect()).await;
    let quotient = |at: usize| outcomes[at].as_ref().unwrap().job.inputs[0].elements::<i32>().unwrap()[0];
    assert_eq!([quotient(0), quotient(1)], [14, -33]);
}

/// What the tests of crashes build on: a job that nothing in the process can contain. Other processors than x86 divide by
/// zero without a word.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_division_by_zero_kills_the_process() {
    use std::os::unix::process::ExitStatusExt;

    const SIGFPE: i32 = 8;
    require_runtime();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::whole_numbers_are_divided", "--nocapture"])
        .env(DIVIDES_BY_ZERO, "yes")
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(SIGFPE), "{output:?}");
}
