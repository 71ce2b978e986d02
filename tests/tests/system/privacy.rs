//! No byte of a payload in any line of a log.

use std::fs;

use anyhow::Result;
use serde_json::Value;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, digits, python, turn};

use crate::{RUN, figures};

const MARKER: &str = "kVzqMARKERqzVk";

#[tokio::test]
async fn payloads_never_appear_in_logs() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "privacy").await?;
    setting.edit(|config| config.replace("[log]", "[log]\nlevel = \"debug\""))?;
    let workers = setting.workers(Stages::Apart).await?;
    let image = digits().join("images/0000.png").display().to_string();
    let arguments = [
        "--brokers",
        setting.brokers(),
        "--topics",
        &setting.topics(),
        "--image",
        &image,
        "--marker",
        MARKER,
    ];
    let sent: usize = python::run(setting.folder(), "marked.py", &arguments).await?.trim().parse()?;
    setting.results_of(sent, RUN).await?;

    // What people type runs through the same promise: a text as a job, waited for.
    let text = setting.folder().join("note.txt");
    fs::write(&text, MARKER)?;
    let text = text.display().to_string();
    let submitted = setting.run(&["submit", "digits", &text, "--wait"]).await?.expect_code(3);
    assert!(!submitted.stderr.contains(MARKER), "{}", submitted.stderr);

    let mut logs = String::new();
    for worker in &workers {
        logs += &worker.log()?;
    }
    stop_all(workers).await?;
    // As text, in hexadecimal, and as the numbers that a debug print of bytes makes.
    let hexadecimal: String = MARKER.bytes().map(|byte| format!("{byte:02x}")).collect();
    let numbers = format!("{:?}", MARKER.as_bytes());
    let forms = [MARKER, &hexadecimal, numbers.trim_matches(['[', ']'])];
    let leaks: Vec<&str> = logs.lines().filter(|line| forms.iter().any(|form| line.contains(form))).collect();
    let lines = logs.lines().count();
    figures(
        "payloads in logs",
        &format!("{sent} records, {lines} lines at level debug, {} with a payload", leaks.len()),
    );
    assert!(leaks.is_empty(), "{leaks:#?}");

    // The logs were not empty on the subject: a failed job can be found by its place.
    let about_a_job = |event: &Value| {
        ["job_id", "stage", "topic", "partition", "offset"].iter().all(|key| !event[key].is_null())
    };
    let events = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = events.filter(about_a_job).count();
    assert!(found > 0, "no line names job_id, stage, topic, partition and offset");
    Ok(())
}
