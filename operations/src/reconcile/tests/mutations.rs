//! Whatever is done to one record of a healthy history is told, and the right job is named.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use schemas::RetryDelay;

use super::history::{header, result_body, set};
use super::*;

/// Something that must never happen to a record.
#[derive(Debug, Clone, Copy)]
enum Mutation {
    Drop,
    Double,
    /// Cut off its last byte.
    Truncate,
    /// Put a byte behind it.
    Append,
    /// Change one byte of a header.
    Header(&'static str),
    /// Take a header away.
    WithoutHeader(&'static str),
    /// Give it another key, where it lies.
    Key,
    /// Exchange headers, bodies or all with another record of the topic.
    SwapHeaders,
    SwapBodies,
    SwapRecords,
}

const MUTATIONS: [Mutation; 18] = [
    Mutation::Drop,
    Mutation::Double,
    Mutation::Truncate,
    Mutation::Append,
    Mutation::Header("ce_id"),
    Mutation::Header("ce_time"),
    Mutation::Header("ce_batchid"),
    Mutation::Header("ce_type"),
    Mutation::Header("ce_source"),
    Mutation::Header("ce_subject"),
    Mutation::Header("tenant"),
    Mutation::Header("ms_error_code"),
    Mutation::WithoutHeader("ce_id"),
    Mutation::WithoutHeader("tenant"),
    Mutation::Key,
    Mutation::SwapHeaders,
    Mutation::SwapBodies,
    Mutation::SwapRecords,
];

/// Does it to one record, or says why this record cannot show it.
fn mutate(history: &mut History, mutation: Mutation, at: usize, other: usize) -> Result<(), &'static str> {
    let (role, received) = history.records[at].clone();
    let outside = matches!(role, Role::Stage(_)) && header(&received, "ce_source").is_none();
    let failed = header(&received, "ce_type").is_some_and(|kind| kind.contains("failure"));
    let records = &mut history.records;
    match mutation {
        Mutation::Drop => {
            let has_led_on = matches!(role, Role::Stage(_)) && !outside;
            let id = header(&received, "ce_id");
            let same_job = |(_, record): &(Role, Received)| header(record, "ce_id") == id;
            if has_led_on && records[at + 1..].iter().any(same_job) {
                return Err("as if stages were fused");
            }
            records.remove(at);
        }
        // Whoever submits a job twice gets two answers, so a second copy that waits is only that.
        Mutation::Double if outside => return Err("submitting it again is allowed"),
        Mutation::Double => {
            let number = records[..at].iter().filter(|(of, _)| *of == role).count();
            history.double(role, number);
        }
        Mutation::Truncate | Mutation::Append => {
            // The producer's bytes are its own; what failed at decoding is not decoded.
            if outside {
                return Err("nobody can know what the producer wrote");
            }
            let mut bytes = received.record.value.clone().ok_or("no value")?.to_vec();
            if matches!(mutation, Mutation::Truncate) {
                bytes.pop().ok_or("no value")?;
            } else {
                bytes.push(0);
            }
            records[at].1.record.value = Some(bytes.into());
        }
        Mutation::Header(name) => {
            if outside && matches!(name, "ce_type" | "ce_subject" | "ce_source") {
                return Err("the producer's own word");
            }
            if role == Role::DeadLetters && matches!(name, "ce_source" | "ce_subject" | "ce_type")
                || matches!(role, Role::Retry(_)) && matches!(name, "ce_source" | "ce_subject" | "ce_type")
            {
                return Err("nothing is decided by it");
            }
            let is_back = header(&received, "ce_attempt").is_some_and(|attempt| attempt != "1");
            if name == "ce_source" && is_back && role != Role::Results {
                return Err("a job that is run again comes from whoever wrote it first");
            }
            let old = header(&received, name).ok_or("no such header")?;
            let mut bytes = old.into_bytes();
            // Within a time the last digit is the finest that counts: microseconds, and then a Z.
            let place = if name == "ce_time" { bytes.len() - 2 } else { bytes.len() - 1 };
            bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
            set(&mut records[at].1, name, &bytes);
        }
        Mutation::WithoutHeader(name) => {
            header(&received, name).ok_or("no such header")?;
            records[at].1.record.headers.retain(|header| header.name != name);
        }
        Mutation::Key => {
            records[at].1.record.key = match &received.record.key {
                Some(_) => Some(Bytes::from_static(b"somebody else")),
                None => return Err("without a key it may lie anywhere"),
            };
        }
        Mutation::SwapHeaders | Mutation::SwapBodies | Mutation::SwapRecords => {
            let of_role = |(of, record): &(Role, Received)| {
                *of == role
                    && record.record.key == received.record.key
                    && header(record, "ce_type") == header(&received, "ce_type")
                    && header(record, "ce_source") == header(&received, "ce_source")
                    && header(record, "ce_id") != header(&received, "ce_id")
            };
            let others: Vec<usize> = (0..records.len()).filter(|index| of_role(&records[*index])).collect();
            let Some(other) = others.get(other % others.len().max(1)).copied() else {
                return Err("it is alone");
            };
            if outside {
                return Err("as if they had been submitted so");
            }
            if matches!(mutation, Mutation::SwapBodies | Mutation::SwapHeaders) && failed {
                return Err("the bodies of failures are the same");
            }
            let mut swapped = (records[at].1.record.clone(), records[other].1.record.clone());
            match mutation {
                Mutation::SwapHeaders => std::mem::swap(&mut swapped.0.headers, &mut swapped.1.headers),
                Mutation::SwapBodies => std::mem::swap(&mut swapped.0.value, &mut swapped.1.value),
                _ => {
                    let keyed = received.record.key.is_some();
                    let is_result = role == Role::Results && !failed;
                    let same_way = way(records, &swapped.0) == way(records, &swapped.1);
                    if !keyed || !is_result || !same_way {
                        return Err("its order is not promised");
                    }
                    std::mem::swap(&mut swapped.0, &mut swapped.1);
                }
            }
            (records[at].1.record, records[other].1.record) = swapped;
        }
    }
    Ok(())
}

/// The topics that a job went over, and how often.
fn way(records: &[(Role, Received)], of: &transport::Record) -> Vec<Role> {
    let id = |record: &transport::Record, at: &Received| {
        let found = record.headers.iter().find(|header| header.name == "ce_id");
        found.map_or_else(|| at.position.to_string().into(), |header| header.value.clone().unwrap())
    };
    let (_, any) = &records[0];
    let wanted: Bytes = id(of, any);
    records.iter().filter(|(_, r)| id(&r.record, r) == wanted).map(|(role, _)| *role).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_global_rejects: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn any_single_mutation_is_reported(
        seed in 0..8_u32,
        mutation in 0..MUTATIONS.len(),
        at in any::<Index>(),
        other in any::<usize>(),
    ) {
        let mut history = History::healthy(40, seed);
        history.options.delivery = Delivery::ExactlyOnce;
        let healthy = history.reconcile();
        prop_assert!(healthy.holds, "{:#?}", healthy.faults);
        let at = at.index(history.records.len());
        let before = history.records[at].clone();
        let allowed = mutate(&mut history, MUTATIONS[mutation], at, other);
        prop_assume!(allowed.is_ok());
        let report = history.reconcile();
        let is_told = !report.holds || (report.jobs, report.waiting) != (healthy.jobs, healthy.waiting);
        prop_assert!(is_told, "{:?} of {:?} {:?} was not told", MUTATIONS[mutation], before.0, before.1);
    }
}

/// One healthy job of each course, and what is said when something is done to its record.
fn check(course: Course, role: Role, change: impl FnOnce(&mut History), expect: &[FaultKind]) {
    let mut history = History::new();
    history.options.delivery = Delivery::ExactlyOnce;
    history.options.apart = true;
    history.submit(Submission::new("before", Some("k")));
    history.submit(Submission { course, ..Submission::new("job-1", Some("k")) });
    history.submit(Submission::new("after", Some("k")));
    history.work();
    holds(&history);
    let number = history.records.iter().filter(|(of, _)| *of == role);
    let number =
        number.take_while(|(_, received)| header(received, "ce_id").as_deref() != Some("job-1")).count();
    let of_job = history.place(role, number);
    change(&mut history);
    let report = history.reconcile();
    let found: Vec<_> =
        report.faults.iter().filter(|fault| fault.id == "job-1").map(|fault| fault.kind).collect();
    assert_eq!(found, expect, "{role:?} at {of_job}: {:#?}", report.faults);
    let others = report.faults.iter().filter(|fault| fault.id != "job-1").count();
    assert_eq!(others, 0, "{:#?}", report.faults);
}

#[test]
fn each_loss_names_the_job_and_where_it_was_last_seen() {
    let failing = Course { fails: Some((Stage::Inference, FailureCode::ModelError)), ..Course::default() };
    let retried = Course { retries: 1, ..Course::default() };
    let stage = Role::Stage(Stage::Inference);
    let drop = |role: Role| move |history: &mut History| history.remove(role, 1);
    check(Course::default(), Role::Results, drop(Role::Results), &[FaultKind::Lost]);
    check(Course::default(), stage, drop(stage), &[FaultKind::Skipped]);
    check(
        failing,
        Role::DeadLetters,
        |h| h.remove(Role::DeadLetters, 0),
        &[FaultKind::FailureWithoutDeadLetter],
    );
    let retry = Role::Retry(RetryDelay::FiveSeconds);
    // It came back without having been sent.
    check(retried, retry, |h| h.remove(retry, 0), &[FaultKind::Lost, FaultKind::Repeated]);
    // It was sent and did not come back.
    check(retried, retry, |h| h.remove(stage, 3), &[FaultKind::Lost, FaultKind::Repeated]);
}

#[test]
fn each_double_names_the_job() {
    let failing = Course { fails: Some((Stage::Inference, FailureCode::ModelError)), ..Course::default() };
    let double = |role: Role| move |history: &mut History| history.double(role, 1);
    check(Course::default(), Role::Results, double(Role::Results), &[FaultKind::Repeated]);
    let stage = Role::Stage(Stage::Postprocess);
    check(Course::default(), stage, double(stage), &[FaultKind::Repeated]);
    check(failing, Role::DeadLetters, |h| h.double(Role::DeadLetters, 0), &[FaultKind::Repeated]);
}

#[test]
fn damage_names_the_job() {
    let of_results =
        |change: fn(&mut Received)| move |history: &mut History| history.change(Role::Results, 1, change);
    let check = |change: fn(&mut Received), expect| {
        check(Course::default(), Role::Results, of_results(change), &[expect]);
    };
    check(|received| received.record.value = None, FaultKind::Undecodable);
    check(|received| received.record.value = Some(Bytes::from_static(b"\x81")), FaultKind::Undecodable);
    check(|received| set(received, "ce_type", b"dev.millstream.result.v2"), FaultKind::Undecodable);
    check(|received| set(received, "tenant", b"t9"), FaultKind::Mismatched);
    check(|received| set(received, "ce_batchid", b"tuesday"), FaultKind::Mismatched);
    check(|received| set(received, "ce_source", b"/somebody"), FaultKind::Mismatched);
    check(|received| received.record.key = None, FaultKind::Mismatched);
    check(|received| received.position.partition.index ^= 1, FaultKind::Mismatched);
    // The body of a job that was submitted long before: its time sheet does not fit.
    check(
        |received| received.record.value = Some(result_body(received, 0, 60_000_000)),
        FaultKind::Mismatched,
    );
}

#[test]
fn results_of_one_key_in_another_order_are_told() {
    let mut history = History::new();
    for id in ["a", "b", "c"] {
        history.submit(Submission::new(id, Some("k")));
    }
    history.work();
    let (first, second) = (history.place(Role::Results, 0), history.place(Role::Results, 1));
    let position = |history: &History, number| {
        history
            .records
            .iter()
            .filter(|(role, _)| *role == Role::Results)
            .nth(number)
            .unwrap()
            .1
            .position
            .clone()
    };
    let (one, two) = (position(&history, 0), position(&history, 1));
    history.change(Role::Results, 0, |received| received.position = two);
    history.change(Role::Results, 1, |received| received.position = one);
    let report = history.reconcile();
    assert_eq!(told(&report), [(FaultKind::OutOfOrder, "b")], "{first} {second}");
    assert_eq!(report.faults[0].r#where, first);
}
