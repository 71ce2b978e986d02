//! The whole way: a producer and three stages, each a process of its own, and 20,000 jobs.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Result;
use tests::setting::Load;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, Verdict, contract, digits, python, turn};

use crate::{RUN, expect_all_committed, figures, rate};

const JOBS: usize = 20_000;

#[tokio::test]
async fn every_job_of_20_000_is_answered_once_rightly_and_in_order() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "journey").await?;
    let workers = setting.workers(Stages::Apart).await?;

    let start = Instant::now();
    setting.submit(Load::of(JOBS))?.finish(RUN).await?;
    let journal = setting.journal()?;
    assert_eq!(journal.jobs.len(), JOBS);
    setting.results_of(JOBS, RUN).await?;
    let took = rate(JOBS, start);
    let mut memory = Vec::new();
    for worker in &workers {
        memory.push(worker.process().peak_memory_mib()?);
    }
    stop_all(workers).await?;

    let (results, reference) = (setting.results().await?, setting.reference().await?);
    let verdict = Verdict::of(&journal, &results, &reference);
    figures("20,000 jobs, a process per stage", &format!("{verdict}; {took}; peak memory {memory:?} MiB"));
    verdict.expect_exactly_once();

    let jobs: HashMap<&str, _> = journal.jobs.iter().map(|job| (job.id.as_str(), job)).collect();
    let faults = results.iter().flat_map(|result| {
        let job = jobs[result.id.as_deref().expect("the verdict found no strangers")];
        contract::faults(&journal, job, result, &reference)
    });
    let faults: Vec<String> = faults.collect();
    assert!(
        faults.is_empty(),
        "{} departures from the contract, such as {:#?}",
        faults.len(),
        &faults[..faults.len().min(5)]
    );
    assert!(setting.dead_letters().await?.is_empty());
    expect_all_committed(&setting, &["preprocess", "inference", "postprocess"]).await
}

#[tokio::test]
async fn jobs_in_every_form_are_answered() -> Result<()> {
    let _turn = turn().await;
    for form in ["payload", "tensor"] {
        let setting = Setting::new(Broker::shared().await?, form).await?;
        let workers = setting.workers(Stages::Apart).await?;
        setting.submit(Load { jobs: 500, form, rate: 0, held: false })?.finish(RUN).await?;
        let verdict = crate::judge(&setting, &setting.journal()?).await?;
        figures(&format!("jobs as {form}"), &verdict.to_string());
        stop_all(workers).await?;
        verdict.expect_exactly_once();
    }
    Ok(())
}

#[tokio::test]
async fn results_can_be_json() -> Result<()> {
    let _turn = turn().await;
    let broker = Broker::shared().await?;
    let setting = Setting::new(broker, "json").await?;
    setting.edit(|config| {
        config.replace("model = \"digits\"\npreprocess", "model = \"digits\"\nresults = \"json\"\npreprocess")
    })?;
    let workers = setting.workers(Stages::Fused).await?;
    setting.submit(Load::of(500))?.finish(RUN).await?;
    let verdict = crate::judge(&setting, &setting.journal()?).await?;
    figures("results as OIP JSON", &verdict.to_string());
    verdict.expect_exactly_once();
    let results = setting.results().await?;
    let told = |header: &(String, Option<String>)| {
        header.0 == "content-type" && header.1.as_deref() == Some("application/json")
    };
    assert!(results.iter().all(|result| result.headers.iter().any(told)), "a result is not said to be JSON");
    stop_all(workers).await
}

#[tokio::test]
async fn a_python_program_that_knows_only_the_contract_submits_and_reads() -> Result<()> {
    let _turn = turn().await;
    let setting = Setting::new(Broker::shared().await?, "example").await?;
    let workers = setting.workers(Stages::Apart).await?;
    let file = |name: &str| digits().join(name).display().to_string();
    let files = [file("images/0000.png"), file("images/0003.png"), file("labels.txt")];
    let arguments = [&[setting.brokers().to_owned(), setting.topics()], &files[..]].concat();
    let said = python::run(setting.folder(), "example.py", &arguments).await?;
    figures("example.py", &said.replace('\n', "; "));
    let answers: Vec<&str> = said.lines().collect();
    assert_eq!(answers.len(), 3, "{said}");
    let expected =
        [(&files[0], "0 ("), (&files[1], "3 ("), (&files[2], "failed in preprocess: undecodable: ")];
    for (file, answer) in expected {
        let line = format!("{file}: {answer}");
        assert!(answers.iter().any(|said| said.starts_with(&line)), "no line {line} in {said}");
    }
    stop_all(workers).await
}
