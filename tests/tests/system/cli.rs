//! What people type: each command with what it prints and how it ends.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tests::process::Signal;
use tests::worker::stop_all;
use tests::{Broker, Ended, Setting, Stages, Worker, digits, millstream, turn};

use crate::figures;

/// An address on this machine where nobody listens: port 1 needs a privilege that no test uses.
const NOBODY: &str = "127.0.0.1:1";

fn image(number: usize) -> String {
    digits().join(format!("images/{number:04}.png")).display().to_string()
}

fn json_lines(ended: &Ended) -> Result<Vec<Value>> {
    Ok(ended.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn topics_are_planned_and_applied() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::without_topics(Broker::shared().await?.bootstrap(), "topics", "")?;
    setting
        .run(&["topics", "plan"])
        .await?
        .expect_code(1)
        .expect_texts(&["missing", &setting.topic("dead-letters")]);
    setting
        .run(&["topics", "apply"])
        .await?
        .expect_code(0)
        .expect_texts(&["created", &setting.topic("preprocess")]);
    setting.run(&["topics", "plan"]).await?.expect_code(0);
    // Done twice is done once.
    setting.run(&["topics", "apply"]).await?.expect_code(0);
    let rows = setting.run(&["topics", "plan", "-o", "json"]).await?.expect_code(0);
    let planned = serde_json::from_str::<Value>(&rows.stdout)?.as_array().map(Vec::len);
    assert_eq!(planned, Some(9), "three stages, results, dead letters, three for retries, cancellations");

    setting.edit(|config| config.replace("partitions = 4", "partitions = 6\nretention_hours = 5"))?;
    let differs = setting.run(&["topics", "plan"]).await?.expect_code(1);
    differs.expect_texts(&["differs", "partitions", "retention"]);
    Ok(())
}

#[tokio::test]
async fn submit_and_results_say_what_became_of_jobs() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "submit").await?;
    let workers = setting.workers(Stages::Apart).await?;
    let broken = setting.folder().join("broken.png");
    fs::write(&broken, "no image")?;
    let broken = broken.display().to_string();

    let one = setting.run(&["submit", "digits", &image(0), &image(3), "--wait"]).await?.expect_code(0);
    let one = one.expect_texts(&["0000.png", "0003.png"]);
    figures("submit --wait", &format!("{:.1} s\n{}", one.took.as_secs_f64(), one.stdout));

    let mixed =
        ["submit", "digits", &image(0), &broken, "--wait", "-o", "json", "--batch", "mixed", "--key", "k"];
    let mixed = setting.run(&mixed).await?.expect_code(3);
    let mut answers = json_lines(&mixed)?;
    answers.sort_by_key(|answer| answer["status"].to_string());
    assert_eq!(answers.len(), 2, "{}", mixed.stdout);
    assert_eq!((&answers[0]["status"], &answers[0]["code"]), (&"failed".into(), &"undecodable".into()));
    let outputs = answers[1]["outputs"].as_array().cloned().unwrap_or_default();
    assert_eq!(outputs[0]["data"][0], "0", "{}", mixed.stdout);

    // Ids now, results later.
    let ids = setting.run(&["submit", "digits", &image(1), &image(2)]).await?.expect_code(0);
    let ids: Vec<&str> = ids.stdout.lines().collect();
    assert_eq!(ids.len(), 2);
    for id in &ids {
        let found =
            setting.run(&["results", "digits", "--follow", "--id", id, "-o", "json"]).await?.expect_code(0);
        assert_eq!(json_lines(&found)?[0]["id"], *id);
    }
    let all = setting.run(&["results", "digits", "-o", "json"]).await?.expect_code(0);
    assert_eq!(json_lines(&all)?.len(), 6);
    let batch = setting.run(&["results", "digits", "--batch", "mixed"]).await?.expect_code(0);
    batch.expect_texts(&["undecodable"]);
    setting.run(&["results", "digits", "--id", "never-submitted"]).await?.expect_code(1);

    // Tensors straight to the model, as the Open Inference Protocol writes them.
    let tensors = setting.folder().join("tensors.json");
    let input = serde_json::json!({"name": "image", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": vec![0.5; 64]});
    fs::write(&tensors, serde_json::json!({"inputs": [input]}).to_string())?;
    let tensors = tensors.display().to_string();
    setting.run(&["submit", "digits", &tensors, "--stage", "inference", "--wait"]).await?.expect_code(0);

    let missing = setting.run(&["submit", "digits", "no-such-file.png", &image(0), "--wait"]).await?;
    missing.expect_code(3).expect_texts(&["no-such-file.png"]);
    let expired = ["submit", "digits", &image(0), "--deadline", "2020-01-01T00:00:00Z", "--wait"];
    setting.run(&expired).await?.expect_code(3).expect_texts(&["expired"]);
    setting
        .run(&["submit", "no-such-pipeline", &image(0)])
        .await?
        .expect_texts(&["no-such-pipeline", "digits"]);
    stop_all(workers).await?;
    let late =
        setting.run(&["submit", "digits", &image(0), "--wait", "--timeout", "2s"]).await?.expect_code(1);
    late.expect_texts(&["worker"]);
    Ok(())
}

#[tokio::test]
async fn validate_names_file_and_line() -> Result<()> {
    let setting = Setting::without_topics(NOBODY, "validate", "")?;
    setting.run(&["validate"]).await?.expect_code(0).expect_texts(&["digits"]);
    let right = fs::read_to_string(setting.config())?;
    let line_of =
        |text: &str, part: &str| text[..text.find(part).expect("is in the text")].matches('\n').count() + 1;
    let mistakes = [
        ("partitions = 4", "partitions = 0", "partitions"),
        ("partitions = 4", "partition = 4", "partition"),
        ("partitions = 4", "partitions = \"four\"", "partitions"),
        ("partitions = 4", "partitions = 4 4", "expected"),
        ("model = \"digits\"", "model = \"letters\"", "letters"),
        ("digits.onnx", "missing.onnx", "missing.onnx"),
        ("labels.txt", "missing.txt", "missing.txt"),
        ("digits.onnx", "labels.txt", "labels.txt"),
        ("op = \"resize\", width = 8", "op = \"resize\", width = 0", "width"),
        ("op = \"resize\", width = 8", "op = \"shrink\", width = 8", "shrink"),
        ("op = \"top-k\", k = 3", "op = \"top-k\", k = 3, j = 1", "j"),
        ("format = \"json\"", "format = \"xml\"", "xml"),
    ];
    for (from, to, named) in mistakes {
        let wrong = right.replacen(from, to, 1);
        setting.edit(|_| wrong.clone())?;
        let told = setting.run(&["validate"]).await?;
        let place = format!("millstream.toml:{}:", line_of(&wrong, to));
        let printed = format!("{}{}", told.stdout, told.stderr);
        figures(&format!("validate, {to}"), printed.trim());
        assert_eq!(told.code, Some(78), "{to}: {printed}");
        assert!(printed.contains(&place), "{to}: no {place} in {printed}");
        assert!(printed.contains(named), "{to}: {named} is not named in {printed}");
    }
    Ok(())
}

#[tokio::test]
async fn the_shipped_configuration_is_valid() -> Result<()> {
    millstream(&["validate"], &[]).await?.expect_code(0).expect_texts(&["digits"]);
    Ok(())
}

#[tokio::test]
async fn without_a_broker_commands_say_so_and_what_to_do() -> Result<()> {
    let setting = Setting::without_topics(NOBODY, "nobody", "")?;
    let doctor = setting.run(&["doctor"]).await?.expect_code(69).expect_texts(&[NOBODY, "millstream dev"]);
    figures("doctor without a broker", &format!("{:.1} s\n{}", doctor.took.as_secs_f64(), doctor.stdout));
    for arguments in [&["topics", "plan"][..], &["submit", "digits", "Cargo.toml"], &["results", "digits"]] {
        let told = setting.run(arguments).await?.expect_code(69).expect_texts(&["kafka.brokers"]);
        let said = told.stderr.trim();
        figures(
            &format!("{arguments:?} without a broker"),
            &format!("{:.1} s: {said}", told.took.as_secs_f64()),
        );
    }
    Ok(())
}

#[tokio::test]
async fn doctor_names_missing_topics() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::without_topics(Broker::shared().await?.bootstrap(), "doctor", "")?;
    let missing = setting.run(&["doctor"]).await?.expect_code(1);
    missing.expect_texts(&[&setting.topic("results"), "topics apply"]);
    setting.run(&["topics", "apply"]).await?.expect_code(0);
    let well = setting.run(&["doctor", "-o", "json"]).await?.expect_code(0);
    let findings: Value = serde_json::from_str(&well.stdout)?;
    assert!(findings.as_array().is_some_and(|all| all.iter().all(|finding| finding["well"] == true)));
    Ok(())
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_wrong_configuration_with_78() -> Result<()> {
    millstream(&["submit"], &[]).await?.expect_code(2).expect_texts(&["Usage"]);
    millstream(&["worker", "--pipeline", "digits", "--stage", "middle"], &[]).await?.expect_code(2);
    millstream(&["-c", "no-such-file.toml", "validate"], &[])
        .await?
        .expect_code(78)
        .expect_texts(&["no-such-file.toml"]);
    let setting = Setting::without_topics(NOBODY, "usage", "")?;
    let worker =
        |pipeline, stage| ["worker", "--pipeline", pipeline, "--stage", stage, "--http", "127.0.0.1:0"];
    let unknown = setting.run(&worker("letters", "inference")).await?.expect_code(78);
    unknown.expect_texts(&["letters", "digits"]);
    // Stages that are not neighbours cannot be fused.
    let apart = setting.run(&worker("digits", "preprocess,postprocess")).await?;
    assert!(matches!(apart.code, Some(2 | 78)), "{apart:?}");
    let overridden =
        setting.run_with(&["validate"], &[("MILLSTREAM__TOPICS__PARTITIONS", "0")]).await?.expect_code(78);
    overridden.expect_texts(&["MILLSTREAM__TOPICS__PARTITIONS"]);
    Ok(())
}

#[tokio::test]
async fn config_and_version_are_for_programs_too() -> Result<()> {
    let schema = millstream(&["config", "schema"], &[]).await?.expect_code(0);
    let schema: Value = serde_json::from_str(&schema.stdout)?;
    for key in ["kafka", "models", "pipelines", "topics", "worker", "limits", "log", "runtime"] {
        assert!(schema["properties"][key].is_object(), "the schema has no {key}");
    }
    let environment = [("MILLSTREAM__KAFKA__BROKERS", "elsewhere:9092")];
    let shown = millstream(&["config", "show", "-o", "json"], &environment).await?.expect_code(0);
    assert_eq!(serde_json::from_str::<Value>(&shown.stdout)?["kafka"]["brokers"], "elsewhere:9092");
    let version = millstream(&["version", "-o", "json"], &[]).await?.expect_code(0);
    let version: Value = serde_json::from_str(&version.stdout)?;
    assert!(version["millstream"].is_string() && version["onnxruntime"].is_string(), "{version}");
    millstream(&["--help"], &[]).await?.expect_code(0).expect_texts(&[
        "worker",
        "submit",
        "doctor",
        "Exit codes",
    ]);
    Ok(())
}

#[tokio::test]
async fn ctrl_c_ends_a_worker_at_any_moment_of_its_start() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "interrupt").await?;
    // From before the first line of the log to after the group was joined.
    let mut took = Vec::new();
    for lines in [0, 1, 2, 3, 5] {
        let mut worker = Worker::start(&setting, "preprocess,inference,postprocess")?;
        tests::wait::until("the log has lines", Duration::from_secs(10), async || {
            Ok((worker.log()?.lines().count() >= lines || !worker.is_running()?).then_some(()))
        })
        .await
        .ok();
        let start = std::time::Instant::now();
        worker.process().signal(Signal::INT)?;
        let status = worker.wait(Duration::from_secs(20)).await?;
        took.push(start.elapsed().as_millis());
        // Before the signal is listened to, it ends the process as it ends any other.
        assert!(matches!(status.code(), Some(0 | 130) | None), "{status}: {}", worker.log()?);
    }
    figures("Ctrl-C while a worker starts", &format!("gone after {took:?} ms"));
    // One without a broker is still starting, and goes as readily.
    let alone = Setting::without_topics(NOBODY, "interrupt", "")?;
    let mut worker = Worker::start(&alone, "inference")?;
    tests::wait::until("it serves", Duration::from_secs(20), async || {
        Ok((worker.readiness().await == Some(503) || !worker.is_running()?).then_some(()))
    })
    .await?;
    if worker.is_running()? {
        worker.process().signal(Signal::INT)?;
    }
    worker.wait(Duration::from_secs(20)).await.map(drop)
}

#[tokio::test]
async fn a_slot_that_cannot_be_one_is_refused_with_what_to_do() -> Result<()> {
    let setting = Setting::without_topics(NOBODY, "slot", "")?;
    let worker = ["worker", "--pipeline", "digits", "--stage", "preprocess"];
    let typed = setting.run(&[&worker[..], &["--slot", "rack 1"]].concat()).await?.expect_code(2);
    typed.expect_texts(&["--slot", "letters, digits", "such as its pod"]);
    let set = setting.run_with(&worker, &[("MILLSTREAM__WORKER__SLOT", "rack 1")]).await?.expect_code(78);
    set.expect_texts(&["environment variable MILLSTREAM__WORKER__SLOT", "such as its pod"]);
    Ok(())
}
