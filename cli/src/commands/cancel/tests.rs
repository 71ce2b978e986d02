use clap::Parser;
use clap::error::ErrorKind;
use producer::ClientOptions;
use transport::Memory;

use super::*;
use crate::args::{Args, Command};

const CANCELLATIONS: &str = "millstream.digits.cancellations";

fn parse(line: &str) -> Result<CancelArgs, ErrorKind> {
    let words = ["millstream", "cancel"].into_iter().chain(line.split_whitespace());
    match Args::try_parse_from(words).map_err(|error| error.kind())?.command {
        Command::Cancel(args) => Ok(args),
        _ => panic!("another command"),
    }
}

fn check_usage(line: &str, expect: Result<&[&str], ErrorKind>) {
    let asked = parse(line).map(|args| args.cancellations().iter().map(ToString::to_string).collect());
    assert_eq!(
        asked,
        expect.map(|lines| lines.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "{line}"
    );
}

#[test]
fn ids_or_a_batch() {
    check_usage("digits --id a", Ok(&["job a"]));
    check_usage("digits --id a b --id c", Ok(&["job a", "job b", "job c"]));
    check_usage("digits --batch monday", Ok(&["batch monday"]));
    check_usage("digits", Err(ErrorKind::MissingRequiredArgument));
    check_usage("--batch monday", Err(ErrorKind::MissingRequiredArgument));
    check_usage("digits --id a --batch monday", Err(ErrorKind::ArgumentConflict));
    check_usage("digits --batch=", Err(ErrorKind::InvalidValue));
    check_usage("digits --id=", Err(ErrorKind::ValueValidation));
}

/// What is printed, and how the command ends.
async fn run_on(memory: &Memory, line: &str, format: Format) -> (String, Outcome) {
    let client = Client::new(memory.clone(), ClientOptions::new("digits"));
    let mut out = Vec::new();
    let cancellations = parse(line).unwrap().cancellations();
    let outcome = cancel(&client, cancellations, &mut Printer::new(&mut out, format)).await;
    (String::from_utf8(out).unwrap(), outcome)
}

#[tokio::test]
async fn what_kafka_has_taken_is_printed() {
    let memory = Memory::new();
    memory.create_topic(CANCELLATIONS, 2);
    let (printed, outcome) = run_on(&memory, "digits --id a b", Format::Table).await;
    assert_eq!((printed.as_str(), outcome.unwrap()), ("a\nb\n", Exit::Done));
    let (printed, outcome) = run_on(&memory, "digits --batch monday", Format::Json).await;
    assert_eq!((printed.as_str(), outcome.unwrap()), ("{\"batch\":\"monday\"}\n", Exit::Done));
    let (printed, _) = run_on(&memory, "digits --id a", Format::Json).await;
    assert_eq!(printed, "{\"id\":\"a\"}\n");
    assert_eq!(memory.records(CANCELLATIONS).len(), 4);
}

#[tokio::test]
async fn what_is_not_taken_is_told() {
    let (printed, outcome) = run_on(&Memory::new(), "digits --id a b", Format::Table).await;
    let failure = outcome.unwrap_err();
    assert_eq!((printed.as_str(), failure.exit), ("", Exit::Failed));
    assert!(failure.to_string().contains("none of 2 cancellations was taken"), "{failure}");
}
