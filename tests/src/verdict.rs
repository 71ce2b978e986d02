//! Is everything answered, once, rightly and in order? A pure function of what was submitted and what is on `results`.

use std::collections::{BTreeMap, HashMap};
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
    /// Acknowledged ids with fewer results than they were submitted times.
    pub lost: Vec<String>,
    /// Ids with more results than that, once for each.
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

/// Whether outputs are what a job asked for.
pub type IsRight<'a> = &'a (dyn Fn(&Job, &BTreeMap<String, Vec<Value>>) -> Result<(), String> + Sync);

/// Looks at results one by one, as they are read: a soak has more of them than fit into memory.
pub struct Judge<'a> {
    verdict: Verdict,
    /// Each id with its job, how often it was submitted, and how many results it has.
    jobs: HashMap<&'a str, (&'a Job, u32, u32)>,
    /// Partitions are read side by side, but the records of each come in their order.
    last_of_key: BTreeMap<&'a str, u64>,
    is_right: IsRight<'a>,
}

impl<'a> Judge<'a> {
    /// Nothing has been read yet.
    pub fn new(journal: &'a Journal, is_right: IsRight<'a>) -> Self {
        let mut jobs: HashMap<&str, (&Job, u32, u32)> = HashMap::with_capacity(journal.jobs.len());
        for job in &journal.jobs {
            jobs.entry(&job.id).or_insert((job, 0, 0)).1 += 1;
        }
        let verdict = Verdict { jobs: journal.jobs.len(), ..Verdict::default() };
        Self { verdict, jobs, last_of_key: BTreeMap::new(), is_right }
    }

    /// Looks at the next result.
    pub fn look_at(&mut self, result: &Terminal) {
        let id = result.id.as_deref().unwrap_or("(no id)");
        let Some((job, submitted, seen)) = self.jobs.get_mut(id) else {
            self.verdict.strangers.push(id.to_owned());
            return;
        };
        self.verdict.judge_answer(job, result, self.is_right);
        *seen += 1;
        if *seen > 1 {
            // Whoever submits an id twice gets two results, and no more.
            if *seen > *submitted {
                self.verdict.repeated.push(id.to_owned());
            }
            // Where repeats are allowed, it is the first results that keep the order.
            return;
        }
        let Some(key) = &job.key else { return };
        let newest = self.last_of_key.entry(key).or_insert(job.sequence);
        if *newest > job.sequence {
            self.verdict.disordered.push(format!("{id}: {key} {} after {newest}", job.sequence));
        }
        *newest = job.sequence.max(*newest);
        if job.acknowledged && result.partition != job.partition {
            let (is, was) = (result.partition, job.partition);
            self.verdict.scattered.push(format!("{id}: {key} in {is}, not {was}"));
        }
    }

    /// What is wrong, once everything has been looked at. A job that nobody acknowledged may have a result or none.
    pub fn verdict(mut self) -> Verdict {
        for (id, (job, submitted, seen)) in &self.jobs {
            if job.acknowledged && seen < submitted {
                self.verdict.lost.push((*id).to_owned());
            }
        }
        self.verdict.lost.sort_unstable();
        self.verdict
    }
}

impl Verdict {
    /// Looks at everything that the digits pipeline answered.
    pub fn of(journal: &Journal, results: &[Terminal], reference: &Reference) -> Self {
        let is_right =
            |job: &Job, outputs: &BTreeMap<String, Vec<Value>>| digits_are_right(reference, job, outputs);
        let mut judge = Judge::new(journal, &is_right);
        for result in results {
            judge.look_at(result);
        }
        judge.verdict()
    }

    fn judge_answer(&mut self, job: &Job, result: &Terminal, is_right: IsRight<'_>) {
        if result.key != job.key {
            self.wrong.push(format!("{}: has the key {:?}, not {:?}", job.id, result.key, job.key));
        }
        match &result.answer {
            Answer::Failure { failure } => self.failed.push(format!("{}: {failure:?}", job.id)),
            Answer::Result { outputs, .. } => {
                if let Err(difference) = is_right(job, outputs) {
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

/// Whether the digits pipeline answered as ONNX Runtime does in Python.
///
/// # Errors
/// How they differ.
pub fn digits_are_right(
    reference: &Reference,
    job: &Job,
    outputs: &BTreeMap<String, Vec<Value>>,
) -> Result<(), String> {
    compare(reference.answers.get(&job.image).ok_or("no such image")?, outputs)
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
