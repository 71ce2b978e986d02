//! What a result must say about its job beside the answer: headers and the time sheet, as the contract has them.

use crate::journal::{Answer, Job, Journal, Reference, Terminal};
use crate::setting::PIPELINE;

/// The parts of the time sheet that add up to the total.
const PARTS: [&str; 5] = ["queue_us", "preprocess_us", "batch_wait_us", "inference_us", "postprocess_us"];

/// Everything about a result that is not as the contract has it.
pub fn faults(journal: &Journal, job: &Job, result: &Terminal, reference: &Reference) -> Vec<String> {
    let mut faults = header_faults(&journal.state, job, result, reference);
    match &result.answer {
        Answer::Failure { failure } => faults.push(format!("failed: {failure:?}")),
        Answer::Result { model, .. } => {
            if model["name"] != "digits" || model["version"] != "7" {
                faults.push(format!("model {model:?}"));
            }
            faults.extend(time_faults(result));
        }
    }
    faults.iter().map(|fault| format!("{}: {fault}", job.id)).collect()
}

fn header_faults(state: &str, job: &Job, result: &Terminal, reference: &Reference) -> Vec<String> {
    let mut faults = Vec::new();
    let all = |name: &str| -> Vec<Option<&str>> {
        result
            .headers
            .iter()
            .filter(|(header, _)| header == name)
            .map(|(_, value)| value.as_deref())
            .collect()
    };
    let mut expect = |name: &str, values: &[Option<&str>]| {
        let got = all(name);
        if got != values {
            faults.push(format!("header {name} is {got:?}, not {values:?}"));
        }
    };
    expect("ce_specversion", &[Some("1.0")]);
    expect("ce_id", &[Some(&job.id)]);
    expect("ce_type", &[Some("dev.millstream.result.v1")]);
    expect("ce_source", &[Some(&format!("/millstream/{PIPELINE}/postprocess"))]);
    expect("ce_subject", &[Some(PIPELINE)]);
    expect("ce_time", &[Some(&job.time)]);
    expect("ce_batchid", &[Some("batch-7")]);
    expect("ce_attempt", &[Some("1")]);
    expect("content-type", &[Some("application/vnd.msgpack")]);
    expect("tracestate", &[Some(state)]);
    expect("ms_model", &[Some("digits")]);
    expect("ms_model_version", &[Some("7")]);
    expect("ms_model_digest", &[Some(&reference.model_digest)]);
    // What the project does not know, as submit.py sends it.
    expect("x-blob", &[Some("hex:ff0001")]);
    expect("x-twice", &[Some("1"), Some("2")]);
    expect("x-null", &[None]);
    expect("x-empty", &[Some("")]);

    let (came, went) = (all("traceparent"), job.traceparent.split('-').collect::<Vec<_>>());
    let renewed = |came: &str| {
        let came: Vec<&str> = came.split('-').collect();
        came.len() == 4 && (came[0], came[1], came[3]) == (went[0], went[1], went[3]) && came[2] != went[2]
    };
    if !matches!(came[..], [Some(came)] if renewed(came)) {
        faults.push(format!("traceparent is {came:?}, not a new span of {}", job.traceparent));
    }
    let digest = all("ms_pipeline_digest");
    let hexadecimal = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !matches!(digest[..], [Some(text)] if hexadecimal(text)) {
        faults.push(format!("ms_pipeline_digest is {digest:?}, not a SHA-256"));
    }
    faults
}

fn time_faults(result: &Terminal) -> Vec<String> {
    let Answer::Result { parameters, .. } = &result.answer else { return Vec::new() };
    let mut faults = Vec::new();
    let mut read = |name: &str| {
        parameters.get(name).and_then(serde_json::Value::as_u64).unwrap_or_else(|| {
            faults.push(format!("the time sheet has no {name}: {parameters:?}"));
            0
        })
    };
    let (total, batch) = (read("total_us"), read("batch_size"));
    let sum: u64 = PARTS.iter().map(|part| read(part)).sum();
    if total == 0 || batch == 0 || sum > total {
        faults.push(format!("the parts of the time sheet make {sum} of {total} us, batch of {batch}"));
    }
    faults
}
