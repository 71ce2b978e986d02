use schemas::{Datatype, FailureCode, Tensor};

use super::*;
use crate::FailureClass;
use crate::fake::{FakeModel, concatenated};
use crate::signature::TensorSpec;

fn pipeline_with(
    stages: RangeInclusive<Stage>,
    toml: &str,
    models: Vec<FakeModel>,
) -> Result<Pipeline, LoadError> {
    let config: PipelineConfig = toml::from_str(toml).unwrap();
    let spec = PipelineSpec {
        name: "p",
        pipeline: &config,
        model: &ModelConfig::new("unused.onnx"),
        runtime: &RuntimeConfig::default(),
    };
    let models = models.into_iter().map(|model| Box::new(model) as Box<dyn Model>).collect();
    Pipeline::with_models(stages, spec, models)
}

/// Doubles numbers, runs a model that gives back what it gets, and takes the highest.
const DOUBLING: &str = r#"
    model = "m"
    preprocess = [{ op = "normalise", scale = 2.0 }]
    postprocess = [{ op = "arg-max" }]"#;

fn doubling(stages: RangeInclusive<Stage>) -> Pipeline {
    pipeline_with(stages, DOUBLING, vec![FakeModel::identity(Datatype::Fp32, &[-1, 2])]).unwrap()
}

fn job(values: &[f32]) -> Job {
    Job::new([Tensor::from_elements("x", [1u64, 2], values).unwrap()])
}

fn tasks(jobs: impl IntoIterator<Item = Job>) -> Vec<Task> {
    jobs.into_iter().map(Task::from).collect()
}

#[tokio::test]
async fn all_stages_in_one_go() {
    let pipeline = doubling(Stage::Preprocess..=Stage::Postprocess);
    let outcomes = pipeline.run(tasks([job(&[1.0, 2.0]), job(&[4.0, 3.0])])).await;
    let indices: Vec<i64> = outcomes
        .iter()
        .flat_map(|outcome| outcome.as_ref().unwrap().job.inputs[0].elements::<i64>().unwrap())
        .collect();
    assert_eq!(indices, [1, 0]);
    for outcome in outcomes {
        let times = outcome.unwrap().times;
        assert_eq!(times.batch_size, 2);
        assert!(times.preprocess > Duration::ZERO && times.inference > Duration::ZERO);
        assert!(times.postprocess > Duration::ZERO);
    }
}

#[tokio::test]
async fn the_stages_apart_do_what_they_do_together() {
    let mut jobs = vec![job(&[1.0, 2.0]), job(&[4.0, 3.0])];
    let fused = doubling(Stage::Preprocess..=Stage::Postprocess).run(tasks(jobs.clone())).await;
    for stage in Stage::ALL {
        let outcomes = doubling(stage..=stage).run(tasks(jobs)).await;
        jobs = outcomes.into_iter().map(|outcome| outcome.unwrap().job).collect();
    }
    let fused: Vec<Job> = fused.into_iter().map(|outcome| outcome.unwrap().job).collect();
    assert_eq!(jobs, fused);
}

#[tokio::test]
async fn every_job_has_its_outcome_in_its_place() {
    let pipeline = doubling(Stage::Preprocess..=Stage::Postprocess);
    let no_numbers = Job::new([Tensor::from_byte_strings("x", [1u64], ["a"]).unwrap()]);
    let does_not_fit = Job::new([Tensor::from_elements("x", [1u64, 3], &[0.0f32; 3]).unwrap()]);
    let nan = job(&[f32::NAN, 0.0]);
    let outcomes =
        pipeline.run(tasks([no_numbers, job(&[1.0, 2.0]), does_not_fit, nan, job(&[4.0, 3.0])])).await;
    let failed: Vec<Option<(Stage, FailureCode)>> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().err().map(|error| (error.stage, error.code)))
        .collect();
    assert_eq!(
        failed,
        [
            Some((Stage::Preprocess, FailureCode::InvalidInput)),
            None,
            Some((Stage::Inference, FailureCode::InvalidInput)),
            Some((Stage::Postprocess, FailureCode::ModelError)),
            None,
        ]
    );
    assert_eq!(outcomes[1].as_ref().unwrap().times.batch_size, 3);
}

#[tokio::test]
async fn nothing_to_do_is_fine() {
    let pipeline = doubling(Stage::Preprocess..=Stage::Postprocess);
    assert!(pipeline.run(Vec::new()).await.is_empty());
    let passing =
        pipeline_with(Stage::Postprocess..=Stage::Postprocess, "model = \"m\"", Vec::new()).unwrap();
    let outcomes = passing.run(tasks([job(&[1.0, 2.0])])).await;
    assert_eq!(outcomes[0].as_ref().unwrap().job, job(&[1.0, 2.0]));
    assert_eq!(outcomes[0].as_ref().unwrap().times, StageTimes::default());
}

fn due(job: Job, deadline: &str) -> Task {
    Task { job, deadline: Some(deadline.parse().unwrap()) }
}

const LONG_AGO: &str = "2020-01-31T12:00:00.5+01:00";

#[tokio::test]
async fn the_model_is_not_run_for_a_job_past_its_deadline() {
    let models = vec![FakeModel::identity(Datatype::Fp32, &[-1, 2])];
    let runs = models[0].runs();
    let pipeline = pipeline_with(Stage::Preprocess..=Stage::Postprocess, DOUBLING, models).unwrap();
    let batch = vec![
        due(job(&[1.0, 2.0]), LONG_AGO),
        due(job(&[4.0, 3.0]), "9999-01-01T00:00:00Z"),
        job(&[5.0, 6.0]).into(),
    ];
    let outcomes = pipeline.run(batch).await;
    assert_eq!(
        *outcomes[0].as_ref().unwrap_err(),
        JobError {
            stage: Stage::Inference,
            code: FailureCode::Expired,
            message:
                "headers.ce_deadline: 2020-01-31T12:00:00.5+01:00 passed before the batch was formed for the \
                      model; the model was not run for this job"
                    .to_owned(),
            class: FailureClass::Permanent,
        }
    );
    assert_eq!(outcomes[1].as_ref().unwrap().times.batch_size, 2);
    assert_eq!(outcomes[2].as_ref().unwrap().times.batch_size, 2);

    assert!(pipeline.run(vec![due(job(&[1.0, 2.0]), LONG_AGO)]).await[0].is_err());
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn a_deadline_that_passes_while_the_batch_waits_for_a_session_counts() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (started, mut running) = tokio::sync::mpsc::unbounded_channel();
    let spec = |name: &str| vec![TensorSpec::new(name, Datatype::Fp32, &[-1, 2])];
    let model = FakeModel::new(Signature::new(spec("x"), spec("y")), move |inputs| {
        started.send(()).unwrap();
        held.recv().unwrap();
        Ok(vec![concatenated(&inputs[0])?.renamed("y")])
    });
    let runs = model.runs();
    let pipeline = pipeline_with(Stage::Inference..=Stage::Inference, "model = \"m\"", vec![model]).unwrap();
    let run = |tasks: Vec<Task>| {
        let pipeline = pipeline.clone();
        tokio::spawn(async move { pipeline.run(tasks).await })
    };
    let first = run(tasks([job(&[1.0, 2.0])]));
    running.recv().await.unwrap();
    let soon = Timestamp::from_unix_micros(Timestamp::now().unix_micros() + 20_000);
    let waiting = Task { job: job(&[1.0, 2.0]), deadline: Some(soon.clone()) };
    let second = run(vec![waiting]);
    while Timestamp::now() < soon {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    release.send(()).unwrap();
    assert!(first.await.unwrap()[0].is_ok());
    assert_eq!(second.await.unwrap()[0].as_ref().unwrap_err().code, FailureCode::Expired);
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn only_the_run_of_the_model_looks_at_deadlines() {
    let outcomes =
        doubling(Stage::Preprocess..=Stage::Preprocess).run(vec![due(job(&[1.0, 2.0]), LONG_AGO)]).await;
    assert!(outcomes[0].is_ok());
}

#[tokio::test]
async fn batches_share_the_sessions() {
    let models: Vec<FakeModel> = (0..2).map(|_| FakeModel::identity(Datatype::Fp32, &[-1, 2])).collect();
    let runs: Vec<_> = models.iter().map(FakeModel::runs).collect();
    let pipeline = pipeline_with(Stage::Inference..=Stage::Inference, "model = \"m\"", models).unwrap();
    let batches: Vec<_> = (0..20)
        .map(|_| {
            let pipeline = pipeline.clone();
            tokio::spawn(async move { pipeline.run(tasks([job(&[1.0, 2.0])])).await })
        })
        .collect();
    for batch in batches {
        assert!(batch.await.unwrap()[0].is_ok());
    }
    assert_eq!(runs.iter().map(crate::fake::Runs::count).sum::<usize>(), 20);
}

#[tokio::test]
async fn warm_up_runs_every_session_and_the_postprocessing() {
    let models: Vec<FakeModel> = (0..3).map(|_| FakeModel::identity(Datatype::Fp32, &[-1, 2])).collect();
    let runs: Vec<_> = models.iter().map(FakeModel::runs).collect();
    let stages = Stage::Inference..=Stage::Postprocess;
    let pipeline = pipeline_with(stages.clone(), "model = \"m\"", models).unwrap();
    let outputs = pipeline.warm_up().await.unwrap();
    assert_eq!(
        outputs.iter().map(|tensor| (tensor.name(), tensor.datatype())).collect::<Vec<_>>(),
        [("y", Datatype::Fp32)]
    );
    assert!(runs.iter().all(|runs| runs.count() == 1));

    let wrong = "model = \"m\"\npostprocess = [{ op = \"softmax\", tensor = \"logits\" }]";
    let models = vec![FakeModel::identity(Datatype::Fp32, &[-1, 2])];
    let error = pipeline_with(stages, wrong, models).unwrap().warm_up().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "postprocess: postprocess[0] softmax: there is no tensor `logits`; the job has `y`"
    );
}

#[test]
fn only_neighbouring_stages_in_order() {
    let backwards = RangeInclusive::new(Stage::Postprocess, Stage::Preprocess);
    let error = pipeline_with(backwards, DOUBLING, Vec::new()).unwrap_err();
    assert!(matches!(error, LoadError::Stages { .. }), "{error}");
}

#[test]
fn a_wrong_declaration_is_told_with_its_path() {
    let wrong = "model = \"m\"\npostprocess = [{ op = \"top-k\", k = 0 }]";
    let error = pipeline_with(Stage::Preprocess..=Stage::Preprocess, wrong, Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "pipeline `p`: postprocess[0].k: must be at least 1");
}

#[test]
fn a_model_is_loaded_only_for_inference() {
    let config: PipelineConfig = toml::from_str(DOUBLING).unwrap();
    let spec = PipelineSpec {
        name: "p",
        pipeline: &config,
        model: &ModelConfig::new("/nowhere/model.onnx"),
        runtime: &RuntimeConfig::default(),
    };
    let before = Pipeline::load(Stage::Preprocess..=Stage::Preprocess, spec).unwrap();
    assert_eq!((before.provenance().model_name.as_str(), &before.provenance().model_digest), ("m", &None));
    let error = Pipeline::load(Stage::Inference..=Stage::Inference, spec).unwrap_err().to_string();
    assert!(error.starts_with("model `m`: cannot read /nowhere/model.onnx: "), "{error}");
}

#[test]
fn provenance_is_the_same_in_every_stage() {
    let digests: Vec<String> =
        Stage::ALL.map(|stage| doubling(stage..=stage).provenance().pipeline_digest.clone()).to_vec();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    assert_eq!(digests[0].len(), 64);
}
