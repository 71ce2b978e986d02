//! Does it hold: the harness of the whole-system tests.
//!
//! A test takes its [`turn()`], gets a [`Broker`] (a real Apache Kafka) and a [`Setting`] (a configuration with topics of
//! its own), starts [`Worker`]s as processes, lets the Python scripts beside this crate submit and read, and leaves the
//! verdict to [`verdict`]. The scripts know the contract alone, so no code of the project checks itself.
//!
//! Conditions are waited for with a deadline ([`wait`]); what was started is ended and reaped when it goes out of scope.

pub mod binary;
pub mod broker;
pub mod contract;
pub mod fault;
pub mod http;
pub mod journal;
pub mod process;
pub mod proxy;
pub mod python;
pub mod setting;
pub mod turn;
pub mod verdict;
pub mod wait;
pub mod worker;

pub use binary::{Ended, millstream};
pub use broker::Broker;
pub use journal::{DeadLetter, HostileRecord, Journal, Reference, Terminal};
pub use process::Process;
pub use setting::{Setting, Stages};
pub use turn::turn;
pub use verdict::Verdict;
pub use worker::Worker;

use std::path::PathBuf;

/// The top of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .canonicalize()
        .expect("this crate lies in a folder of the repository")
}

/// The model that the tests run on: `digits.onnx`, `labels.txt`, `images/`.
pub fn digits() -> PathBuf {
    repository().join("models/digits")
}
