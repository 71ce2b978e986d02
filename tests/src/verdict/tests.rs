//! A checker that finds nothing proves nothing: every kind of fault is put into a good run and must be found.

use serde_json::json;

use super::*;

const JOBS: usize = 40;

fn reference() -> Reference {
    serde_json::from_value(json!({
        "answers": {"0.png": {"labels": ["3", "5"], "scores": [0.9, 0.1]}},
        "model_digest": "",
    }))
    .unwrap()
}

fn journal() -> Journal {
    let job = |number: usize| {
        let (key, partition) =
            if number.is_multiple_of(2) { (json!("k"), 1) } else { (json!(null), number % 4) };
        json!({
            "id": format!("id-{number}"), "key": key, "sequence": number, "image": "0.png", "partition": partition,
            "time": "", "traceparent": "",
        })
    };
    serde_json::from_value(json!({
        "jobs": (0..JOBS).map(job).collect::<Vec<_>>(), "seconds": 1.0, "state": "",
    }))
    .unwrap()
}

fn results() -> Vec<Terminal> {
    let result = |(number, job): (usize, &Job)| {
        serde_json::from_value(json!({
            "partition": job.partition, "offset": number, "timestamp_ms": 0, "key": job.key, "id": job.id, "headers": [],
            "kind": "result", "outputs": {"label": ["3", "5"], "score": [0.9, 0.1]}, "parameters": {}, "model": {},
        }))
        .unwrap()
    };
    journal().jobs.iter().enumerate().map(result).collect()
}

fn judged(spoil: impl FnOnce(&mut Vec<Terminal>)) -> Verdict {
    let mut results = results();
    spoil(&mut results);
    Verdict::of(&journal(), &results, &reference())
}

fn good() -> Verdict {
    Verdict { jobs: JOBS, ..Verdict::default() }
}

#[test]
fn a_good_run_has_no_fault() {
    let verdict = judged(|_| {});
    assert_eq!(verdict, good());
    verdict.expect_exactly_once();
}

#[test]
fn a_lost_one_is_found() {
    let verdict = judged(|results| drop(results.remove(7)));
    assert_eq!(verdict, Verdict { lost: vec!["id-7".into()], ..good() });
}

#[test]
fn a_repeated_one_is_found_and_keeps_the_order_of_the_first() {
    let verdict = judged(|results| results.push(results[4].clone()));
    assert_eq!(verdict, Verdict { repeated: vec!["id-4".into()], ..good() });
    verdict.expect_nothing_lost();
}

#[test]
#[should_panic(expected = "done twice")]
fn a_repeated_one_is_not_exactly_once() {
    judged(|results| results.push(results[4].clone())).expect_exactly_once();
}

#[test]
fn an_id_that_was_submitted_twice_has_two_results_and_no_more() {
    let mut journal = journal();
    let again = journal.jobs[3].clone();
    journal.jobs.push(again);
    let with = |copies: usize| {
        let mut results = results();
        results.extend(std::iter::repeat_n(results[3].clone(), copies));
        let verdict = Verdict::of(&journal, &results, &reference());
        (verdict.lost.len(), verdict.repeated.len())
    };
    assert_eq!((with(0), with(1), with(2)), ((1, 0), (0, 0), (0, 1)));
}

#[test]
fn a_job_that_was_not_acknowledged_may_have_a_result_or_none() {
    let mut journal = journal();
    journal.jobs[7].acknowledged = false;
    let mut results = results();
    assert_eq!(Verdict::of(&journal, &results, &reference()), good());
    results.remove(7);
    assert_eq!(Verdict::of(&journal, &results, &reference()), good());
}

#[test]
fn a_stranger_is_found() {
    let verdict = judged(|results| {
        let mut stranger = results[0].clone();
        stranger.id = Some("id-x".into());
        results.push(stranger);
    });
    assert_eq!(verdict, Verdict { strangers: vec!["id-x".into()], ..good() });
}

#[test]
fn keyed_ones_out_of_order_are_found_and_others_may_be() {
    let verdict = judged(|results| results.swap(10, 12));
    assert_eq!(verdict.disordered, ["id-10: k 10 after 12"]);
    assert_eq!(judged(|results| results.swap(11, 13)), good());
}

#[test]
fn a_key_in_another_partition_is_found() {
    let verdict = judged(|results| results[2].partition = 3);
    assert_eq!(verdict.scattered.len(), 1);
}

#[test]
fn answers_that_were_swapped_are_found() {
    let verdict = judged(|results| {
        let Answer::Result { outputs, .. } = &mut results[5].answer else { unreachable!() };
        outputs.insert("label".into(), vec![json!("5"), json!("3")]);
    });
    assert_eq!(verdict.wrong.len(), 1, "{verdict}");
}

#[test]
fn scores_that_are_off_are_found() {
    let verdict = judged(|results| {
        let Answer::Result { outputs, .. } = &mut results[5].answer else { unreachable!() };
        outputs.insert("score".into(), vec![json!(0.8999), json!(0.1)]);
    });
    assert_eq!(verdict.wrong.len(), 1, "{verdict}");
}

#[test]
fn failures_are_found() {
    let verdict = judged(|results| {
        let failure = json!({"stage": "inference", "code": "internal", "message": "", "attempt": 1, "retriable": false});
        results[6].answer = Answer::Failure { failure: serde_json::from_value(failure).unwrap() };
    });
    assert_eq!(verdict.failed.len(), 1, "{verdict}");
}

#[test]
fn a_lost_key_is_found() {
    let verdict = judged(|results| results[8].key = None);
    assert_eq!(verdict.wrong.len(), 1, "{verdict}");
}
