//! Is everything answered, once, rightly and in order? A pure function of what was submitted and what is on `results`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use crate::journal::{Answer, Job, Journal, Labelled, Reference, Terminal};

/// How far a score may be from the one that Python computes in double precision.
const TOLERANCE: f64 = 1e-5;

/// What is wrong with a run, by kind; each entry says of which job.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many jobs were submitted.
    pub jobs: usize,
    /// Ids without a result.
    pub lost: Vec<String>,
    /// Ids with a result more than once.
    pub repeated: Vec<String>,
    /// Results that nobody asked for.
    pub strangers: Vec<String>,
    /// Jobs that failed.
    pub failed: Vec<String>,
    /// Results that differ from those of ONNX Runtime in Python.
    pub wrong: Vec<String>,
    /// Results that stand before that of an older job of their key.
    pub disordered: Vec<String>,
    /// Results of keyed jobs in another partition than a key belongs to.
    pub scattered: Vec<String>,
}

impl Verdict {
    /// Looks at everything.
    pub fn of(journal: &Journal, results: &[Terminal], reference: &Reference) -> Self {
        let mut verdict = Self { jobs: journal.jobs.len(), ..Self::default() };
        let jobs: HashMap<&str, &Job> = journal.jobs.iter().map(|job| (job.id.as_str(), job)).collect();
        let mut seen = HashSet::new();
        // Partitions are read side by side, but the records of each come in their order.
        let mut last_of_key: BTreeMap<&str, u64> = BTreeMap::new();
        for result in results {
            let id = result.id.as_deref().unwrap_or("(no id)");
            let Some(job) = jobs.get(id) else {
                verdict.strangers.push(id.to_owned());
                continue;
            };
            verdict.judge_answer(job, result, reference);
            if !seen.insert(id) {
                verdict.repeated.push(id.to_owned());
                // Where repeats are allowed, it is the first results that keep the order.
                continue;
            }
            if let Some(key) = &job.key {
                let newest = last_of_key.entry(key).or_insert(job.sequence);
                if *newest > job.sequence {
                    verdict.disordered.push(format!("{id}: {key} {} after {newest}", job.sequence));
                }
                *newest = job.sequence.max(*newest);
                if result.partition != job.partition {
                    verdict
                        .scattered
                        .push(format!("{id}: {key} in {}, not {}", result.partition, job.partition));
                }
            }
        }
        let lost = journal.jobs.iter().filter(|job| !seen.contains(job.id.as_str()));
        verdict.lost = lost.map(|job| job.id.clone()).collect();
        verdict
    }

    fn judge_answer(&mut self, job: &Job, result: &Terminal, reference: &Reference) {
        if result.key != job.key {
            self.wrong.push(format!("{}: has the key {:?}, not {:?}", job.id, result.key, job.key));
        }
        match &result.answer {
            Answer::Failure { failure } => self.failed.push(format!("{}: {failure:?}", job.id)),
            Answer::Result { outputs, .. } => {
                let right = reference.answers.get(&job.image);
                if let Err(difference) =
                    right.ok_or("no such image".to_owned()).and_then(|it| compare(it, outputs))
                {
                    self.wrong.push(format!("{} ({}): {difference}", job.id, job.image));
                }
            }
        }
    }

    /// Everything is answered once, rightly and in order.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn expect_exactly_once(&self) {
        assert!(self.repeated.is_empty(), "done twice: {self}");
        self.expect_nothing_lost();
    }

    /// Everything is answered rightly and in order, some of it possibly more than once.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn expect_nothing_lost(&self) {
        let Self { lost, strangers, failed, wrong, disordered, scattered, .. } = self;
        let faults = [lost, strangers, failed, wrong, disordered, scattered];
        assert!(faults.iter().all(|fault| fault.is_empty()), "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { jobs, lost, repeated, strangers, failed, wrong, disordered, scattered } = self;
        write!(f, "{jobs} jobs")?;
        for (name, list) in [
            ("lost", lost),
            ("repeated", repeated),
            ("not asked for", strangers),
            ("failed", failed),
            ("wrong", wrong),
            ("out of order", disordered),
            ("in another partition", scattered),
        ] {
            write!(f, ", {} {name}", list.len())?;
            if let Some(first) = list.first() {
                write!(f, " (first: {first})")?;
            }
        }
        Ok(())
    }
}

/// The outputs of the digits pipeline against what they should be.
///
/// # Errors
/// How they differ.
pub fn compare(right: &Labelled, outputs: &BTreeMap<String, Vec<Value>>) -> Result<(), String> {
    let output = |name: &str| outputs.get(name).ok_or(format!("no output {name}"));
    let labels: Vec<&str> = output("label")?.iter().filter_map(Value::as_str).collect();
    if labels != right.labels {
        return Err(format!("labels {labels:?}, not {:?}", right.labels));
    }
    let scores: Vec<f64> = output("score")?.iter().filter_map(Value::as_f64).collect();
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= TOLERANCE;
    if scores.len() != right.scores.len() || !scores.iter().zip(&right.scores).all(near) {
        return Err(format!("scores {scores:?}, not {:?}", right.scores));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
