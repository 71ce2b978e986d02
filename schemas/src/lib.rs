//! What is said: the messages of millstream and their bytes.
//!
//! A job, what passes between stages, and a result are the same thing: a list of named tensors, shaped as the Open
//! Inference Protocol V2 shapes them. This crate holds those types, turns them into bytes and back, and publishes the
//! contract for other languages (`SPEC.md`, `asyncapi.json`, `json/`, `vectors/` beside this crate's sources).
//!
//! What it promises:
//!
//! - **Decoding is total.** Whatever the bytes, [`decode_job`] and [`decode_outcome`] return; they never panic, never
//!   recurse as deep as the input says, and never allocate more than a small multiple of the record.
//! - **Decoding is strict.** Maps are maps, tensor data is `bin`, nothing trails, no key of ours comes twice, and a
//!   [`Tensor`] that exists has data that agrees with its shape. Unknown keys and headers are not errors.
//! - **A rejection says what and where** (`inputs[2].shape: …`) and never quotes a payload: a [`DecodeError`] may be logged.
//! - **Tensor data is not copied on decode** (it is a slice of the record) and is copied once on encode, into a buffer
//!   of exactly the right size.
//!
//! ```
//! use bytes::Bytes;
//! use schemas::{Job, Limits, Tensor, decode_job, encode_job};
//!
//! let image = Tensor::from_elements("image", [1, 2], &[0.5_f32, 1.5])?;
//! let job = Job::new([image]);
//!
//! let body: Bytes = encode_job(&job)?;
//! let back = decode_job(Some("application/vnd.msgpack"), &body, &Limits::default())?;
//! assert_eq!(back, job);
//! assert_eq!(back.inputs[0].elements::<f32>()?, [0.5, 1.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cancellation;
mod codec;
mod datatype;
mod dead_letter;
mod element;
mod encoding;
mod error;
mod headers;
mod job;
mod job_id;
mod limits;
mod marks;
mod message_kind;
mod outcome;
mod parameter;
mod retry;
mod stage;
mod tensor;
mod time_sheet;
mod timestamp;
mod topics;
pub mod trace;

pub use cancellation::Cancellation;
pub use codec::{decode_job, decode_outcome, encode_job, encode_job_as, encode_outcome};
pub use datatype::{Datatype, UnknownDatatype};
pub use dead_letter::{DeadLetterReason, ERROR_HEADER_PREFIX};
pub use element::Element;
pub use encoding::Encoding;
pub use error::{DecodeError, EncodeError};
pub use headers::{HeaderPair, Headers};
pub use job::{CONTENT_TYPE_PARAMETER, Job, PAYLOAD_NAME};
pub use job_id::{JobId, JobIdError};
pub use limits::Limits;
pub use marks::{DEFAULTED_HEADER, DEFAULTED_PARAMETERS, REPLAY_COUNT_HEADER};
pub use message_kind::MessageKind;
pub use outcome::{Failure, FailureCode, JobResult, Outcome, UnknownFailureCode};
pub use parameter::{Parameter, Parameters};
pub use retry::{RETRY_HEADER_PREFIX, Retry};
pub use stage::{Stage, UnknownStage};
pub use tensor::{MAX_RANK, Tensor, TensorError};
pub use time_sheet::TimeSheet;
pub use timestamp::{Timestamp, TimestampError};
pub use topics::{RetryDelay, TopicNames};
pub use trace::TraceContext;
