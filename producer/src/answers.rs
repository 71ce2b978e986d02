//! What a worker answers, for tests.

use schemas::{Encoding, Failure, FailureCode, Headers, JobResult, MessageKind, Outcome, Parameters, Tensor};
use transport::{Header, Memory, Publisher, Received, Record, Transport};

use crate::client::{Client, ClientOptions};

pub(crate) const JOBS: &str = "millstream.digits.preprocess";
pub(crate) const RESULTS: &str = "millstream.digits.results";

/// A client of the pipeline `digits` in memory, with its topics.
pub(crate) fn client() -> (Memory, Client<Memory>) {
    let memory = Memory::new();
    memory.create_topic(JOBS, 3);
    memory.create_topic("millstream.digits.inference", 3);
    memory.create_topic(RESULTS, 3);
    (memory.clone(), Client::new(memory, ClientOptions::new("digits")))
}

pub(crate) fn headers_of(received: &Received) -> Headers {
    let pairs = received.record.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
    let (headers, fault) = Headers::read(pairs);
    assert_eq!(fault, None);
    headers
}

/// A result with one label.
pub(crate) fn labelled(label: &str) -> Outcome {
    Outcome::Result(JobResult {
        model_name: "digits".to_owned(),
        model_version: "1".to_owned(),
        outputs: vec![Tensor::from_byte_strings("label", [1], [label]).unwrap()],
        parameters: Parameters::new(),
    })
}

pub(crate) fn failed(message: &str) -> Outcome {
    let (stage, message) = ("preprocess".to_owned(), message.to_owned());
    Outcome::Failure(Failure {
        stage,
        code: FailureCode::InvalidInput,
        message,
        attempt: 1,
        retriable: false,
    })
}

/// The terminal record of a job with these headers.
pub(crate) fn terminal(headers: &Headers, outcome: &Outcome) -> Record {
    let mut headers = headers.clone();
    headers.kind = Some(match outcome {
        Outcome::Result(_) => MessageKind::Result,
        Outcome::Failure(_) => MessageKind::Failure,
    });
    headers.content_type = Some(Encoding::MessagePack.content_type().to_owned());
    let body = schemas::encode_outcome(outcome, Encoding::MessagePack).unwrap();
    let headers = headers.write().into_iter().map(|(name, value)| Header { name, value }).collect();
    Record { topic: RESULTS.into(), key: None, value: Some(body), headers }
}

/// The terminal record of a job with this id.
pub(crate) fn terminal_of(id: &str, outcome: &Outcome) -> Record {
    let headers =
        Headers { id: Some(id.parse().unwrap()), subject: Some("digits".to_owned()), ..Headers::default() };
    terminal(&headers, outcome)
}

pub(crate) async fn publish(memory: &Memory, records: Vec<Record>) {
    memory.publisher().await.unwrap().publish(records).await.unwrap();
}

/// Answers every job that was submitted so far.
pub(crate) async fn answer_all(memory: &Memory, outcome: &Outcome) {
    let jobs = memory.records(JOBS);
    publish(memory, jobs.iter().map(|job| terminal(&headers_of(job), outcome)).collect()).await;
}
