//! What became of every job, by two checkers that share no code: clients in Python with the verdict of the harness, and
//! `millstream reconcile`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
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
    let differences = reconciled(scene, case, &found, within).await?;
    found.faults.extend(differences);
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
    let right = if form == Form::Divide { 100 / (x - 100) } else { x };
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

/// What `millstream reconcile` says, as far as it is compared.
#[derive(Debug, Deserialize)]
struct Reconciled {
    waiting: usize,
    lost: usize,
    repeated: usize,
    faults_by_kind: BTreeMap<String, u64>,
    faults: Vec<Value>,
}

/// What `millstream reconcile` holds against the run, and where it differs from the verdict.
async fn reconciled(
    scene: &mut Scene<'_>,
    case: &Case,
    found: &Found,
    within: Duration,
) -> Result<Vec<String>> {
    if !millstream(&["--help"], &[]).await?.stdout.contains("\n  reconcile ") {
        scene.notes.push("without `millstream reconcile`, which this binary does not have".to_owned());
        return Ok(Vec::new());
    }
    let mode = scene.mode.as_str();
    let mut arguments = vec!["reconcile", PIPELINE, "-o", "json", "--delivery", mode, "--apart"];
    let were = super::configuration::PARTITIONS.to_string();
    if !super::cases::keeps_order(case.fault) {
        arguments.extend(["--partitions-were", &were]);
    }
    let ended = scene.run(&arguments, within).await?;
    let Ok(told) = serde_json::from_str::<Reconciled>(&ended.stdout) else {
        let said: String = ended.stderr.chars().take(600).collect();
        return Ok(vec![format!("`millstream reconcile` ended with {:?}: {said}", ended.code)]);
    };
    let mut faults = Vec::new();
    if ended.code != Some(0) {
        let (kinds, first) = (&told.faults_by_kind, told.faults.first().unwrap_or(&Value::Null));
        faults.push(format!(
            "`millstream reconcile` ended with {:?}: {kinds:?}, the first: {first}",
            ended.code
        ));
    }
    let (theirs, ours) = ((told.lost, told.repeated, told.waiting), (found.lost, found.repeated, 0));
    if theirs != ours {
        faults.push(format!(
            "lost, repeated and waiting are {theirs:?} for `millstream reconcile` and {ours:?} for the verdict"
        ));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(id: &str) -> HostileRecord {
        serde_json::from_value(json!({
            "kind": "k", "codes": ["model_error"], "image": null, "id": id, "stage": "inference", "key": null,
            "original": "", "topic": "t", "partition": 0, "offset": 0,
        }))
        .unwrap()
    }

    fn failure(id: &str, code: &str) -> Terminal {
        let failure =
            json!({"stage": "inference", "code": code, "message": "", "attempt": 1, "retriable": false});
        serde_json::from_value(json!({
            "partition": 0, "offset": 0, "timestamp_ms": 0, "key": null, "id": id, "kind": "failure", "failure": failure,
        }))
        .unwrap()
    }

    #[test]
    fn what_must_fail_does_so_once_and_with_the_right_code() {
        let check = |results: &[Terminal], lost: usize, repeated: usize, wrong: usize| {
            let records = [record("a"), record("b")];
            let mut expected = Expected::new(&records);
            let taken = results.iter().filter(|result| expected.take(result)).count();
            let others = results.iter().filter(|result| result.id.as_deref() == Some("other")).count();
            assert_eq!(taken, results.len() - others);
            assert_eq!((expected.lost(), expected.repeated(), expected.wrong.len()), (lost, repeated, wrong));
        };
        let good = failure("a", "model_error");
        check(&[good.clone(), failure("b", "model_error")], 0, 0, 0);
        check(&[good.clone(), failure("other", "internal")], 1, 0, 0);
        check(&[good.clone(), good.clone(), failure("b", "internal")], 0, 1, 1);
    }

    #[test]
    fn a_division_has_one_right_answer() {
        let check = |form: Form, asked: &str, y: i64, expect: bool| {
            let job: Job = serde_json::from_value(json!({
                "id": "i", "key": null, "sequence": 0, "image": asked, "partition": 0, "time": "", "traceparent": "",
            }))
            .unwrap();
            let outputs = BTreeMap::from([("y".to_owned(), vec![json!(y)])]);
            assert_eq!(is_right(form, None, &job, &outputs).is_ok(), expect, "{asked}: {y}");
        };
        check(Form::Divide, "x=80", -5, true);
        check(Form::Divide, "x=80", -4, false);
        check(Form::Slow, "x=100000", 100_000, true);
        check(Form::Slow, "x=1", 0, false);
    }
}
