//! Who answers: the loop from fetch to commit.
//!
//! A worker is one process in one consumer group. It runs one stage of a pipeline, or several neighbouring ones fused,
//! and promises:
//!
//! * every record it reads ends as exactly one record further down: on the next stage's topic, or on `results`
//!   (a failed one on `dead-letters` as well, unless its pipeline declares something else);
//! * an offset is committed only with or after what it led to, and in fetch order within a partition, so no crash loses
//!   work. At least once ([`DeliveryMode`](config::DeliveryMode), the default), outcomes are acknowledged first and a
//!   crash may repeat them; exactly once, outcomes and offsets are one transaction, and a crash repeats work but no
//!   outcome;
//! * a bad job is data and ends as a failure; a broken world is an error and stops the worker uncommitted;
//! * memory is bounded: when too much is in flight the worker stops reading, and the partitions are paused.
//!
//! Read [`worker`] first: it is the whole journey on one page.

pub mod worker;

mod answers;
mod at_least_once;
pub mod batch;
mod commit;
mod dead_letter;
mod delivery;
pub mod exactly_once;
pub mod fetch;
mod process;
mod publish;
mod redelivery;
mod topic_limits;

mod ahead;
mod attempt_mark;
mod breaker;
mod cancellations;
mod name;
mod notes;
pub mod on_failure;
pub mod slot;
mod suspects;

pub mod admin;
pub mod config;
pub mod health;
pub mod metrics;
pub mod service;
pub mod start;

pub use config::Config;
pub use worker::{Worker, WorkerError};
