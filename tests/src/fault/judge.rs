//! What became of every job, by two checkers that share no code: clients in Python with the verdict of the harness, and
//! `millstream reconcile`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::load;
use super::plan::{Case, Form};
use super::scene::Scene;
use crate::journal::{Answer, HostileRecord, Job, Reference, Terminal};
use crate::millstream;
use crate::setting::PIPELINE;
use crate::verdict::{Judge, Verdict, digits_are_right};

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Job records that were submitted.
    pub jobs: usize,
    /// Those without a terminal record.
    pub lost: usize,
    /// Terminal records beyond one for each.
    pub repeated: usize,
    /// Those that `millstream results` shows all the same.
    pub repeated_after_deduplication: usize,
    /// What must not be, in words.
    pub faults: Vec<String>,
}

/// Reads everything, once the workers have stopped.
///
/// # Errors
/// When something cannot be read.
pub async fn judge(scene: &mut Scene<'_>, case: &Case, within: Duration) -> Result<Found> {
    let setting = scene.setting.clone();
    let mut journal = load::journal(&setting)?;
    let mut expected = Expected::new(&scene.expected);
    // What must fail is not a job that must succeed.
    journal.jobs.retain(|job| !expected.seen.contains_key(job.id.as_str()));
    let reference = if case.form == Form::Digits { Some(setting.reference().await?) } else { None };
    let is_right = |job: &Job, outputs: &BTreeMap<String, Vec<Value>>| {
        is_right(case.form, reference.as_ref(), job, outputs)
    };
    let mut judge = Judge::new(&journal, &is_right);
    setting
        .each_result(within, |result| {
            if !expected.take(result) {
                judge.look_at(result);
            }
        })
        .await?;
    let verdict = judge.verdict();
    let mut found = Found {
        jobs: verdict.jobs + scene.expected.len(),
        lost: verdict.lost.len() + expected.lost(),
        repeated: verdict.repeated.len() + expected.repeated(),
        faults: expected.wrong.clone(),
        ..Found::default()
    };
    found.faults.extend(said(&verdict, super::cases::keeps_order(case.fault)));
    if found.repeated > 0 {
        found.repeated_after_deduplication = shown_twice(scene, &journal.jobs, within).await?;
    }
    found.faults.extend(reconciled(scene, within).await?);
    Ok(found)
}

fn is_right(
    form: Form,
    reference: Option<&Reference>,
    job: &Job,
    outputs: &BTreeMap<String, Vec<Value>>,
) -> Result<(), String> {
    if let Some(reference) = reference {
        return digits_are_right(reference, job, outputs);
    }
    let x: i64 = job.image.strip_prefix("x=").and_then(|x| x.parse().ok()).ok_or("no number")?;
    let right = if form == Form::Divide { 100 / x } else { x };
    let y: Vec<i64> = outputs.get("y").into_iter().flatten().filter_map(Value::as_i64).collect();
    if y == [right] { Ok(()) } else { Err(format!("y is {y:?}, not {right}")) }
}

/// What a verdict holds against a run, beside what is lost and repeated.
fn said(verdict: &Verdict, keeps_order: bool) -> Vec<String> {
    let Verdict { lost, repeated: _, strangers, failed, wrong, disordered, scattered, jobs: _ } = verdict;
    let mut said = Vec::new();
    let mut say = |what: &str, list: &[String]| {
        if let Some(first) = list.first() {
            said.push(format!("{} {what}, the first: {first}", list.len()));
        }
    };
    say("lost", lost);
    say("that nobody asked for", strangers);
    say("failed", failed);
    say("wrong", wrong);
    if keeps_order {
        say("out of order", disordered);
        say("in another partition", scattered);
    }
    said
}

/// Records that must end in one failure each.
struct Expected<'a> {
    /// By id: the record, and how many terminal records it has.
    seen: HashMap<&'a str, (&'a HostileRecord, usize)>,
    wrong: Vec<String>,
}

impl<'a> Expected<'a> {
    fn new(records: &'a [HostileRecord]) -> Self {
        Self {
            seen: records.iter().map(|record| (record.id.as_str(), (record, 0))).collect(),
            wrong: Vec::new(),
        }
    }

    /// Whether the result belongs to one of them.
    fn take(&mut self, result: &Terminal) -> bool {
        let Some((record, seen)) = result.id.as_deref().and_then(|id| self.seen.get_mut(id)) else {
            return false;
        };
        *seen += 1;
        match &result.answer {
            Answer::Failure { failure } if record.codes.contains(&failure.code) => {}
            Answer::Failure { failure } => {
                self.wrong
                    .push(format!("{}: failed with {}, not {:?}", record.kind, failure.code, record.codes));
            }
            Answer::Result { .. } => self.wrong.push(format!("{}: got a result", record.kind)),
        }
        true
    }

    fn lost(&self) -> usize {
        self.seen.values().filter(|(_, seen)| *seen == 0).count()
    }

    fn repeated(&self) -> usize {
        self.seen.values().map(|(_, seen)| seen.saturating_sub(1)).sum()
    }
}

/// How many results `millstream results` shows beyond one for each id.
async fn shown_twice(scene: &Scene<'_>, jobs: &[Job], within: Duration) -> Result<usize> {
    let ended = scene.run(&["results", PIPELINE, "-o", "json"], within).await?;
    let ids: HashSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let (mut seen, mut twice) = (HashSet::new(), 0);
    for line in ended.stdout.lines() {
        let shown: Value = serde_json::from_str(line).context("a line of `millstream results`")?;
        let id = shown["id"].as_str().unwrap_or_default();
        if ids.contains(id) && !seen.insert(id.to_owned()) {
            twice += 1;
        }
    }
    Ok(twice)
}

/// What `millstream reconcile` holds against the run.
async fn reconciled(scene: &mut Scene<'_>, within: Duration) -> Result<Option<String>> {
    if !millstream(&["--help"], &[]).await?.stdout.contains("\n  reconcile ") {
        scene.notes.push("without `millstream reconcile`, which this binary does not have".to_owned());
        return Ok(None);
    }
    let ended = scene.run(&["reconcile", PIPELINE, "-o", "json"], within).await?;
    if ended.code == Some(0) {
        return Ok(None);
    }
    let said: String = ended.stdout.chars().chain(ended.stderr.chars()).take(600).collect();
    Ok(Some(format!("`millstream reconcile` ended with {:?}: {said}", ended.code)))
}
