//! How much one record may ask of whoever reads it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DEFAULTED_PARAMETERS, MAX_RANK, TimeSheet};

/// What a record may not exceed; one that does is refused as `too_large` before anything is allocated for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one record's value. Kafka's own limit (`max.message.bytes` of the topic) applies before this one.
    pub max_record_bytes: usize,
    /// Tensors in one job or result.
    pub max_tensors: usize,
    /// Dimensions of one tensor; more than 8 are never read.
    #[schemars(range(max = 8))]
    pub max_rank: usize,
    /// Elements of one tensor: the product of its dimensions that are not zero.
    pub max_elements: u64,
    /// Entries of one job's or result's parameters.
    pub max_parameters: usize,
}

/// Bytes that a stage may add to a record: its headers, and the time sheet.
const BYTES_ADDED_BY_A_STAGE: usize = 64 * 1024;
/// Parameters that a stage may add: the time sheet, and what a result in place of a failure says of it.
const PARAMETERS_ADDED_BY_A_STAGE: usize = TimeSheet::ENTRIES + DEFAULTED_PARAMETERS.len();

impl Limits {
    /// The limits for what a stage has written rather than a producer: room for what it adds, so that a job which was
    /// accepted once is not refused on its way.
    #[must_use]
    pub fn of_hops(&self) -> Self {
        Self {
            max_record_bytes: self.max_record_bytes.saturating_add(BYTES_ADDED_BY_A_STAGE),
            max_parameters: self.max_parameters.saturating_add(PARAMETERS_ADDED_BY_A_STAGE),
            ..self.clone()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_record_bytes: 4 * 1024 * 1024,
            max_tensors: 64,
            max_rank: MAX_RANK,
            max_elements: 16 * 1024 * 1024,
            max_parameters: 128,
        }
    }
}
