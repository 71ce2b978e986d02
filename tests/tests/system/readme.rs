//! The README's commands, typed in its order. A command that is added there and not here fails the test.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tests::process::Signal;
use tests::wait::until;
use tests::{Broker, Process, repository, turn};

use crate::figures;

const START: Duration = Duration::from_secs(60);
/// `make demo` builds where nothing is built yet.
const BUILD: Duration = Duration::from_secs(600);

/// The lines of the README's `sh` blocks.
fn commands() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(repository().join("README.md"))?;
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    Ok(blocks.flat_map(str::lines).map(ToOwned::to_owned).collect())
}

/// The files and folders that a document names, in backticks or as links; names of topics and headers have no slash.
fn paths(document: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(repository().join(document))?;
    let in_backticks = text.split('`').skip(1).step_by(2);
    let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let is_path =
        |word: &str| word.contains('/') && !word.contains(char::is_whitespace) && !word.contains(':');
    let made =
        |word: &str| word.starts_with('/') || word.starts_with("target/") || word.starts_with("image/");
    let words =
        in_backticks.chain(linked).filter(|word| is_path(word) && !made(word) && *word != "text/plain");
    Ok(words.map(ToOwned::to_owned).collect())
}

#[test]
fn every_path_that_the_documents_name_exists() -> Result<()> {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let paths = paths(document)?;
        assert!(!paths.is_empty(), "{document} names no file at all?");
        let missing: Vec<_> = paths.iter().filter(|path| !repository().join(path).exists()).collect();
        assert!(missing.is_empty(), "{document} names what is not there: {missing:?}");
    }
    Ok(())
}

/// A line as a shell runs it at the top of the repository, with the binary under test.
fn shell(line: &str, brokers: &str) -> Command {
    let binary = tests::binary::path().display().to_string();
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("exec {}", line.replace("target/release/millstream", &binary))])
        .current_dir(repository())
        .env("MILLSTREAM__KAFKA__BROKERS", brokers)
        .env("MILLSTREAM__WORKER__HTTP", "127.0.0.1:0");
    command
}

#[tokio::test]
async fn every_command_of_the_readme_works() -> Result<()> {
    let _turn = turn().await;
    let folder = tempfile::tempdir()?;
    let broker = Broker::single()?;
    let began = Instant::now();
    let mut dev: Option<(Process, String)> = None;
    for (number, line) in commands()?.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = format!("line-{number}");
        // Until `dev` is left, its broker is the one that the commands talk to; then the reader's own Kafka.
        let brokers = dev.as_ref().map_or(broker.bootstrap(), |(_, address)| address.as_str()).to_owned();
        let start = || Process::start(&name, folder.path(), &mut shell(line, &brokers));
        match words.as_slice() {
            ["make", "demo"] => {
                let out = start()?.finish(BUILD).await.context("make demo")?;
                assert!(out.contains("accuracy") && out.contains("BROKEN INPUT"), "{out}");
            }
            ["export", "MILLSTREAM__KAFKA__BROKERS=127.0.0.1:PORT"] => {
                assert!(dev.is_some(), "dev comes first")
            }
            [_, "dev"] => {
                let mut process = start()?;
                let address = until("dev prints its address", START, async || {
                    assert!(process.is_running()?, "dev ended: {}", process.stderr()?);
                    Ok(process.stdout()?.lines().next().map(ToOwned::to_owned))
                })
                .await?;
                dev = Some((process, address));
            }
            [_, "submit", "digits", .., "--wait"] => {
                let out = start()?.finish(START).await?;
                assert_eq!(out.matches("0000.png").count() + out.matches("0001.png").count(), 2, "{out}");
            }
            [_, "results", "digits"] => {
                let out = start()?.finish(START).await?;
                assert!(out.lines().count() >= 2, "{out}");
            }
            [_, "validate"] => {
                // From here on the README talks of the reader's own Kafka.
                if let Some((mut process, _)) = dev.take() {
                    process.signal(Signal::INT)?;
                    process.wait(START).await?;
                }
                assert!(start()?.finish(START).await?.contains("valid"));
            }
            [_, "topics", "apply"] => assert!(start()?.finish(START).await?.contains("created")),
            [_, "worker", ..] => {
                let mut worker = start()?;
                until("the worker has its partitions", START, async || {
                    assert!(worker.is_running()?, "the worker ended: {}", worker.stderr()?);
                    Ok(worker.stderr()?.contains("partitions assigned").then_some(()))
                })
                .await?;
                worker.signal(Signal::TERM)?;
                assert!(worker.wait(START).await?.success(), "{}", worker.stderr()?);
            }
            [_, "dead-letters", "list", "digits", ..] => {
                assert!(start()?.finish(START).await?.contains("dead letters"));
            }
            [_, "dead-letters", "replay", "digits", ..] => {
                assert!(start()?.finish(START).await?.contains("0 of 0 dead letters"));
            }
            [_, "reconcile", "digits"] => assert!(start()?.finish(START).await?.contains("lost")),
            _ => panic!("the README has a command that this test does not know: {line}"),
        }
    }
    figures("readme", &format!("{} lines in {:.1} s", commands()?.len(), began.elapsed().as_secs_f64()));
    Ok(())
}
