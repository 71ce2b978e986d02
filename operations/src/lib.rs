//! Who looks after it: what people do with a pipeline's topics beside running jobs.
//!
//! - [`reconcile`] reads every topic of a pipeline up to a fixed end and proves, record by record, that each job has come to
//!   exactly one terminal record or is still waiting.
//! - [`dead_letters`] finds the records of failed jobs, shows them, and sends them again.
//!
//! Both read outside any group and commit nothing, so they can be used beside running workers. Nothing here knows Kafka: it
//! works on any [`Transport`](transport::Transport).

pub mod dead_letters;
pub mod reconcile;

mod scan;

pub use self::scan::Ends;
