//! Histories of a pipeline: healthy ones hold, and whatever is done to one of their records is told.

mod history;
mod mutations;
mod windows;

use super::*;
use history::{Course, History, Submission};
use schemas::{FailureCode, Parameters, Stage};

/// The kinds of faults in a report, each with the id that it names.
fn told(report: &Report) -> Vec<(FaultKind, &str)> {
    report.faults.iter().map(|fault| (fault.kind, fault.id.as_str())).collect()
}

#[track_caller]
fn holds(history: &History) -> Report {
    let report = history.reconcile();
    assert!(report.holds, "{:#?}", report.faults);
    report
}

#[test]
fn a_healthy_run_holds_in_both_modes() {
    let mut history = History::healthy(400, 7);
    for delivery in [Delivery::AtLeastOnce, Delivery::ExactlyOnce] {
        history.options.delivery = delivery;
        let report = holds(&history);
        let submitted: u64 = history.submitted();
        assert_eq!((report.jobs, report.lost, report.repeated, report.unproven), (submitted, 0, 0, 0));
        assert_eq!(report.jobs, report.terminal + report.waiting);
        assert!(report.waiting > 0 && report.failures > 0 && report.retries > 0 && report.dead_letters > 0);
    }
}

#[test]
fn an_id_may_be_submitted_again() {
    let mut history = History::new();
    for _ in 0..3 {
        history.submit(Submission::new("again", Some("k")));
    }
    history.work();
    let report = holds(&history);
    assert_eq!((report.jobs, report.ids, report.terminal, report.repeated), (3, 1, 3, 0));
}

#[test]
fn a_replayed_dead_letter_is_one_more_job() {
    let mut history = History::new();
    let failing = Course { fails: Some((Stage::Inference, FailureCode::ModelError)), ..Course::default() };
    history.submit(Submission { course: failing, ..Submission::new("a", Some("k")) });
    history.work();
    history.submit(Submission { stage: Stage::Inference, ..Submission::new("a", Some("k")) });
    history.work();
    let report = holds(&history);
    assert_eq!((report.jobs, report.results, report.failures, report.dead_letters), (2, 1, 1, 1));
}

#[test]
fn a_policy_without_dead_letters_is_known() {
    let mut history = History::new();
    let failing = Course { fails: Some((Stage::Inference, FailureCode::ModelError)), ..Course::default() };
    history.submit(Submission { course: failing, ..Submission::new("a", None) });
    history.work();
    history.remove(Role::DeadLetters, 0);
    assert_eq!(told(&history.reconcile()), [(FaultKind::FailureWithoutDeadLetter, "a")]);
    history.options.without_dead_letters.insert(Stage::Inference);
    holds(&history);
    // It is a policy for failures, not for what somebody asked for.
    for code in [FailureCode::Expired, FailureCode::Cancelled] {
        let mut history = History::new();
        history.options.without_dead_letters.insert(Stage::Inference);
        let asked_for = Course { fails: Some((Stage::Inference, code)), ..Course::default() };
        history.submit(Submission { course: asked_for, ..Submission::new("a", None) });
        history.work();
        holds(&history);
        history.remove(Role::DeadLetters, 0);
        assert_eq!(told(&history.reconcile()), [(FaultKind::FailureWithoutDeadLetter, "a")], "{code}");
    }
}

#[test]
fn a_default_is_a_result_without_a_dead_letter_and_has_the_parameters_of_its_job() {
    let mut history = History::new();
    let failing = Course { fails: Some((Stage::Preprocess, FailureCode::Undecodable)), ..Course::default() };
    history.submit(Submission { course: failing, ..Submission::new("a", Some("k")) });
    history.work();
    history.remove(Role::DeadLetters, 0);
    let mut own = None;
    history.change(Role::Stage(Stage::Preprocess), 0, |job| own = Some(history::decode(job).parameters));
    let own = own.expect("the job was just looked at");
    assert!(!own.is_empty());
    let mut check = |parameters: &Parameters, expect: &[FaultKind]| {
        history.change(Role::Results, 0, |terminal| history::make_default(terminal, parameters.clone()));
        let report = history.reconcile();
        assert_eq!(report.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), expect);
        assert_eq!((report.results, report.defaulted, report.failures), (1, 1, 0));
    };
    check(&own, &[]);
    // Of a record that could not be read nobody knows them.
    check(&Parameters::new(), &[]);
    check(&Parameters::from([("another".into(), "job's".into())]), &[FaultKind::Mismatched]);
}

#[test]
fn a_waiting_job_is_waiting_and_no_fault() {
    let mut history = History::new();
    let stuck = Course { waits: Some(Stage::Inference), ..Course::default() };
    history.submit(Submission { course: stuck, ..Submission::new("a", Some("k")) });
    history.work();
    let report = holds(&history);
    assert_eq!((report.jobs, report.terminal, report.waiting, report.lost), (1, 0, 1, 0));
}

#[test]
fn a_repeat_is_a_fault_only_where_exactly_one_is_promised() {
    let mut history = History::new();
    history.submit(Submission::new("a", Some("k")));
    history.work();
    history.double(Role::Results, 0);
    let report = holds(&history);
    assert_eq!((report.repeated, report.repeated_after_deduplication), (1, 0));
    history.options.delivery = Delivery::ExactlyOnce;
    assert_eq!(told(&history.reconcile()), [(FaultKind::Repeated, "a")]);
}

#[test]
fn repeats_that_say_different_things_contradict_each_other() {
    let mut history = History::new();
    history.submit(Submission::new("a", Some("k")));
    history.work();
    history.double(Role::Results, 0);
    history.change(Role::Results, 1, |received| {
        received.record.value = Some(history::result_body(received, 99, 7_000));
    });
    let report = history.reconcile();
    assert_eq!(told(&report), [(FaultKind::Contradictory, "a")]);
    assert_eq!((report.repeated, report.repeated_after_deduplication), (1, 1));
    // Other times only: the same.
    history.change(Role::Results, 1, |received| {
        received.record.value = Some(history::result_body(received, 0, 9_000));
    });
    holds(&history);
}

#[test]
fn a_loss_behind_a_repeat_is_still_a_loss() {
    let mut history = History::new();
    history.submit(Submission::new("a", Some("k")));
    history.work();
    history.double(Role::Stage(Stage::Inference), 0);
    history.commit_all();
    // Two jobs were read from the topic of inference, and two were written; one of these is gone.
    history.double(Role::Stage(Stage::Postprocess), 0);
    history.commit_all();
    history.double(Role::Results, 0);
    holds(&history);
    history.remove(Role::Results, 1);
    let report = history.reconcile();
    assert_eq!(told(&report), [(FaultKind::Lost, "a")]);
    assert_eq!(report.faults[0].r#where, history.place(Role::Stage(Stage::Postprocess), 1));
}

#[test]
fn records_of_other_pipelines_are_theirs() {
    let mut history = History::new();
    history.submit(Submission::new("a", None));
    history.work();
    history.change(Role::Results, 0, |received| history::set(received, "ce_subject", b"other"));
    assert_eq!(told(&history.reconcile()), [(FaultKind::Lost, "a")]);
}

#[test]
fn partitions_that_were_added_are_allowed_for() {
    let mut history = History::healthy(100, 3);
    // The topics have grown from 4 to 6 partitions since.
    history.options.partitions.values_mut().for_each(|count| *count = 6);
    assert!(!history.reconcile().holds);
    history.options.partitions_were = vec![4];
    holds(&history);
}
