//! Reading from a point, topics that have lost records, and the way from a transport.

use schemas::Timestamp;
use transport::{Memory, Publisher, Record, Transport};

use super::*;

/// Just after the `number`th submission.
fn after_submission(history: &History, number: usize) -> Timestamp {
    let submitted = history.records.iter().filter(|(role, _)| *role == Role::Stage(Stage::Preprocess));
    let at = submitted.map(|(_, received)| received.timestamp_ms.unwrap()).nth(number).unwrap();
    Timestamp::from_unix_millis(at + 1)
}

fn submit_all(history: &mut History, count: usize) {
    for number in 0..count {
        history.submit(Submission::new(&format!("job-{number}"), Some("k")));
    }
    history.work();
}

#[test]
fn what_was_submitted_before_the_point_is_not_unasked() {
    let mut history = History::new();
    submit_all(&mut history, 6);
    let since = after_submission(&history, 2);
    let before = |received: &Received| received.timestamp_ms.unwrap() < since.unix_micros() / 1000;
    history.records.retain(|(role, received)| *role != Role::Stage(Stage::Preprocess) || !before(received));
    assert_eq!(history.reconcile().faults_by_kind[&FaultKind::Unasked], 3);
    history.options.since = Some(since.clone());
    let report = holds(&history);
    assert_eq!((report.jobs, report.unproven), (3, 3));
    // The same of topics that have lost records, where a result may be gone as well.
    history.options.since = None;
    history.options.gone = Gone { any: true, jobs_until: Some(since), dead_letters_until: None };
    assert_eq!(holds(&history).unproven, 3);
}

#[test]
fn what_was_lost_after_the_point_is_told() {
    let mut history = History::new();
    submit_all(&mut history, 6);
    history.options.since = Some(after_submission(&history, 2));
    history.remove(Role::Results, 4);
    assert_eq!(told(&history.reconcile()), [(FaultKind::Lost, "job-4")]);
}

#[test]
fn purged_dead_letters_are_not_missed() {
    let mut history = History::new();
    let failing = Course { fails: Some((Stage::Preprocess, FailureCode::InvalidInput)), ..Course::default() };
    history.submit(Submission { course: failing, ..Submission::new("a", None) });
    history.work();
    history.remove(Role::DeadLetters, 0);
    history.options.gone.dead_letters_until = Some(Timestamp::now());
    assert_eq!(holds(&history).unproven, 1);
}

#[tokio::test]
async fn a_transport_is_read_to_a_fixed_end() {
    let transport = Memory::new();
    let mut history = History::healthy(80, 1);
    for role in Role::DOWNSTREAM_FIRST {
        transport.create_topic(role.topic(&history.options.topics), 4);
    }
    let publisher = transport.publisher().await.unwrap();
    for (_, received) in &history.records {
        publisher.publish(vec![received.record.clone()]).await.unwrap();
    }
    // Records without a key lie elsewhere than in the simulation, and so do jobs that are known by their place.
    history.options.partitions.clear();
    let plan = Plan { committed: history.progress(), ..Plan::default() };
    let report = run(&transport, history.options.clone(), &plan).await.unwrap();
    assert_eq!(report.records, history.records.len() as u64);
    assert!(report.jobs > 0 && report.partitions_are_right());
    // One that comes later is not part of it.
    let end = transport.records(&history.options.topics.results).len();
    publisher.publish(vec![Record::new(&*history.options.topics.results, "stray")]).await.unwrap();
    let plan = Plan { absent: vec![Role::DeadLetters], ..plan };
    let report = run(&transport, history.options.clone(), &plan).await.unwrap();
    assert_eq!(report.terminal, end as u64);
    assert_eq!(report.faults_by_kind[&FaultKind::Undecodable], 1);
}

impl Report {
    fn partitions_are_right(&self) -> bool {
        !self.faults.iter().any(|fault| fault.why.contains("belongs into partition"))
    }
}
