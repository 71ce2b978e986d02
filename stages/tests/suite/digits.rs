//! The shipped pipeline on the shipped model and its held-out images.

use std::path::PathBuf;

use schemas::{FailureCode, Job, Stage, Tensor};
use stages::{ModelConfig, Pipeline, PipelineConfig, PipelineSpec, Processed, RuntimeConfig, Task};

use crate::{here, require_runtime};

const DECLARATION: &str = r#"
    model = "digits"
    preprocess = [
      { op = "decode-image", color = "grey" },
      { op = "resize", width = 8, height = 8 },
      { op = "normalise", scale = 0.00392156862745098 },
      { op = "layout", to = "chw" },
    ]
    postprocess = [{ op = "softmax", tensor = "logits" }, { op = "top-k", k = 3 }]"#;

fn digits(relative: &str) -> PathBuf {
    here("../../models/digits").join(relative)
}

fn pipeline() -> Pipeline {
    require_runtime();
    let config: PipelineConfig = toml::from_str(DECLARATION).unwrap();
    let model = ModelConfig { labels: Some(digits("labels.txt")), ..ModelConfig::new(digits("digits.onnx")) };
    let spec =
        PipelineSpec { name: "digits", pipeline: &config, model: &model, runtime: &RuntimeConfig::default() };
    Pipeline::load(Stage::Preprocess..=Stage::Postprocess, spec).unwrap()
}

/// The held-out images as jobs, with what each one shows.
fn images() -> Vec<(Job, String)> {
    let list = std::fs::read_to_string(digits("images/labels.csv")).unwrap();
    let image = |line: &str| {
        let (file, label) = line.split_once(',').unwrap();
        let bytes = std::fs::read(digits("images").join(file)).unwrap();
        (Job::from_raw(Some("image/png"), &bytes).unwrap(), label.trim().to_owned())
    };
    list.lines().skip(1).map(image).collect()
}

fn label(processed: &Processed) -> String {
    let label = processed.job.input("label").unwrap().byte_strings().unwrap().next().unwrap().to_vec();
    String::from_utf8(label).unwrap()
}

#[tokio::test]
async fn at_least_98_percent_of_the_held_out_images_are_read() {
    let pipeline = pipeline();
    pipeline.warm_up().await.unwrap();
    let images = images();
    assert_eq!(images.len(), 500);
    let mut right = 0;
    for batch in images.chunks(64) {
        let outcomes = pipeline.run(batch.iter().map(|(job, _)| job.clone().into()).collect()).await;
        for (outcome, (_, shown)) in outcomes.iter().zip(batch) {
            let processed = outcome.as_ref().unwrap();
            assert_eq!(processed.times.batch_size as usize, batch.len());
            right += usize::from(label(processed) == *shown);
        }
    }
    assert!(right >= 490, "{right} of 500");
}

#[tokio::test]
async fn the_result_has_labels_scores_and_indices() {
    let (job, shown) = images().remove(0);
    let processed = pipeline().run(vec![job.into()]).await.remove(0).unwrap();
    let names: Vec<&str> = processed.job.inputs.iter().map(Tensor::name).collect();
    assert_eq!(names, ["label", "score", "index"]);
    assert_eq!(label(&processed), shown);
    let scores = processed.job.input("score").unwrap().elements::<f32>().unwrap();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().sum::<f32>() <= 1.0, "{scores:?}");
    assert_eq!(processed.job.parameters["content_type"], "image/png".into());
}

#[tokio::test]
async fn broken_images_fail_among_good_ones() {
    let bomb = std::fs::read(here("fixtures/bomb_square.png")).unwrap();
    let (good, _) = images().remove(1);
    let raw = |bytes: &[u8]| Job::from_raw(None, bytes).unwrap();
    let not_a_payload = Job::new([Tensor::from_elements("image", [1u64], &[1u8]).unwrap()]);
    let pipeline = pipeline();
    let alone = pipeline.run(vec![good.clone().into()]).await.remove(0).unwrap();
    let jobs = vec![raw(&bomb), good.clone(), raw(b"not an image"), raw(b""), not_a_payload, good];
    let outcomes = pipeline.run(jobs.into_iter().map(Task::from).collect()).await;
    let codes: Vec<Option<FailureCode>> =
        outcomes.iter().map(|outcome| outcome.as_ref().err().map(|error| error.code)).collect();
    assert_eq!(
        codes,
        [
            Some(FailureCode::TooLarge),
            None,
            Some(FailureCode::Undecodable),
            Some(FailureCode::Undecodable),
            Some(FailureCode::InvalidInput),
            None
        ]
    );
    for good in [1, 5] {
        assert_eq!(label(outcomes[good].as_ref().unwrap()), label(&alone));
    }
}

#[test]
fn results_name_what_computed_them() {
    let pipeline = pipeline();
    let provenance = pipeline.provenance();
    assert_eq!((provenance.model_name.as_str(), provenance.model_version.as_str()), ("digits", "1"));
    assert_eq!(provenance.model_digest.as_ref().map(String::len), Some(64));
    assert_eq!(pipeline.signature().unwrap().inputs()[0].to_string(), "FP32 [batch, 1, 8, 8]");
}
