use schemas::{Failure, FailureCode, Headers, JobResult, Tensor};
use transport::{Offset, Partition, Position};

use super::*;

fn outcome(id: &str, outcome: Outcome) -> JobOutcome {
    JobOutcome {
        id: id.parse().unwrap(),
        outcome,
        headers: Headers { batch_id: Some("monday".to_owned()), ..Headers::default() },
        key: None,
        position: Position { partition: Partition::new("results", 1), offset: Offset::new(7) },
    }
}

fn result(id: &str) -> JobOutcome {
    let mut parameters = schemas::Parameters::new();
    TimeSheet { total_us: 12_345, ..TimeSheet::default() }.write(&mut parameters);
    let label = Tensor::from_byte_strings("label", [1], ["seven"]).unwrap();
    let score = Tensor::from_elements("score", [1], &[0.98_f32]).unwrap();
    let (model_name, model_version) = ("digits".to_owned(), "1".to_owned());
    outcome(
        id,
        Outcome::Result(JobResult { model_name, model_version, outputs: vec![label, score], parameters }),
    )
}

fn failure(id: &str) -> JobOutcome {
    let (stage, message) = ("preprocess".to_owned(), "not an\nimage".to_owned());
    let code = FailureCode::InvalidInput;
    outcome(id, Outcome::Failure(Failure { stage, code, message, attempt: 1, retriable: false }))
}

#[test]
fn rows_for_people() {
    let mut out = Vec::new();
    let mut printer = Printer::new(&mut out, Format::Table);
    printer.outcome(&result("a"), None).unwrap();
    printer.outcome(&failure("b"), None).unwrap();
    let expect = "\
ID                                    STATUS          TOTAL MS  OUTPUT
a                                     ok                  12.3  label=seven score=0.98
b                                     invalid_input          -  preprocess: not an\\nimage
";
    assert_eq!(String::from_utf8(out).unwrap(), expect);
}

#[test]
fn a_default_is_not_what_the_model_said() {
    let mut defaulted = result("a");
    defaulted.headers.set_defaulted(Some(FailureCode::Timeout));
    let mut out = Vec::new();
    Printer::new(&mut out, Format::Table).outcome(&defaulted, None).unwrap();
    Printer::new(&mut out, Format::Json).outcome(&defaulted, None).unwrap();
    let out = String::from_utf8(out).unwrap();
    let row = "a                                     defaulted           12.3  label=seven score=0.98";
    assert_eq!(out.lines().nth(1), Some(row));
    let json: serde_json::Value = serde_json::from_str(out.lines().nth(2).unwrap()).unwrap();
    assert_eq!((&json["status"], &json["headers"]["ms_defaulted"]), (&"defaulted".into(), &"timeout".into()));
}

#[test]
fn files_have_a_column_of_their_own() {
    let mut out = Vec::new();
    let mut printer = Printer::new(&mut out, Format::Table).with_files(["7.png", "1.png"]);
    printer.outcome(&result("a"), Some("7.png")).unwrap();
    let out = String::from_utf8(out).unwrap();
    let row = "a                                     7.png  ok                  12.3  label=seven score=0.98";
    assert_eq!(out.lines().nth(1), Some(row));
}

#[test]
fn a_line_of_json_for_programs() {
    let mut out = Vec::new();
    let mut printer = Printer::new(&mut out, Format::Json);
    printer.outcome(&result("a"), Some("7.png")).unwrap();
    printer.outcome(&failure("b"), None).unwrap();
    let lines: Vec<serde_json::Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["id"], &lines[0]["file"]), (&"a".into(), &"7.png".into()));
    assert_eq!(lines[1]["code"], "invalid_input");
}

/// A pipe whose reader leaves after some lines.
struct Head {
    lines: usize,
}

impl Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.lines == 0 {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.lines -= bytes.iter().filter(|byte| **byte == b'\n').count();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_left_is_noticed_and_is_no_error() {
    let mut printer = Printer::new(Head { lines: 2 }, Format::Table);
    printer.outcome(&result("a"), None).unwrap();
    assert!(printer.is_open());
    printer.outcome(&result("b"), None).unwrap();
    assert!(!printer.is_open());
    printer.outcome(&result("c"), None).unwrap();
}
