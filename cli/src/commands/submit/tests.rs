use std::path::Path;

use clap::Parser;
use producer::{Client, ClientOptions};
use schemas::{Encoding, Failure, FailureCode, Headers, JobResult, MessageKind, Parameters};
use transport::{Header, Memory, Publisher, Record, Transport};

use super::*;
use crate::args::{Command, Format};
use crate::exit::Exit;

const JOBS: &str = "millstream.digits.preprocess";
const RESULTS: &str = "millstream.digits.results";

fn parse(words: &[&str]) -> Result<SubmitArgs, clap::Error> {
    let all = ["millstream", "submit", "digits"].into_iter().chain(words.iter().copied());
    match Args::try_parse_from(all)?.command {
        Command::Submit(args) => Ok(args),
        _ => panic!("another command"),
    }
}

/// A folder with some files, and a pipeline in memory.
struct Scene {
    folder: tempfile::TempDir,
    memory: Memory,
}

impl Scene {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let memory = Memory::new();
        for topic in [JOBS, "millstream.digits.inference", RESULTS] {
            memory.create_topic(topic, 2);
        }
        Self { folder, memory }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// What is printed, and how the command ends.
    async fn submit(&self, files: &[&str], options: &[&str]) -> (Vec<String>, Outcome) {
        let paths: Vec<String> = files.iter().map(|name| self.path(name)).collect();
        let words: Vec<&str> = paths.iter().map(String::as_str).chain(options.iter().copied()).collect();
        let args = parse(&words).unwrap();
        let inputs = input::open(&args.files, args.content_type.as_deref(), 1 << 20).await.unwrap();
        let client = Client::new(self.memory.clone(), ClientOptions::new("digits"));
        let mut out = Vec::new();
        let printer = Printer::new(&mut out, Format::Json);
        let outcome = Run { client, args: Arc::new(args), printer }.all(inputs).await;
        (String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(), outcome)
    }

    fn headers(&self, topic: &str) -> Vec<Headers> {
        let records = self.memory.records(topic);
        let read =
            |record: &Record| Headers::read(record.headers.iter().map(|h| (&*h.name, h.value.as_deref()))).0;
        records.iter().map(|received| read(&received.record)).collect()
    }
}

/// Answers so many jobs: those whose payload is `bad` with a failure.
async fn work(memory: Memory, jobs: usize) {
    while memory.records(JOBS).len() < jobs {
        tokio::task::yield_now().await;
    }
    let answer = |record: &Record| {
        let (mut headers, _) = Headers::read(record.headers.iter().map(|h| (&*h.name, h.value.as_deref())));
        let (text, name) = (|text: &str| text.to_owned(), "digits".to_owned());
        let outcome = if record.value.as_deref() == Some(b"bad") {
            let (stage, message, code) = (text("preprocess"), text("no"), FailureCode::InvalidInput);
            headers.kind = Some(MessageKind::Failure);
            schemas::Outcome::Failure(Failure { stage, code, message, attempt: 1, retriable: false })
        } else {
            headers.kind = Some(MessageKind::Result);
            let (outputs, parameters) = (Vec::new(), Parameters::new());
            schemas::Outcome::Result(JobResult {
                model_name: name,
                model_version: text("1"),
                outputs,
                parameters,
            })
        };
        headers.content_type = Some(Encoding::MessagePack.content_type().to_owned());
        let body = schemas::encode_outcome(&outcome, Encoding::MessagePack).unwrap();
        let headers = headers.write().into_iter().map(|(name, value)| Header { name, value }).collect();
        Record { headers, ..Record::new(RESULTS, body) }
    };
    let answers = memory.records(JOBS).iter().map(|received| answer(&received.record)).collect();
    memory.publisher().await.unwrap().publish(answers).await.unwrap();
}

fn field(line: &str, name: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
}

#[tokio::test]
async fn ids_are_printed_in_the_order_of_the_files() {
    let scene = Scene::new(&[("a.png", "1"), ("b.txt", "2")]);
    let (lines, outcome) = scene.submit(&["a.png", "b.txt"], &["--key", "k", "--batch", "monday"]).await;
    assert_eq!(outcome.unwrap(), Exit::Done);
    let headers = scene.headers(JOBS);
    let ids: Vec<String> = headers.iter().map(|headers| headers.id.as_ref().unwrap().to_string()).collect();
    assert_eq!(lines.iter().map(|line| field(line, "id")).collect::<Vec<_>>(), ids);
    assert_eq!(field(&lines[1], "file"), scene.path("b.txt"));
    let types: Vec<_> = headers.iter().map(|headers| headers.content_type.clone().unwrap()).collect();
    assert_eq!(types, ["image/png", "text/plain"]);
    assert!(headers.iter().all(|headers| headers.batch_id.as_deref() == Some("monday")));
    assert!(headers.iter().all(|headers| headers.source.as_deref() == Some("/millstream/producer/client")));
}

#[tokio::test]
async fn every_option_reaches_the_record() {
    let scene = Scene::new(&[("a.bin", "1")]);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traceparent = format!("traceparent={trace}");
    let mut options = vec!["--id", "mine", "--deadline", "2026-01-31T12:00:00Z", "--stage", "inference"];
    options.extend([
        "--content-type",
        "application/json",
        "--header",
        "who=me=you",
        "--header",
        &traceparent,
    ]);
    let (lines, outcome) = scene.submit(&["a.bin"], &options).await;
    assert_eq!(outcome.unwrap(), Exit::Done);
    assert_eq!(field(&lines[0], "id"), "mine");
    let [headers] = scene.headers("millstream.digits.inference").try_into().unwrap();
    assert_eq!(headers.id.unwrap().as_str(), "mine");
    assert_eq!(headers.deadline.unwrap().as_str(), "2026-01-31T12:00:00Z");
    assert_eq!(headers.content_type.as_deref(), Some("application/json"));
    assert_eq!(headers.unknown, [("who".to_owned(), Some("me=you".into()))]);
    assert_eq!(headers.traceparent.unwrap()[..35], trace[..35]);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_holds_up_no_other() {
    let scene = Scene::new(&[("a.png", "1"), ("c.png", "3")]);
    let (lines, outcome) = scene.submit(&["a.png", "missing.png", "c.png"], &[]).await;
    assert_eq!((lines.len(), outcome.unwrap()), (2, Exit::Partial));
}

#[tokio::test]
async fn results_are_waited_for() {
    let scene = Scene::new(&[("a.png", "1"), ("b.png", "bad"), ("c.png", "3")]);
    let worker = tokio::spawn(work(scene.memory.clone(), 2));
    let (lines, outcome) = scene.submit(&["a.png", "c.png"], &["--wait"]).await;
    assert_eq!(outcome.unwrap(), Exit::Done);
    assert!(lines.iter().all(|line| field(line, "status") == "ok"));
    let mut files: Vec<String> = lines.iter().map(|line| field(line, "file")).collect();
    files.sort_unstable();
    assert_eq!(files, [scene.path("a.png"), scene.path("c.png")]);
    worker.await.unwrap();

    let worker = tokio::spawn(work(scene.memory.clone(), 3));
    let (lines, outcome) = scene.submit(&["b.png"], &["--wait"]).await;
    assert_eq!(outcome.unwrap(), Exit::Partial);
    assert_eq!(field(&lines[0], "code"), "invalid_input");
    worker.await.unwrap();
}

#[tokio::test]
async fn waiting_ends_with_the_timeout() {
    let scene = Scene::new(&[("a.png", "1")]);
    let (lines, outcome) = scene.submit(&["a.png"], &["--wait", "--timeout", "50ms"]).await;
    let failure = outcome.unwrap_err();
    assert_eq!((lines.len(), failure.exit), (0, Exit::Failed));
    assert!(failure.to_string().contains("no result of 1 of 1 jobs after 0.05 s"), "{failure}");
    assert!(failure.to_string().contains(&scene.path("a.png")), "{failure}");
}

#[test]
fn wrong_usage_is_refused() {
    let check = |words: &[&str], is_right: bool| assert_eq!(parse(words).is_ok(), is_right, "{words:?}");
    check(&[], false);
    check(&["-"], true);
    check(&["a", "--timeout", "3s"], false);
    check(&["a", "--wait", "--timeout", "3"], false);
    check(&["a", "--header", "novalue"], false);
    check(&["a", "--stage", "all"], false);
    check(&["a", "--deadline", "tomorrow"], false);
    check(&["a", "--id", ""], false);
    assert_eq!(parse(&["a", "b"]).unwrap().files, [Path::new("a"), Path::new("b")]);
}
