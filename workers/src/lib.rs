//! Who answers: the loop from fetch to commit.
//!
//! A worker is one process in one consumer group. It runs one stage of a pipeline, or several neighbouring ones fused,
//! and promises:
//!
//! * every record it reads ends as exactly one record further down: on the next stage's topic, or on `results`
//!   (a failed one on `dead-letters` as well, unless its pipeline declares something else);
//! * an offset is committed only after what it led to is acknowledged, and in fetch order within a partition, so
//!   a crash repeats work and never loses it (delivery is at least once);
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

pub mod ahead;
pub mod attempt_mark;
pub mod breaker;
pub mod cancellations;
mod notes;
pub mod on_failure;
pub mod slot;
pub mod suspects;

pub mod admin;
pub mod config;
pub mod health;
pub mod metrics;
pub mod service;
pub mod start;

pub use config::Config;
pub use worker::{Worker, WorkerError};
