use super::*;

const GOOD: &str = "\
[models.digits]
path = 'digits.onnx'

[pipelines.digits]
model = 'digits'
";

fn parse(text: &str) -> anyhow::Result<ConfigFile> {
    ConfigFile::parse(Path::new("etc/millstream.toml"), text.to_owned())
}

fn check_unreadable(text: &str, place: &str, mentions: &str) {
    let message = format!("{:#}", parse(text).unwrap_err());
    assert!(message.starts_with(&format!("etc/millstream.toml:{place}: ")), "{message}");
    assert!(message.contains(mentions), "{message}");
}

fn check_fault(text: &str, place: &str, mentions: &str) {
    let faults = parse(text).unwrap().check();
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let found = lines
        .iter()
        .any(|l| l.starts_with(&format!("etc/millstream.toml:{place}: ")) && l.contains(mentions));
    assert!(found, "{lines:?}");
}

#[test]
fn a_good_file_has_no_faults_and_its_paths_are_beside_it() {
    let file = parse(GOOD).unwrap();
    assert!(file.check().is_empty());
    assert_eq!(file.config.models["digits"].path, Path::new("etc/digits.onnx"));
}

#[test]
fn what_cannot_be_read_is_placed() {
    check_unreadable("[models\n", "1:8", "");
    check_unreadable("[worker]\nmax_inflight_records = 'many'\n", "2:1", "invalid type");
    check_unreadable("[worker]\nmax_inflight = 1\n", "2:1", "unknown field `max_inflight`");
    check_unreadable(
        &format!("{GOOD}preprocess = [\n  {{ op = 'resize', width = 8, height = 'x' }},\n]\n"),
        "7:3",
        "",
    );
}

#[test]
fn what_does_not_fit_together_is_placed() {
    check_fault("[pipelines.p]\n\nmodel = 'nope'\n", "3:1", "no model `nope`");
    check_fault(&format!("{GOOD}[pipelines.digits.batch]\nmax_size = 0\n"), "7:1", "at least 1");
    check_fault(
        &format!("{GOOD}preprocess = [\n  {{ op = 'resize', width = 0, height = 8 }},\n]\n"),
        "7:20",
        "pipelines.digits.preprocess[0].width",
    );
}

#[test]
fn lines_and_columns_count_characters_from_one() {
    assert_eq!(line_and_column("ab\ncd", 0), (1, 1));
    assert_eq!(line_and_column("ab\ncd", 4), (2, 2));
    assert_eq!(line_and_column("é\né=", 5), (2, 2));
}
