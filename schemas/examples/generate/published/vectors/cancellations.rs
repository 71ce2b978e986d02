//! Requests to withdraw jobs: records of headers alone, so these vectors have no body.

use schemas::{Cancellation, FailureCode, JobId, Timestamp};
use serde_json::{Value, json};

use super::expected::pairs_json;
use super::pair;

/// One record and what it asks for.
pub(crate) struct CancellationVector {
    /// The name of its files.
    pub(crate) name: &'static str,
    /// What is to be seen in it.
    about: &'static str,
    /// The record's headers.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    /// What it asks for, or the path at which it is refused as `invalid_input`.
    pub(crate) meaning: Result<Cancellation, &'static str>,
}

/// Every vector.
pub(crate) fn all() -> Vec<CancellationVector> {
    let job = Cancellation::Job(JobId::new("0198c5a8-7b1e-7c3a-9d52-3f6b1c0e8a41").expect("an id"));
    let batch = Cancellation::Batch("batch 7".to_owned());
    let without = |mut headers: Vec<(String, _)>, name: &str| {
        headers.retain(|(found, _)| found != name);
        headers
    };
    let unknown = [written(&job), vec![pair("x-tenant", "a"), ("x-flag".to_owned(), None)]].concat();
    let both = [written(&job), vec![pair("ce_batchid", "batch 7")]].concat();
    let twice = [written(&job), vec![pair("ce_id", "another")]].concat();
    let empty = [without(written(&batch), "ce_batchid"), vec![pair("ce_batchid", "")]].concat();
    vec![
        good("cancel-job", "one job is withdrawn", written(&job), job.clone()),
        good("cancel-batch", "all jobs of a batch are withdrawn", written(&batch), batch.clone()),
        good("cancel-headers-unknown", "other headers are ignored", unknown, job.clone()),
        bad("bad-cancel-both", "a job and a batch at once", both, "headers.ce_id"),
        bad("bad-cancel-id-twice", "ce_id comes twice", twice, "headers.ce_id"),
        bad("bad-cancel-empty-batch", "a batch without a name", empty, "headers.ce_batchid"),
        bad("bad-cancel-neither", "no job and no batch", without(written(&job), "ce_id"), "headers.ce_id"),
        bad("bad-cancel-no-type", "ce_type is missing", without(written(&job), "ce_type"), "headers.ce_type"),
    ]
}

fn good(
    name: &'static str,
    about: &'static str,
    headers: Vec<(String, Option<Vec<u8>>)>,
    meaning: Cancellation,
) -> CancellationVector {
    CancellationVector { name, about, headers, meaning: Ok(meaning) }
}

fn bad(
    name: &'static str,
    about: &'static str,
    headers: Vec<(String, Option<Vec<u8>>)>,
    path: &'static str,
) -> CancellationVector {
    CancellationVector { name, about, headers, meaning: Err(path) }
}

fn written(cancellation: &Cancellation) -> Vec<(String, Option<Vec<u8>>)> {
    let time: Timestamp = "2026-01-31T12:00:00.000001Z".parse().expect("a time");
    let pairs = cancellation.write("/millstream/producer/vectors", &time).into_iter();
    pairs.map(|(name, value)| (name.into_owned(), value.map(|value| value.to_vec()))).collect()
}

impl CancellationVector {
    /// The headers in order.
    pub(crate) fn headers_json(&self) -> Value {
        pairs_json(&self.headers)
    }

    /// What reading the record comes to.
    pub(crate) fn expected_json(&self) -> Value {
        let mut expected = json!({ "about": self.about, "reads_as": Cancellation::TYPE });
        match &self.meaning {
            Ok(Cancellation::Job(id)) => expected["message"] = json!({ "id": id }),
            Ok(Cancellation::Batch(batch)) => expected["message"] = json!({ "batch_id": batch }),
            Err(path) => expected["refused"] = json!({ "code": FailureCode::InvalidInput, "path": path }),
        }
        expected
    }
}
