//! Where a job's time went.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Parameter, Parameters};

/// How long a job spent where, in microseconds. It rides in a body's parameters under these very names: between stages
/// the sheet so far, on a result the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TimeSheet {
    /// In topics and in a worker's memory before a stage began on it, summed over the stages.
    pub queue_us: u64,
    /// In preprocessing.
    pub preprocess_us: u64,
    /// Waiting for its batch to fill or to fall due, summed over the stages.
    pub batch_wait_us: u64,
    /// In the model.
    pub inference_us: u64,
    /// In postprocessing.
    pub postprocess_us: u64,
    /// From `ce_time` to the result.
    pub total_us: u64,
    /// Jobs that ran through the model together with this one, itself included.
    pub batch_size: u64,
}

impl TimeSheet {
    /// How many parameters a sheet takes.
    pub const ENTRIES: usize = Self::NAMES.len();

    const NAMES: [&'static str; 7] = [
        "queue_us",
        "preprocess_us",
        "batch_wait_us",
        "inference_us",
        "postprocess_us",
        "total_us",
        "batch_size",
    ];

    /// The sheet in these parameters. What is absent, or no count, reads as 0: a sheet never fails a job.
    pub fn read(parameters: &Parameters) -> Self {
        let [queue_us, preprocess_us, batch_wait_us, inference_us, postprocess_us, total_us, batch_size] =
            Self::NAMES.map(|name| match parameters.get(name) {
                Some(Parameter::Int(value)) => u64::try_from(*value).unwrap_or(0),
                _ => 0,
            });
        Self { queue_us, preprocess_us, batch_wait_us, inference_us, postprocess_us, total_us, batch_size }
    }

    /// Puts the sheet into these parameters, over an older one, and leaves the other parameters as they are.
    pub fn write(&self, parameters: &mut Parameters) {
        let values = [
            self.queue_us,
            self.preprocess_us,
            self.batch_wait_us,
            self.inference_us,
            self.postprocess_us,
            self.total_us,
            self.batch_size,
        ];
        for (name, value) in Self::NAMES.into_iter().zip(values) {
            let value = Parameter::Int(i64::try_from(value).unwrap_or(i64::MAX));
            match parameters.get_mut(name) {
                Some(older) => *older = value,
                None => drop(parameters.insert(name.to_owned(), value)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_over_its_own_and_nothing_else() {
        let mut parameters = Parameters::from([("k".into(), 3_i64.into()), ("queue_us".into(), "x".into())]);
        assert_eq!(TimeSheet::read(&parameters), TimeSheet::default());
        let sheet =
            TimeSheet { queue_us: 1, preprocess_us: 2, batch_wait_us: 3, inference_us: 4, ..sheet_rest() };
        sheet.write(&mut parameters);
        assert_eq!(TimeSheet::read(&parameters), sheet);
        assert_eq!(parameters["k"], Parameter::Int(3));
        assert_eq!(parameters.len(), 8);
    }

    fn sheet_rest() -> TimeSheet {
        TimeSheet { postprocess_us: 5, total_us: 15, batch_size: 8, ..TimeSheet::default() }
    }

    #[test]
    fn names_are_the_field_names() {
        let value = serde_json::to_value(TimeSheet::default()).unwrap();
        for name in TimeSheet::NAMES {
            assert!(value.get(name).is_some(), "{name}");
        }
    }
}
