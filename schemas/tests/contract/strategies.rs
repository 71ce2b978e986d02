//! Arbitrary messages.

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use schemas::{
    Datatype, Failure, FailureCode, Headers, Job, JobId, JobResult, MessageKind, Outcome, Parameter,
    Parameters, Tensor, Timestamp,
};

/// Whether a message is to have a form in JSON.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum For {
    MessagePack,
    Json,
}

pub(crate) fn tensor(what: For) -> impl Strategy<Value = Tensor> {
    let datatypes: Vec<Datatype> = Datatype::ALL
        .into_iter()
        .filter(|datatype| what == For::MessagePack || !matches!(datatype, Datatype::Fp16 | Datatype::Bf16))
        .collect();
    let shape = prop_oneof![8 => vec(0_u64..4, 0..4), 1 => vec(1_u64..3, 8), 1 => vec(1_u64..40, 1)];
    (".{0,12}", proptest::sample::select(datatypes), shape).prop_flat_map(move |(name, datatype, shape)| {
        let count = usize::try_from(shape.iter().product::<u64>()).unwrap();
        data(what, datatype, count)
            .prop_map(move |data| Tensor::new(name.clone(), datatype, shape.clone(), data).unwrap())
    })
}

fn data(what: For, datatype: Datatype, count: usize) -> BoxedStrategy<Bytes> {
    match datatype {
        Datatype::Bool => vec(0_u8..2, count).prop_map(Bytes::from).boxed(),
        Datatype::Bytes if what == For::Json => vec(".{0,6}", count).prop_map(byte_strings).boxed(),
        Datatype::Bytes => vec(vec(any::<u8>(), 0..6), count).prop_map(byte_strings).boxed(),
        Datatype::Fp32 if what == For::Json => {
            vec(any::<f32>().prop_filter("finite", |x| x.is_finite()), count)
                .prop_map(|row| row.iter().flat_map(|x| x.to_le_bytes()).collect())
                .boxed()
        }
        Datatype::Fp64 if what == For::Json => {
            vec(any::<f64>().prop_filter("finite", |x| x.is_finite()), count)
                .prop_map(|row| row.iter().flat_map(|x| x.to_le_bytes()).collect())
                .boxed()
        }
        _ => vec(any::<u8>(), count * datatype.element_size().unwrap()).prop_map(Bytes::from).boxed(),
    }
}

fn byte_strings(items: Vec<impl AsRef<[u8]>>) -> Bytes {
    Tensor::from_byte_strings("", [items.len() as u64], items).unwrap().data().clone()
}

pub(crate) fn parameters(what: For) -> impl Strategy<Value = Parameters> {
    let value = prop_oneof![
        any::<bool>().prop_map(Parameter::Bool),
        any::<i64>().prop_map(Parameter::Int),
        proptest::num::f64::ANY
            .prop_filter("finite", move |x| what == For::MessagePack || x.is_finite())
            .prop_map(Parameter::Float),
        ".{0,40}".prop_map(Parameter::Str),
    ];
    btree_map(".{0,8}", value, 0..5)
}

pub(crate) fn job(what: For) -> impl Strategy<Value = Job> {
    (vec(tensor(what), 0..4), parameters(what)).prop_map(|(inputs, parameters)| Job { inputs, parameters })
}

pub(crate) fn outcome(what: For) -> impl Strategy<Value = Outcome> {
    let result = (".{0,9}", ".{0,9}", vec(tensor(what), 0..3), parameters(what)).prop_map(
        |(model_name, model_version, outputs, parameters)| {
            Outcome::Result(JobResult { model_name, model_version, outputs, parameters })
        },
    );
    let code = proptest::sample::select(&FailureCode::ALL[..]);
    let failure = (".{0,9}", code, ".{0,300}", any::<u32>(), any::<bool>()).prop_map(
        |(stage, code, message, attempt, retriable)| {
            Outcome::Failure(Failure { stage, code, message, attempt, retriable })
        },
    );
    prop_oneof![result, failure]
}

pub(crate) fn headers() -> impl Strategy<Value = Headers> {
    let text = || proptest::option::of(".{0,20}");
    let time = || proptest::option::of(any::<i64>().prop_map(Timestamp::from_unix_micros));
    let id = proptest::option::of("[^\\p{Cc}]{1,60}".prop_map(|text| JobId::new(text).unwrap()));
    let kind = proptest::option::of(proptest::sample::select(&MessageKind::ALL[..]));
    let attempt = proptest::option::of(1_u32..);
    let unknown =
        vec(("x-[a-z]{0,5}", proptest::option::of(vec(any::<u8>(), 0..9).prop_map(Bytes::from))), 0..4);
    let ours = (text(), text(), text(), text(), text(), text(), text(), text());
    let provenance = (text(), text(), text(), text());
    (id, kind, attempt, time(), time(), ours, provenance, unknown).prop_map(
        |(id, kind, attempt, time, deadline, ours, provenance, unknown)| {
            let (source, subject, batch_id, reply_to, priority, content_type, traceparent, tracestate) = ours;
            let (model, model_version, model_digest, pipeline_digest) = provenance;
            Headers {
                id,
                kind,
                source,
                subject,
                time,
                deadline,
                batch_id,
                attempt,
                reply_to,
                priority,
                content_type,
                traceparent,
                tracestate,
                model,
                model_version,
                model_digest,
                pipeline_digest,
                unknown,
            }
        },
    )
}
