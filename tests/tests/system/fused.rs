//! One process for all three stages gives what three processes give.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;
use tests::journal::{Answer, Journal};
use tests::setting::Load;
use tests::worker::stop_all;
use tests::{Broker, Setting, Stages, Terminal, turn};

use crate::{RUN, expect_all_committed, figures, judge};

const JOBS: usize = 2_000;

/// What a job came to, apart from times and from how it travelled.
fn answers(journal: &Journal, results: &[Terminal]) -> BTreeMap<(Option<String>, u64), String> {
    let answer = |result: &Terminal| match &result.answer {
        Answer::Result { outputs, model, .. } => {
            serde_json::to_string(&(outputs, model)).expect("both are JSON")
        }
        Answer::Failure { failure } => format!("{failure:?}"),
    };
    let of: BTreeMap<&str, String> =
        results.iter().map(|result| (result.id.as_deref().unwrap_or(""), answer(result))).collect();
    journal.jobs.iter().map(|job| ((job.key.clone(), job.sequence), of[job.id.as_str()].clone())).collect()
}

/// Headers that do not depend on the job or the moment.
fn provenance(result: &Terminal) -> BTreeMap<&str, Option<&str>> {
    const MINE: [&str; 4] = ["ce_id", "ce_time", "traceparent", "x-"];
    let headers = result.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
    headers.filter(|(name, _)| !MINE.iter().any(|mine| name.starts_with(mine))).collect()
}

#[tokio::test]
async fn fused_stages_answer_as_separate_ones() -> Result<()> {
    let _turn = turn().await;
    let mut runs = Vec::new();
    for stages in [Stages::Apart, Stages::Fused] {
        let setting = Setting::new(Broker::shared().await?, "fused").await?;
        let workers = setting.workers(stages).await?;
        setting.submit(Load::of(JOBS))?.finish(RUN).await?;
        let journal = setting.journal()?;
        let verdict = judge(&setting, &journal).await?;
        figures(&format!("{stages:?}"), &verdict.to_string());
        stop_all(workers).await?;
        verdict.expect_exactly_once();
        let results = setting.results().await?;
        if stages == Stages::Fused {
            expect_all_committed(&setting, &["preprocess"]).await?;
            for skipped in ["inference", "postprocess"] {
                assert_eq!(setting.uncommitted(skipped).await?, 0, "fused stages wrote to {skipped}");
            }
            let timed = |result: &&Terminal| match &result.answer {
                Answer::Result { parameters, .. } => parameters["inference_us"].as_u64() > Some(0),
                Answer::Failure { .. } => false,
            };
            assert_eq!(
                results.iter().filter(timed).count(),
                JOBS,
                "a fused stage has its own time on the sheet"
            );
        }
        runs.push((
            answers(&journal, &results),
            provenance(&results[0]).into_iter().map(owned).collect::<Vec<_>>(),
        ));
    }
    assert!(runs[0].0 == runs[1].0, "the answers differ");
    assert_eq!(runs[0].1, runs[1].1);
    Ok(())
}

fn owned((name, value): (&str, Option<&str>)) -> (String, Value) {
    (name.to_owned(), value.into())
}
