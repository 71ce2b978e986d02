//! A thousand hostile records among good ones: each ends in one failure with the right code, and nobody else is hurt.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use tests::journal::{Answer, DeadLetter, HostileRecord, Reference, Terminal};
use tests::verdict::compare;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, turn};

use crate::{RUN, expect_all_committed, figures};

const HOSTILE: usize = 1_000;
const GOOD: usize = 1_000;
/// Small, so that records beyond it are cheap.
const MAX_RECORD_BYTES: usize = 256 * 1024;
/// Far below what one enormous image would take if it were believed.
const MAX_MEMORY_MIB: u64 = 400;

#[tokio::test]
async fn hostile_records_fail_one_by_one_and_their_neighbours_succeed() -> Result<()> {
    let _turn = turn().await;
    let limits = format!("[limits]\nmax_record_bytes = {MAX_RECORD_BYTES}");
    let setting = Setting::with(Broker::shared().await?, "hostile", &limits).await?;
    // Everything is there before the workers start, so that good and hostile records share their batches.
    let sent = setting.submit_hostile(HOSTILE, GOOD, MAX_RECORD_BYTES).await?;
    let mut workers = setting.workers(Stages::Apart).await?;
    setting.results_of(sent.len(), RUN).await?;
    let mut memory = Vec::new();
    for worker in &mut workers {
        assert_eq!(worker.readiness().await, Some(200), "{} suffered", worker.stage());
        memory.push(worker.process().peak_memory_mib()?);
    }
    stop_all(workers).await?;

    let (results, letters) = (setting.results().await?, setting.dead_letters().await?);
    let reference = setting.reference().await?;
    let mut faults = answer_faults(&sent, &results, &reference);
    faults.extend(letter_faults(&sent, &letters));
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for result in &results {
        if let Answer::Failure { failure } = &result.answer {
            *codes.entry(&failure.code).or_default() += 1;
        }
    }
    figures(
        "hostile records",
        &format!(
            "{} results, {} dead letters, failures {codes:?}, peak memory {memory:?} MiB, {} faults",
            results.len(),
            letters.len(),
            faults.len()
        ),
    );
    let mut by_kind: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (kind, fault) in &faults {
        by_kind.entry(kind).or_insert((0, fault)).0 += 1;
    }
    assert!(faults.is_empty(), "{by_kind:#?}");
    assert!(memory.iter().all(|mib| *mib < MAX_MEMORY_MIB), "{memory:?} MiB");
    expect_all_committed(&setting, &["preprocess", "inference", "postprocess"]).await
}

type Fault<'a> = (&'a str, String);

/// What is wrong with the terminal records, each with the kind of record that it belongs to.
fn answer_faults<'a>(
    sent: &'a [HostileRecord],
    results: &[Terminal],
    reference: &Reference,
) -> Vec<Fault<'a>> {
    let mut by_id: HashMap<&str, Vec<&Terminal>> = HashMap::new();
    for result in results {
        by_id.entry(result.id.as_deref().unwrap_or("")).or_default().push(result);
    }
    let mut faults = Vec::new();
    for record in sent {
        let answers = by_id.remove(record.id.as_str()).unwrap_or_default();
        let [answer] = answers[..] else {
            faults.push((record.kind.as_str(), format!("{} answers to {}", answers.len(), record.id)));
            continue;
        };
        if answer.key != record.key {
            faults.push((&record.kind, format!("the key became {:?}", answer.key)));
        }
        if let Err(fault) = judge(record, answer, reference) {
            faults.push((&record.kind, fault));
        }
    }
    faults.extend(by_id.into_keys().map(|id| ("not asked for", id.to_owned())));
    faults
}

fn judge(record: &HostileRecord, answer: &Terminal, reference: &Reference) -> Result<(), String> {
    match (&answer.answer, &record.image) {
        (Answer::Result { outputs, .. }, Some(image)) => compare(&reference.answers[image], outputs),
        (Answer::Result { .. }, None) => Err("succeeded".to_owned()),
        (Answer::Failure { failure }, Some(_)) => Err(format!("a good neighbour failed: {failure:?}")),
        (Answer::Failure { failure }, None) => {
            let right = record.codes.contains(&failure.code) && failure.stage == record.stage;
            let complete = failure.attempt == 1 && !failure.retriable && !failure.message.is_empty();
            if right && complete {
                Ok(())
            } else {
                Err(format!("{failure:?}, not {:?} in {}", record.codes, record.stage))
            }
        }
    }
}

/// What is wrong with the dead letters: there is one of each failed record, and it is that record byte for byte.
fn letter_faults<'a>(sent: &'a [HostileRecord], letters: &[DeadLetter]) -> Vec<Fault<'a>> {
    let place = |letter: &DeadLetter| {
        let of = |name: &str| letter.reason.get(name).cloned().flatten().unwrap_or_default();
        format!("{}/{}/{}", of("ms_error_topic"), of("ms_error_partition"), of("ms_error_offset"))
    };
    let mut by_place: HashMap<String, Vec<&DeadLetter>> = HashMap::new();
    for letter in letters {
        by_place.entry(place(letter)).or_default().push(letter);
    }
    let mut faults = Vec::new();
    for record in sent {
        let HostileRecord { kind, codes, topic, partition, offset, .. } = record;
        let letters = by_place.remove(&format!("{topic}/{partition}/{offset}")).unwrap_or_default();
        match letters[..] {
            [] if codes.is_empty() => {}
            [letter] if !codes.is_empty() => {
                if letter.original != record.original {
                    faults.push((kind.as_str(), "the dead letter is not the record as it was".to_owned()));
                }
                let reason = |name: &str| letter.reason.get(name).cloned().flatten().unwrap_or_default();
                let known =
                    codes.contains(&reason("ms_error_code")) && reason("ms_error_stage") == record.stage;
                if !known || reason("ms_error_message").is_empty() || reason("ms_error_time").is_empty() {
                    faults.push((kind, format!("the dead letter's reason is {:?}", letter.reason)));
                }
            }
            _ => faults.push((kind, format!("{} dead letters", letters.len()))),
        }
    }
    faults.extend(by_place.into_keys().map(|place| ("a dead letter of nothing", place)));
    faults
}
