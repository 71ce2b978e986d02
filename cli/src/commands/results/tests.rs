use clap::Parser;
use producer::ClientOptions;
use schemas::{Encoding, Headers, JobResult, MessageKind, Parameters};
use transport::{Header, Memory, Publisher, Record};

use super::*;
use crate::args::{Args, Command, Format};

fn args(line: &str) -> ResultsArgs {
    let words = ["millstream", "results", "digits"].into_iter().chain(line.split_whitespace());
    match Args::try_parse_from(words).unwrap().command {
        Command::Results(args) => args,
        _ => panic!("another command"),
    }
}

fn record(id: &str) -> Record {
    let headers = Headers {
        id: Some(id.parse().unwrap()),
        kind: Some(MessageKind::Result),
        content_type: Some(Encoding::MessagePack.content_type().to_owned()),
        batch_id: Some(format!("batch-{id}")),
        ..Headers::default()
    };
    let (model_name, model_version) = ("digits".to_owned(), "1".to_owned());
    let result = JobResult { model_name, model_version, outputs: Vec::new(), parameters: Parameters::new() };
    let body = schemas::encode_outcome(&schemas::Outcome::Result(result), Encoding::MessagePack).unwrap();
    let headers = headers.write().into_iter().map(|(name, value)| Header { name, value }).collect();
    // One key, so that the order of the rows is that of the records.
    Record { headers, ..Record::new("millstream.digits.results", body).with_key("k") }
}

/// The ids that are printed when the topic holds these records, and how the command ends.
async fn shown(records: Vec<Record>, line: &str) -> (Vec<String>, Exit) {
    let memory = Memory::new();
    memory.create_topic("millstream.digits.results", 2);
    let client = Client::new(memory.clone(), ClientOptions::new("digits"));
    memory.publisher().await.unwrap().publish(records).await.unwrap();
    let mut out = Vec::new();
    let mut printer = Printer::new(&mut out, Format::Json);
    let exit = show(&client, &args(line), &mut printer).await.unwrap();
    let id = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
    };
    (String::from_utf8(out).unwrap().lines().map(id).collect(), exit)
}

async fn check(line: &str, expect: &[&str], exit: Exit) {
    let (ids, ended) = shown(["a", "b", "c"].map(record).to_vec(), line).await;
    assert_eq!((ids, ended), (expect.iter().map(ToString::to_string).collect(), exit), "{line}");
}

#[tokio::test]
async fn what_is_there() {
    check("", &["a", "b", "c"], Exit::Done).await;
    check("--from end", &[], Exit::Done).await;
    check("--limit 2", &["a", "b"], Exit::Done).await;
    check("-n 0", &[], Exit::Done).await;
    check("--batch batch-b", &["b"], Exit::Done).await;
    check("--id c", &["c"], Exit::Done).await;
    check("--id c --id a", &["a", "c"], Exit::Done).await;
    check("--id c --id missing", &["c"], Exit::Failed).await;
}

#[tokio::test]
async fn following_ends_when_all_has_come_that_was_asked_for() {
    check("--follow --id b", &["b"], Exit::Done).await;
    check("--follow --from beginning --limit 3", &["a", "b", "c"], Exit::Done).await;
}

#[tokio::test]
async fn repeats_are_left_out() {
    let check = async |line: &str, expect: &[&str]| {
        let (ids, exit) = shown(["a", "b", "a", "c"].map(record).to_vec(), line).await;
        assert_eq!((ids, exit), (expect.iter().map(ToString::to_string).collect(), Exit::Done), "{line}");
    };
    check("", &["a", "b", "c"]).await;
    check("--repeats", &["a", "b", "a", "c"]).await;
    check("--id a", &["a"]).await;
    check("--id a --repeats", &["a", "a"]).await;
    check("--limit 3", &["a", "b", "c"]).await;
    check("--follow --from beginning --limit 3 --repeats", &["a", "b", "a"]).await;
    check("--follow --id a", &["a"]).await;
}

#[tokio::test]
async fn a_job_that_was_replayed_comes_with_both() {
    let replayed = record("a").with_header("ms_replay_count", "1");
    let (ids, exit) = shown(vec![record("a"), replayed.clone(), replayed], "--id a").await;
    assert_eq!((ids.len(), exit), (2, Exit::Done));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_by_the_exit_code() {
    let broken = Record { value: None, ..record("b") };
    let (ids, exit) = shown(vec![record("a"), broken.clone(), record("c")], "").await;
    assert_eq!((ids.len(), exit), (2, Exit::Partial));
    let (ids, exit) = shown(vec![broken], "--follow --id b").await;
    assert_eq!((ids.len(), exit), (0, Exit::Partial));
}

#[test]
fn where_it_begins() {
    let check = |line: &str, expect: ReadFrom| assert_eq!(args(line).from(), expect, "{line}");
    check("", ReadFrom::Beginning);
    check("--follow", ReadFrom::End);
    check("--follow --id a", ReadFrom::Beginning);
    check("--follow --batch a", ReadFrom::Beginning);
    check("--follow --batch a --from end", ReadFrom::End);
}
