//! Looking after a pipeline: its topics add up, what does not is named, and dead letters can be worked.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, turn};
use transport::{Consumer, ConsumerOptions, Event, Kafka, KafkaConfig, Progress, Transport};

use crate::{RUN, figures};

const HOSTILE: usize = 200;
const GOOD: usize = 300;
const MAX_RECORD_BYTES: usize = 256 * 1024;

/// A command's result as JSON, and its exit code.
async fn json(setting: &Setting, arguments: &[&str]) -> Result<(Value, Option<i32>)> {
    let ended = setting.run(&[arguments, &["-o", "json"]].concat()).await?;
    let value = serde_json::from_str(&ended.stdout)
        .with_context(|| format!("{arguments:?}: {}\n{}", ended.stdout, ended.stderr))?;
    Ok((value, ended.code))
}

fn count(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no count {name} in {value}"))
}

/// The verdict on the pipeline; it must hold.
async fn expect_holds(setting: &Setting, more: &[&str]) -> Result<Value> {
    let (report, code) = json(setting, &[&["reconcile", "digits"], more].concat()).await?;
    assert_eq!((code, &report["holds"]), (Some(0), &Value::Bool(true)), "{report:#}");
    assert_eq!(count(&report, "lost"), 0);
    Ok(report)
}

#[tokio::test]
async fn topics_add_up_and_dead_letters_can_be_worked() -> Result<()> {
    let _turn = turn().await;
    let limits = format!("[limits]\nmax_record_bytes = {MAX_RECORD_BYTES}");
    let setting = Setting::with(Broker::shared().await?, "operations", &limits).await?;
    let sent = setting.submit_hostile(HOSTILE, GOOD, MAX_RECORD_BYTES).await?;
    let waiting = expect_holds(&setting, &[]).await?;
    assert_eq!((count(&waiting, "jobs"), count(&waiting, "waiting")), (sent.len() as u64, sent.len() as u64));

    let workers = setting.workers(Stages::Apart).await?;
    setting.results_of(sent.len(), RUN).await?;
    stop_all(workers).await?;
    let began = Instant::now();
    let report = expect_holds(&setting, &["--apart", "--delivery", "exactly-once"]).await?;
    let took = began.elapsed();
    assert_eq!((count(&report, "jobs"), count(&report, "terminal")), (sent.len() as u64, sent.len() as u64));
    assert_eq!(count(&report, "failures"), count(&report, "dead_letters"));
    assert_eq!((count(&report, "waiting"), count(&report, "unproven")), (0, 0));
    // From a point on: nothing was submitted after now, only later stages are read from a little before.
    let later = expect_holds(&setting, &["--from", "1ms"]).await?;
    assert!(count(&later, "jobs") < count(&report, "jobs"), "{later:#}");

    let (listing, code) = json(&setting, &["dead-letters", "list", "digits", "-n", "3"]).await?;
    assert_eq!((code, listing["letters"].as_array().map(Vec::len)), (Some(0), Some(3)));
    assert_eq!(count(&listing, "matching"), count(&report, "dead_letters"));
    let undecodable = listing["by_code"]["undecodable"].as_u64().context("some cannot be decoded")?;
    let letter = &listing["letters"][0];
    let id = letter["id"].as_str().context("each has an id")?;
    let (shown, code) = json(&setting, &["dead-letters", "show", "digits", "--id", id]).await?;
    assert_eq!((code, &shown["id"], &shown["reason"]["code"]), (Some(0), &letter["id"], &letter["code"]));
    let place = format!("{}/{}", letter["partition"], letter["offset"]);
    let at = setting.run(&["dead-letters", "show", "digits", &place]).await?;
    at.expect_code(0).expect_texts(&[id, "read from"]);
    setting.run(&["dead-letters", "show", "digits", "0/999999"]).await?.expect_code(1);

    let some = ["dead-letters", "replay", "digits", "--code", "undecodable"];
    // Nobody can be asked here.
    setting.run(&some).await?.expect_code(1).expect_texts(&["-y"]);
    let (would, _) = json(&setting, &[&some[..], &["--dry-run"]].concat()).await?;
    let (replayed, code) = json(&setting, &[&some[..], &["-y"]].concat()).await?;
    assert_eq!((count(&would, "sent"), count(&would, "matching")), (count(&replayed, "sent"), undecodable));
    let skipped = replayed["skipped_letters"].as_array().map_or(0, Vec::len);
    assert_eq!(code, Some(if skipped == 0 { 0 } else { 3 }), "{replayed}");
    let again = count(&replayed, "sent");
    let workers = setting.workers(Stages::Apart).await?;
    let expected = sent.len() as u64 + again;
    tests::wait::until("the jobs that were sent again have failed again", RUN, async || {
        let (report, _) = json(&setting, &["reconcile", "digits"]).await?;
        Ok((count(&report, "terminal") == expected).then_some(()))
    })
    .await?;
    stop_all(workers).await?;
    let report = expect_holds(&setting, &["--delivery", "exactly-once"]).await?;
    assert_eq!((count(&report, "jobs"), count(&report, "ids")), (expected, sent.len() as u64));

    let purge = ["dead-letters", "purge", "digits"];
    let dead = count(&report, "dead_letters");
    let (kept, _) = json(&setting, &[&purge[..], &["--before", "1h", "-y"]].concat()).await?;
    assert_eq!((count(&kept, "deleted"), count(&kept, "kept")), (0, dead));
    let (purged, code) = json(&setting, &[&purge[..], &["-y"]].concat()).await?;
    assert_eq!((code, count(&purged, "deleted")), (Some(0), dead));
    setting.run(&["dead-letters", "list", "digits"]).await?.expect_code(0).expect_texts(&["0 dead letters"]);
    // What was deleted on purpose is not missed.
    let report = expect_holds(&setting, &[]).await?;
    assert_eq!(count(&report, "unproven"), count(&report, "failures"));
    figures(
        "operations",
        &format!(
            "{} jobs, {dead} dead letters, {again} sent again; reconciled in {:.1} s",
            sent.len(),
            took.as_secs_f64()
        ),
    );
    Ok(())
}

/// Commits everything on the stage's topic without doing anything, as no worker ever may.
async fn commit_blindly(setting: &Setting, stage: &str, records: usize) -> Result<()> {
    let config = KafkaConfig { brokers: setting.brokers().to_owned(), ..KafkaConfig::default() };
    let topic = setting.topic(stage);
    let topics = std::slice::from_ref(&topic);
    let mut consumer = Kafka::new(config)?.consumer(&topic, topics, ConsumerOptions::default()).await?;
    let mut progress = Progress::new();
    let mut seen = 0;
    while seen < records {
        let event = tokio::time::timeout(Duration::from_secs(30), consumer.next()).await?;
        if let Some(Event::Records(records)) = event {
            seen += records.len();
            records.iter().for_each(|received| progress.record(&received.position));
        }
    }
    consumer.commit(progress, "").await?;
    consumer.close().await;
    Ok(())
}

#[tokio::test]
async fn what_does_not_add_up_is_named() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "faults").await?;
    let images = tests::digits().join("images");
    let image = images.join("0000.png").display().to_string();
    setting.run(&["submit", "digits", &image, "--id", "lost-1"]).await?.expect_code(0);
    commit_blindly(&setting, "preprocess", 1).await?;
    let (report, code) = json(&setting, &["reconcile", "digits"]).await?;
    assert_eq!((code, count(&report, "lost"), count(&report, "waiting")), (Some(3), 1, 0), "{report:#}");
    let fault = &report["faults"][0];
    assert_eq!((&fault["kind"], &fault["id"]), (&"lost".into(), &"lost-1".into()));
    let place = fault["where"].as_str().context("the fault has a place")?;
    assert!(place.starts_with(&setting.topic("preprocess")), "{place}");
    setting.run(&["reconcile", "digits"]).await?.expect_code(3).expect_texts(&["lost-1", "has committed it"]);

    // A record that no worker wrote, where only results belong.
    let results = setting.topic("results");
    let elsewhere = [
        ("MILLSTREAM__PIPELINES__DIGITS__TOPICS__PREPROCESS", results.as_str()),
        ("MILLSTREAM__PIPELINES__DIGITS__TOPICS__RESULTS", "not-used"),
    ];
    setting.run_with(&["submit", "digits", &image, "--id", "stray"], &elsewhere).await?.expect_code(0);
    let (report, code) = json(&setting, &["reconcile", "digits"]).await?;
    assert_eq!(code, Some(3));
    for kind in ["lost", "unasked", "undecodable", "mismatched"] {
        assert_eq!(report["faults_by_kind"][kind], 1, "{report:#}");
    }
    setting.run(&["reconcile", "nowhere"]).await?.expect_code(1).expect_texts(&["not declared"]);
    Ok(())
}
