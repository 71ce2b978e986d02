use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use schemas::{Datatype, Job, Stage};

use super::*;
use crate::config::ModelConfig;
use crate::error::JobError;
use crate::fake::{FakeModel, StopSign, concatenated};
use crate::inference::{Inference, Inferred};
use crate::signature::TensorSpec;

/// Much longer than any test waits: a run of so long is a run that was not ended.
const FOR_EVER: Duration = Duration::from_secs(20);

fn signature() -> Signature {
    let spec = |name: &str| TensorSpec::new(name, Datatype::Fp32, &[-1, -1]);
    Signature::new(vec![spec("x")], vec![spec("y")])
}

/// Takes as many milliseconds as its largest element says, unless it is told to stop; gives its input back. Panics on 666.
fn slow() -> FakeModel {
    FakeModel::stoppable(signature(), |inputs, stop| {
        let x = concatenated(&inputs[0])?;
        let longest = x.elements::<f32>().unwrap().into_iter().fold(0.0, f32::max);
        if longest == 666.0 {
            assert!(stop.wait(FOR_EVER), "not ended");
            resume_unwind(Box::new("told to panic"));
        }
        match stop.wait(Duration::from_millis(longest as u64)) {
            true => Err(ModelError::permanent("stopped")),
            false => Ok(vec![x.renamed("y")]),
        }
    })
}

fn inference(model: FakeModel, timeout_ms: u64) -> Inference {
    let config = ModelConfig { timeout_ms: Some(timeout_ms), ..ModelConfig::new("none") };
    Inference::with_models(vec![Box::new(model)], "").limited("m", &config)
}

/// A job that the model takes so long for; jobs of different lengths do not share a run.
fn job(milliseconds: f32, length: usize) -> Job {
    let values = vec![milliseconds; length];
    Job::new([Tensor::from_elements("x", [1, length as u64], &values).unwrap()])
}

fn never_ends(length: usize) -> Job {
    job(FOR_EVER.as_millis() as f32, length)
}

fn is_timeout(outcome: &Result<Inferred, JobError>) -> bool {
    matches!(outcome, Err(error) if error.code == FailureCode::Timeout)
}

#[tokio::test]
async fn a_run_that_is_too_long_is_ended_and_not_repeated_job_by_job() {
    let model = slow();
    let (runs, stop) = (model.runs(), model.stop_sign());
    let inference = inference(model, 300);
    let started = Instant::now();
    let outcomes = inference.run(vec![never_ends(1), job(0.0, 1)]).await;
    assert!(started.elapsed() >= Duration::from_millis(300) && started.elapsed() < FOR_EVER / 2);
    for outcome in outcomes {
        assert_eq!(
            outcome.unwrap_err(),
            JobError {
                stage: Stage::Inference,
                code: FailureCode::Timeout,
                message: "the run of the model was ended after 300 ms, which is the limit that models.m.timeout_ms sets; \
                          raise it if batches of this size take that long"
                    .to_owned(),
                class: FailureClass::Transient,
            }
        );
    }
    assert_eq!((runs.count(), stop.count(), stop.is_up()), (1, 1, false));
    assert!(inference.run(vec![job(0.0, 1)]).await[0].is_ok());
}

#[tokio::test]
async fn the_limit_is_for_each_run_of_a_batch() {
    let model = slow();
    let stop = model.stop_sign();
    let inference = inference(model, 1000);
    // Together they take longer than one of them may.
    let jobs = (1..=3).map(|length| job(400.0, length)).collect();
    assert!(inference.run(jobs).await.iter().all(Result::is_ok));
    assert_eq!(stop.count(), 0);

    let outcomes = inference.run(vec![never_ends(1), job(1.0, 2), never_ends(3), job(1.0, 4)]).await;
    assert_eq!(outcomes.iter().map(is_timeout).collect::<Vec<_>>(), [true, false, true, false]);
    assert!(outcomes[1].is_ok() && outcomes[3].is_ok());
    assert_eq!(stop.count(), 2);
}

#[tokio::test]
async fn jobs_of_a_batch_that_failed_have_the_limit_each() {
    let model = FakeModel::stoppable(signature(), |inputs, stop| match inputs[0].parts.len() {
        1 if concatenated(&inputs[0])?.elements::<f32>().unwrap()[0] > 0.0 => {
            assert!(stop.wait(FOR_EVER), "not ended");
            Err(ModelError::permanent("stopped"))
        }
        1 => Ok(vec![concatenated(&inputs[0])?.renamed("y")]),
        _ => Err(ModelError::permanent("too many")),
    });
    let outcomes = inference(model, 300).run(vec![job(0.0, 1), job(1.0, 1), job(0.0, 1)]).await;
    assert_eq!(outcomes.iter().map(is_timeout).collect::<Vec<_>>(), [false, true, false]);
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
}

#[tokio::test]
async fn a_panic_stays_one_and_the_session_goes_on() {
    let model = slow();
    let stop = model.stop_sign();
    let inference = inference(model, 300);
    let outcomes = inference.run(vec![job(666.0, 1)]).await;
    let error = outcomes[0].as_ref().unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (FailureCode::ModelError, "the model panicked: told to panic")
    );
    assert_eq!((stop.count(), stop.is_up()), (1, false));
    assert!(inference.run(vec![job(0.0, 1)]).await[0].is_ok());
}

#[tokio::test]
async fn a_run_whose_caller_has_gone_is_ended_too() {
    let model = slow();
    let (runs, stop) = (model.runs(), model.stop_sign());
    let inference = inference(model, 300);
    let caller = tokio::spawn({
        let inference = inference.clone();
        async move { inference.run(vec![never_ends(1)]).await }
    });
    let waiting = async {
        while runs.count() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(FOR_EVER, waiting).await.unwrap();
    caller.abort();
    // There is one session: this gets it when the run has been ended.
    let next = tokio::time::timeout(FOR_EVER / 2, inference.run(vec![job(0.0, 1)])).await.unwrap();
    assert!(next[0].is_ok());
    assert_eq!(stop.count(), 1);
}

#[tokio::test]
async fn warming_up_takes_as_long_as_it_takes() {
    let model = FakeModel::stoppable(signature(), |inputs, stop| {
        assert!(!stop.wait(Duration::from_millis(50)));
        Ok(vec![concatenated(&inputs[0])?.renamed("y")])
    });
    inference(model, 1).warm_up().await.unwrap();
}

#[tokio::test]
async fn a_limit_may_be_as_large_as_it_can_be_written() {
    assert!(inference(slow(), u64::MAX).run(vec![job(0.0, 1)]).await[0].is_ok());
}

#[tokio::test]
async fn a_session_that_stays_stopped_is_of_no_use() {
    struct Stuck(FakeModel);
    impl Stop for StuckStop {
        fn stop(&self) -> Result<(), ModelError> {
            self.0.stop()
        }
        fn resume(&self) -> Result<(), ModelError> {
            Err(ModelError::fatal("it stays stopped"))
        }
    }
    struct StuckStop(StopSign);
    impl Model for Stuck {
        fn signature(&self) -> &Signature {
            self.0.signature()
        }
        fn run(&mut self, inputs: &[ModelInput<'_>]) -> Result<Vec<Tensor>, ModelError> {
            self.0.run(inputs)
        }
        fn stopper(&self) -> Arc<dyn Stop> {
            Arc::new(StuckStop(self.0.stop_sign()))
        }
    }
    let config = ModelConfig { timeout_ms: Some(5), ..ModelConfig::new("none") };
    let inference = Inference::with_models(vec![Box::new(Stuck(slow()))], "").limited("m", &config);
    let error = inference.run(vec![never_ends(1)]).await.remove(0).unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (FailureClass::Fatal, "it stays stopped"));
}

fn current() -> (Current, StopSign) {
    let stop = StopSign::default();
    (Current { stop: Arc::new(stop.clone()), run: Mutex::default() }, stop)
}

/// The race at its worst: the timer of one run fires when that run has ended and the next has begun.
#[test]
fn a_timer_that_fires_late_does_not_end_the_next_run() {
    let (current, stop) = current();
    let limit = Duration::from_secs(10);
    let first = current.begin(limit);
    let Run::Until(due) = *current.lock() else { panic!("the first run goes on") };
    assert_eq!(first.end(), Ok(Ending::ByItself));
    assert!(matches!(current.end_if_overdue(due), Overdue::Nothing));

    let next = current.begin(limit);
    assert!(matches!(current.end_if_overdue(due), Overdue::At(end) if end > due));
    assert_eq!(next.end(), Ok(Ending::ByItself));
    assert_eq!(stop.count(), 0);
}

#[test]
fn a_run_is_ended_once_and_leaves_the_sign_down() {
    let (current, stop) = current();
    let running = current.begin(Duration::ZERO);
    let now = Instant::now();
    assert!(matches!(current.end_if_overdue(now), Overdue::Stopped(Ok(()))));
    assert!(matches!(current.end_if_overdue(now), Overdue::Nothing));
    assert!(stop.is_up());
    assert_eq!(running.end(), Ok(Ending::ByTheLimit));
    assert!(!stop.is_up());
    assert_eq!(stop.count(), 1);
}

#[test]
fn a_panic_ends_a_run() {
    let (current, stop) = current();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _running = current.begin(Duration::ZERO);
        assert!(matches!(current.end_if_overdue(Instant::now()), Overdue::Stopped(Ok(()))));
        resume_unwind(Box::new("told to panic"));
    }));
    assert!(panicked.is_err());
    assert_eq!(*current.lock(), Run::None);
    assert!(!stop.is_up());
}

/// Short and long runs follow each other at once on one session, with a limit that short runs come close to: whatever the
/// moment that a timer fires in, no run is ended that has not had its time. A run begins after the one before it returned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_run_is_ended_in_the_place_of_another() {
    const LIMIT: Duration = Duration::from_millis(2);
    let mut returned = Instant::now();
    let model = FakeModel::stoppable(signature(), move |inputs, stop| {
        let x = concatenated(&inputs[0])?;
        let at_most = match x.elements::<f32>().unwrap()[0] {
            0.0 => Duration::ZERO,
            1.0 => LIMIT,
            _ => FOR_EVER,
        };
        let stopped = stop.wait(at_most);
        assert!(!stopped || returned.elapsed() >= LIMIT, "ended in the place of another");
        returned = Instant::now();
        if stopped { Err(ModelError::permanent("stopped")) } else { Ok(vec![x.renamed("y")]) }
    });
    let stop = model.stop_sign();
    let inference = inference(model, LIMIT.as_millis() as u64);
    for _ in 0..100 {
        let jobs = vec![job(0.0, 1), job(1.0, 2), job(0.0, 3), job(2.0, 4), job(0.0, 5)];
        let outcomes = inference.run(jobs).await;
        // On a busy machine even the shortest run can take longer than the limit.
        assert!(outcomes.iter().all(|outcome| outcome.is_ok() || is_timeout(outcome)), "{outcomes:?}");
        assert!(is_timeout(&outcomes[3]), "{outcomes:?}");
    }
    assert!(!stop.is_up() && stop.count() >= 100);
}
