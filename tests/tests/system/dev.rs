//! The commands that bring their own broker: `dev`, with another process that submits, and `demo`.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tests::binary::command;
use tests::process::Signal;
use tests::wait::until;
use tests::{Process, digits, millstream, turn};

use crate::figures;

const START: Duration = Duration::from_secs(60);

#[tokio::test]
async fn dev_serves_other_processes_until_ctrl_c() -> Result<()> {
    let _turn = turn().await;
    let folder = tempfile::tempdir()?;
    let mut dev = Process::start("dev", folder.path(), &mut command(&["dev"]))?;
    let brokers = until("dev prints its address", START, async || {
        assert!(dev.is_running()?, "dev ended: {}", dev.stderr()?);
        Ok(dev.stdout()?.lines().next().map(ToOwned::to_owned))
    });
    let brokers = brokers.await?;

    let images: Vec<String> = (0..20)
        .map(|number| digits().join(format!("images/{number:04}.png")).display().to_string())
        .collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let environment = [("MILLSTREAM__KAFKA__BROKERS", brokers.as_str())];
    let submit = [&["submit", "digits", "--wait", "-o", "json", "--batch", "first"], &images[..]].concat();
    let answered = millstream(&submit, &environment).await?.expect_code(0);
    let answers: Vec<Value> = answered.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(answers.len(), images.len(), "{}", answered.stdout);
    assert!(answers.iter().all(|answer| answer["status"] == "ok"), "{}", answered.stdout);
    let found = millstream(&["results", "digits", "--batch", "first", "-o", "json"], &environment)
        .await?
        .expect_code(0);
    assert_eq!(found.stdout.lines().count(), images.len(), "{}", found.stdout);

    dev.signal(Signal::INT)?;
    let status = dev.wait(Duration::from_secs(20)).await.with_context(|| dev.stderr().unwrap_or_default())?;
    figures(
        "dev",
        &format!("20 jobs from another process in {:.1} s, ended with {status}", answered.took.as_secs_f64()),
    );
    assert!(status.success(), "{}", dev.stderr()?);
    Ok(())
}

#[tokio::test]
async fn demo_shows_a_thousand_images_and_three_failures() -> Result<()> {
    let _turn = turn().await;
    let demo = millstream(&["demo", "-o", "json"], &[]).await?.expect_code(0);
    let report: Value = serde_json::from_str(&demo.stdout)?;
    figures("demo", &format!("{:.1} s; {report}", demo.took.as_secs_f64()));
    let table = millstream(&["demo", "--jobs", "100"], &[]).await?.expect_code(0);
    figures("demo as a table", &format!("\n{}", table.stdout));
    for word in ["accuracy", "preprocess", "inference", "postprocess", "queue", "p99", "undecodable"] {
        assert!(table.stdout.to_lowercase().contains(word), "the table has no {word}: {}", table.stdout);
    }
    Ok(())
}
