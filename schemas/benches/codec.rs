//! What reading and writing a record costs: `cargo bench -p schemas`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use schemas::{Encoding, Headers, Job, Limits, MessageKind, Tensor, decode_job, encode_job, encode_job_as};

fn image(shape: [u64; 4]) -> Job {
    let count: u64 = shape.iter().product();
    let pixels: Vec<f32> = (0..count).map(|index| index as f32 / 255.0).collect();
    Job::new([Tensor::from_elements("image", shape, &pixels).expect("a shape that fits")])
}

fn bodies(criterion: &mut Criterion) {
    let limits = Limits::default();
    for (name, shape) in [("8x8", [1, 1, 8, 8]), ("1x3x224x224", [1, 3, 224, 224])] {
        let job = image(shape);
        for encoding in [Encoding::MessagePack, Encoding::Json] {
            let body = encode_job_as(&job, encoding).expect("finite");
            let content_type = encoding.content_type();
            let mut group = criterion.benchmark_group(format!("{name} FP32 as {content_type}"));
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_function("encode", |bencher| {
                bencher.iter(|| encode_job_as(black_box(&job), encoding));
            });
            group.bench_function("decode", |bencher| {
                bencher.iter(|| decode_job(Some(content_type), black_box(&body), &limits));
            });
            group.finish();
        }
        let body = encode_job(&job).expect("small");
        criterion.bench_function(&format!("{name} FP32, one copy for comparison"), |bencher| {
            bencher.iter(|| Bytes::copy_from_slice(black_box(&body)));
        });
    }
}

fn headers(criterion: &mut Criterion) {
    let mut headers = Headers {
        id: Some(schemas::JobId::random()),
        kind: Some(MessageKind::Job),
        source: Some("/millstream/producer/bench".to_owned()),
        subject: Some("digits".to_owned()),
        time: Some(schemas::Timestamp::now()),
        content_type: Some(Encoding::MessagePack.content_type().to_owned()),
        ..Headers::default()
    };
    headers.renew_trace("/millstream/producer/bench");
    let written = headers.write();
    let pairs: Vec<_> = written.iter().map(|(name, value)| (name.as_ref(), value.as_deref())).collect();
    criterion.bench_function("headers, read", |bencher| {
        bencher.iter(|| Headers::read(black_box(&pairs).iter().copied()));
    });
    criterion.bench_function("headers, write", |bencher| bencher.iter(|| black_box(&headers).write()));
    criterion.bench_function("headers, renew the trace", |bencher| {
        bencher.iter(|| black_box(&mut headers).renew_trace(black_box("/millstream/digits/postprocess")));
    });
}

criterion_group!(benches, bodies, headers);
criterion_main!(benches);
