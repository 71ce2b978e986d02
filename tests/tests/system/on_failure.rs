//! What a pipeline declares for jobs that fail, stage by stage, is what becomes of them; and its topics add up by it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tests::journal::{Answer, HostileRecord, Terminal};
use tests::verdict::compare;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, Worker, turn};

use crate::{RUN, expect_all_committed, figures};

const HOSTILE: usize = 300;
const GOOD: usize = 100;
const MAX_RECORD_BYTES: usize = 256 * 1024;

const DECLARED: &str = "
[pipelines.digits.on_failure]
preprocess = { default = [{ name = \"label\", datatype = \"BYTES\", shape = [1], data = [\"unknown\"] }] }
inference = \"skip\"
";

async fn reconciled(setting: &Setting) -> Result<Value> {
    let ended = setting.run(&["reconcile", "digits", "--delivery", "exactly-once", "-o", "json"]).await?;
    let report: Value = serde_json::from_str(&ended.expect_code(0).stdout)?;
    assert_eq!((&report["holds"], &report["lost"]), (&true.into(), &0.into()), "{report:#}");
    Ok(report)
}

#[tokio::test]
async fn failures_become_what_their_stage_declares() -> Result<()> {
    let _turn = turn().await;
    let tables = format!("{DECLARED}[limits]\nmax_record_bytes = {MAX_RECORD_BYTES}");
    let setting = Setting::with(Broker::shared().await?, "on-failure", &tables).await?;
    let sent = setting.submit_hostile(HOSTILE, GOOD, MAX_RECORD_BYTES).await?;
    let mut workers = setting.workers(Stages::Apart).await?;
    setting.results_of(sent.len(), RUN).await?;
    let series = "millstream_messages_total{outcome=\"defaulted\",pipeline=\"digits\",stage=\"preprocess\"}";
    let counted = workers[0].metrics().await?.get(series).copied();
    stop_all(workers).await?;

    let (results, reference) = (setting.results().await?, setting.reference().await?);
    let terminals: HashMap<&str, &Terminal> =
        results.iter().filter_map(|terminal| Some((terminal.id.as_deref()?, terminal))).collect();
    assert_eq!((results.len(), terminals.len()), (sent.len(), sent.len()), "one answer to each");
    let (mut defaulted, mut lettered) = (0, 0);
    for record in &sent {
        let terminal = terminals[record.id.as_str()];
        match (&record.image, is_asked_for(record), record.stage.as_str()) {
            (Some(image), ..) => {
                let Answer::Result { outputs, .. } = &terminal.answer else { panic!("{terminal:?}") };
                compare(&reference.answers[image], outputs).map_err(anyhow::Error::msg)?;
                assert_eq!(defaulted_by(terminal), None);
            }
            (None, false, "preprocess") => {
                expect_default(record, terminal);
                defaulted += 1;
            }
            (None, asked_for, stage) => {
                let Answer::Failure { failure } = &terminal.answer else { panic!("{terminal:?}") };
                assert!(record.codes.contains(&failure.code) && failure.stage == stage, "{failure:?}");
                assert_eq!(defaulted_by(terminal), None);
                lettered += usize::from(asked_for || stage == "postprocess");
            }
        }
    }
    assert!(defaulted > 0 && lettered > 0 && defaulted + lettered < HOSTILE, "{defaulted}, {lettered}");
    assert_eq!(counted, Some(defaulted as f64));
    assert_eq!(setting.dead_letters().await?.len(), lettered);
    let report = reconciled(&setting).await?;
    assert_eq!(report["defaulted"], defaulted);
    assert_eq!(report["dead_letters"], lettered);
    let failures = report["failures"].as_u64().context("failures are counted")?;
    assert_eq!(failures, (HOSTILE - defaulted) as u64);
    figures(
        "what becomes of failures",
        &format!("{HOSTILE} failed: {defaulted} defaults, {failures} failures, {lettered} dead letters"),
    );
    Ok(())
}

/// Whether its producer wanted no result of it by now.
fn is_asked_for(record: &HostileRecord) -> bool {
    record.codes.iter().any(|code| code == "expired")
}

fn defaulted_by(terminal: &Terminal) -> Option<&str> {
    let (_, code) = terminal.headers.iter().find(|(name, _)| name == "ms_defaulted")?;
    code.as_deref()
}

#[track_caller]
fn expect_default(record: &HostileRecord, terminal: &Terminal) {
    let Answer::Result { outputs, parameters, .. } = &terminal.answer else {
        panic!("{record:?}: {terminal:?}")
    };
    let code = defaulted_by(terminal).unwrap_or_default();
    assert!(record.codes.iter().any(|possible| possible == code), "{record:?}: {terminal:?}");
    assert_eq!((outputs.len(), &outputs["label"]), (1, &vec![Value::from("unknown")]));
    assert_eq!((&parameters["defaulted"], &parameters["failure_code"]), (&true.into(), &code.into()));
    assert_eq!(parameters["failure_stage"], record.stage.as_str());
    assert!(parameters["failure_message"].as_str().is_some_and(|message| !message.is_empty()));
    assert_eq!(terminal.key, record.key);
}

#[tokio::test]
async fn a_worker_stops_at_a_job_until_it_is_given_up() -> Result<()> {
    let _turn = turn().await;
    let tables = "[pipelines.digits.on_failure]\npreprocess = \"stop\"\n[worker]\nmax_crashes = 1";
    let setting = Setting::with(Broker::shared().await?, "stop", tables).await?;
    let image = tests::digits().join("images/0000.png").display().to_string();
    let broken = setting.file("broken.png");
    std::fs::write(&broken, "no image")?;
    // One key, so that they stand behind each other.
    for (id, file) in [("before", &image), ("broken", &broken), ("after", &image)] {
        setting.run(&["submit", "digits", file, "--id", id, "--key", "k"]).await?.expect_code(0);
    }
    // Every start comes to the same end; it is never taken for a crash, which would be answered after the first.
    for _ in 0..3 {
        let mut worker = Worker::start(&setting, "preprocess,inference,postprocess")?;
        let status = worker.wait(Duration::from_secs(60)).await?;
        let log = worker.log()?;
        assert_eq!(status.code(), Some(1), "{log}");
        for told in ["job broken", "undecodable", "on_failure.preprocess = ", "millstream cancel digits --id"]
        {
            assert!(log.contains(told), "{told} is not said: {log}");
        }
        assert!(!log.contains("died"), "{log}");
    }
    assert!(setting.results().await?.iter().all(|terminal| terminal.id.as_deref() == Some("before")));

    setting.run(&["cancel", "digits", "--id", "broken"]).await?.expect_code(0);
    let workers = setting.workers(Stages::Fused).await?;
    setting.results_of(3, RUN).await?;
    stop_all(workers).await?;
    let results = setting.results().await?;
    let answer =
        |id: &str| &results.iter().find(|terminal| terminal.id.as_deref() == Some(id)).expect(id).answer;
    assert!(matches!(answer("broken"), Answer::Failure { failure } if failure.code == "cancelled"));
    assert!(
        matches!(answer("before"), Answer::Result { .. }) && matches!(answer("after"), Answer::Result { .. })
    );
    assert_eq!((results.len(), setting.dead_letters().await?.len()), (3, 1));
    reconciled(&setting).await?;
    expect_all_committed(&setting, &["preprocess"]).await
}
