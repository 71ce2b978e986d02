//! Who asks: submits jobs to a pipeline, withdraws them, and reads what they came to.
//!
//! A [`Client`] speaks to one pipeline. What it promises:
//!
//! - **Submitted means acknowledged.** [`Client::submit`] and [`Client::submit_all`] give a job's id once every in-sync
//!   replica has the job, and name the job in every error.
//! - **Order is kept.** Jobs of one key are published in the order in which they were submitted.
//! - **Memory is bounded.** [`Client::submit_all`] holds a window of records and bytes, and takes from its source only
//!   while there is room.
//! - **Nothing is skipped.** A terminal record that cannot be decoded is an error that says where it lies; one that a
//!   filter cannot rule out is returned.
//! - **Each outcome comes once.** Delivery is at least once unless a pipeline is declared otherwise, so a crash can leave
//!   a second record of the same outcome; [`Results`] drops it and counts it.
//!
//! ```
//! use producer::{Client, ClientOptions, ReadFrom, ResultFilter, Submission};
//! use transport::Memory;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // `Kafka::new(KafkaConfig::new("127.0.0.1:9092"))?` speaks to a cluster in the same way.
//! let transport = Memory::new();
//! # transport.create_topic("millstream.digits.preprocess", 2);
//! # transport.create_topic("millstream.digits.results", 2);
//! let client = Client::new(transport.clone(), ClientOptions::new("digits"));
//!
//! // Opened before the job is submitted, so that its result cannot be missed.
//! let mut results = client.results(ReadFrom::End, ResultFilter::all()).await?;
//! let image: &[u8] = b"the bytes of seven.png";
//! let id = client.submit(Submission::raw("image/png", image).with_key("camera-7")).await?;
//! # doc_worker::answer(&transport).await;
//!
//! let outcomes = results.wait_for([id.clone()], std::time::Duration::from_secs(30)).await?;
//! assert_eq!(outcomes[0].id, id);
//! # Ok(())
//! # }
//! # mod doc_worker {
//! #     use transport::{Publisher, Record, Transport};
//! #     pub async fn answer(memory: &transport::Memory) {
//! #         let jobs = memory.records("millstream.digits.preprocess");
//! #         let results: Vec<Record> = jobs.into_iter().map(|job| {
//! #             let pairs = job.record.headers.iter().map(|h| (&*h.name, h.value.as_deref()));
//! #             let (mut headers, _) = schemas::Headers::read(pairs);
//! #             headers.kind = Some(schemas::MessageKind::Result);
//! #             headers.content_type = Some("application/json".into());
//! #             let body = r#"{"model_name":"digits","model_version":"1","outputs":[]}"#;
//! #             let mut record = Record::new("millstream.digits.results", body);
//! #             for (name, value) in headers.write() {
//! #                 record.headers.push(transport::Header { name, value });
//! #             }
//! #             record
//! #         }).collect();
//! #         memory.publisher().await.expect("memory").publish(results).await.expect("memory");
//! #     }
//! # }
//! ```
//!
//! Read in this order: `submission.rs`, `envelope.rs`, `submit.rs`, `cancel.rs`, `outcome.rs`, `results.rs`,
//! `repeats.rs`, `wait.rs`.

mod submission;

mod envelope;

mod client;

mod submit;

mod cancel;

mod outcome;

mod results;

mod repeats;

mod wait;

mod error;

#[cfg(test)]
mod answers;

pub use transport::ReadFrom;

pub use self::client::{Client, ClientOptions, Window};
pub use self::error::{CancelError, Rejection, ResultError, SubmitError, UndecodableResult, WaitError};
pub use self::outcome::{JobOutcome, ResultFilter};
pub use self::results::Results;
pub use self::submission::{Payload, Submission};
