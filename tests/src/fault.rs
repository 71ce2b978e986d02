//! The fault tests: what becomes of every job when workers, brokers and the network between them break under load.
//!
//! A run is a list of [cases](plan::Case), each in both delivery modes. For each, a [`scene`] is set: brokers behind
//! proxies, three stages with two workers each, a producer that writes a [journal](load) before it sends, and a
//! [watch](progress) over what every group commits. The [case](cases) breaks something in the middle; then the load ends,
//! every result is waited for, the workers stop, and [`judge`] says what was lost and what was repeated. The [`table`] keeps
//! a row for each. Every random choice comes from a seed, which is printed, so that a run can be had again.

pub mod cases;
pub mod configuration;
pub mod dice;
pub mod fleet;
pub mod judge;
pub mod load;
pub mod plan;
pub mod progress;
pub mod run;
pub mod scene;
pub mod table;

pub use plan::{Case, Mode, Plan};

/// One line about what goes on, for whoever watches.
#[expect(clippy::print_stdout, reason = "the fault tests are a program that is watched")]
pub fn say(text: &str) {
    println!("{text}");
}
