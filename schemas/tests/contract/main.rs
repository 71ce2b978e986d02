//! The contract, as others rely on it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod errors;
#[path = "../mutate/mod.rs"]
mod mutate;
mod mutations;
#[path = "../../examples/generate/published/mod.rs"]
mod published;
mod round_trip;
mod strategies;
mod vectors;
