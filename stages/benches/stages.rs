//! What a job costs in each stage: `cargo bench -p stages`.
#![expect(clippy::unwrap_used, reason = "a bench fails where it unwraps")]

use std::hint::black_box;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use image::{ImageFormat, RgbImage};
use schemas::{Job, Stage, Tensor};
use stages::{
    Inference, ModelConfig, Pipeline, PipelineConfig, PipelineSpec, Preprocess, RuntimeConfig, Task,
};

const DIGITS: &str = r#"
    model = "digits"
    preprocess = [
      { op = "decode-image", color = "grey" },
      { op = "resize", width = 8, height = 8 },
      { op = "normalise", scale = 0.00392156862745098 },
      { op = "layout", to = "chw" },
    ]
    postprocess = [{ op = "softmax", tensor = "logits" }, { op = "top-k", k = 3 }]"#;

const PHOTO: &str = r#"
    model = "photo"
    preprocess = [
      { op = "decode-image" },
      { op = "resize", width = 224, height = 224 },
      { op = "normalise", scale = 0.00392156862745098, mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] },
      { op = "layout", to = "chw" },
    ]"#;

fn digits(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/digits").join(relative)
}

fn digit() -> Job {
    Job::from_raw(None, &std::fs::read(digits("images/0000.png")).unwrap()).unwrap()
}

fn photo() -> Job {
    let image = RgbImage::from_fn(640, 480, |x, y| {
        image::Rgb([(x / 3) as u8, (y / 2) as u8, ((x * y) / 1200) as u8])
    });
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Jpeg).unwrap();
    Job::from_raw(None, file.get_ref()).unwrap()
}

fn preprocess(criterion: &mut Criterion) {
    for (name, declaration, job) in [("digit", DIGITS, digit()), ("photo 640x480", PHOTO, photo())] {
        let config: PipelineConfig = toml::from_str(declaration).unwrap();
        let preprocess = Preprocess::new(&config.preprocess).unwrap();
        criterion.bench_function(&format!("preprocess/{name}"), |bencher| {
            bencher.iter(|| preprocess.run(black_box(job.clone())).unwrap());
        });
    }
}

fn model_on_batches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = ModelConfig { intra_threads: Some(1), ..ModelConfig::new(digits("digits.onnx")) };
    let inference = Inference::load(&RuntimeConfig::default(), "digits", &config).unwrap();
    let job = Job::new([Tensor::from_elements("image", [1u64, 1, 8, 8], &[0.5f32; 64]).unwrap()]);
    let mut group = criterion.benchmark_group("inference/digits");
    for jobs in [1, 8, 64] {
        group.throughput(Throughput::Elements(jobs));
        group.bench_with_input(BenchmarkId::from_parameter(jobs), &jobs, |bencher, jobs| {
            let batch = vec![job.clone(); *jobs as usize];
            bencher.iter(|| runtime.block_on(inference.run(black_box(batch.clone()))));
        });
    }
}

fn pipeline_on_batches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config: PipelineConfig = toml::from_str(DIGITS).unwrap();
    let model = ModelConfig {
        intra_threads: Some(1),
        labels: Some(digits("labels.txt")),
        ..ModelConfig::new(digits("digits.onnx"))
    };
    let spec =
        PipelineSpec { name: "digits", pipeline: &config, model: &model, runtime: &RuntimeConfig::default() };
    let pipeline = Pipeline::load(Stage::Preprocess..=Stage::Postprocess, spec).unwrap();
    let job = digit();
    let mut group = criterion.benchmark_group("pipeline/digits");
    for jobs in [1, 8, 64] {
        group.throughput(Throughput::Elements(jobs));
        group.bench_with_input(BenchmarkId::from_parameter(jobs), &jobs, |bencher, jobs| {
            let batch = vec![Task::from(job.clone()); *jobs as usize];
            bencher.iter(|| runtime.block_on(pipeline.run(black_box(batch.clone()))));
        });
    }
}

criterion_group!(benches, preprocess, model_on_batches, pipeline_on_batches);
criterion_main!(benches);
