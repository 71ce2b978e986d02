use schemas::{Datatype, FailureCode, Tensor};

use super::*;

fn postprocess(steps: &str, labels: Option<&Arc<Labels>>) -> Postprocess {
    #[derive(Deserialize)]
    struct File {
        steps: Vec<PostprocessStep>,
    }
    let file: File = toml::from_str(&format!("steps = {steps}")).unwrap();
    Postprocess::new(&file.steps, labels).unwrap()
}

fn labels(text: &str) -> Arc<Labels> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.txt");
    std::fs::write(&path, text).unwrap();
    Arc::new(Labels::read("m", &path).unwrap())
}

fn logits(shape: &[u64], values: &[f32]) -> Job {
    Job::new([Tensor::from_elements("logits", shape, values).unwrap()])
}

#[test]
fn scores_become_labels() {
    let labels = labels("cat\ndog\nelk\n");
    let steps = "[{ op = 'softmax', tensor = 'logits' }, { op = 'top-k', k = 2 }]";
    let done = postprocess(steps, Some(&labels)).run(logits(&[1, 3], &[1.0, 3.0, 2.0])).unwrap();
    let names: Vec<&str> = done.inputs.iter().map(Tensor::name).collect();
    assert_eq!(names, ["label", "score", "index"]);
    assert_eq!(done.inputs[0].datatype(), Datatype::Bytes);
    assert_eq!(done.inputs[0].byte_strings().unwrap().collect::<Vec<_>>(), [b"dog", b"elk"]);
    assert_eq!(done.inputs[2].elements::<i64>().unwrap(), [1, 2]);
    assert!(done.inputs.iter().all(|output| output.shape() == [1, 2]));
    let scores = done.inputs[1].elements::<f32>().unwrap();
    assert!((scores[0] - 0.665_240_94).abs() < 1e-6 && (scores[1] - 0.244_728_48).abs() < 1e-6, "{scores:?}");
}

#[test]
fn without_steps_the_outputs_are_the_result() {
    let job = logits(&[1, 3], &[1.0, 3.0, 2.0]);
    let postprocess = Postprocess::default();
    assert!(postprocess.is_pass_through());
    assert_eq!(postprocess.run(job.clone()), Ok(job));
}

#[test]
fn nan_is_a_clear_failure_of_every_operation() {
    let operations =
        [("softmax", "softmax"), ("arg-max", "arg-max"), ("top-k', k = 1, tensor = 'logits", "top-k")];
    for (operation, name) in operations {
        let job = logits(&[2, 2], &[1.0, 2.0, f32::NAN, 0.0]);
        let error = postprocess(&format!("[{{ op = '{operation}' }}]"), None).run(job).unwrap_err();
        assert_eq!((error.stage, error.code), (Stage::Postprocess, FailureCode::ModelError));
        assert_eq!(
            error.message,
            format!(
                "postprocess[0] {name}: tensor `logits`: the score of class 0 in row 1 is not a number (NaN)"
            )
        );
    }
}

#[test]
fn labels_that_are_not_as_many_as_the_classes() {
    let labels = labels("cat\ndog\n");
    for operation in ["arg-max' }", "top-k', k = 1 }"] {
        let job = logits(&[1, 3], &[1.0, 2.0, 0.0]);
        let error = postprocess(&format!("[{{ op = '{operation}]"), Some(&labels)).run(job).unwrap_err();
        assert!(
            error.message.ends_with(
                "tensor `logits`: has 3 classes along the last axis, but the model's labels are 2"
            ),
            "{error}"
        );
    }
}

#[test]
fn what_are_no_scores_is_named() {
    let check = |tensor: Tensor, expect: &str| {
        let error = postprocess("[{ op = 'arg-max' }]", None).run(Job::new([tensor])).unwrap_err();
        assert_eq!(error.message, format!("postprocess[0] arg-max: {expect}"));
    };
    check(
        Tensor::from_elements("x", [], &[1.0f32]).unwrap(),
        "tensor `x`: expected scores with the classes along the last axis, got FP32 []",
    );
    check(
        Tensor::from_elements("x", [2u64, 0], &[0.0f32; 0]).unwrap(),
        "tensor `x`: expected scores with the classes along the last axis, got FP32 [2, 0]",
    );
    check(
        Tensor::from_byte_strings("x", [1u64], ["a"]).unwrap(),
        "tensor `x`: expected floats or integers of at most 32 bits, got BYTES [1]",
    );
}
