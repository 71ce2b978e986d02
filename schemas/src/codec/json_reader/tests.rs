use proptest::prelude::*;

use super::*;

/// Whether the whole text is one JSON value, as this reader sees it.
fn accepts(text: &[u8]) -> bool {
    let Ok(mut reader) = JsonReader::new(text) else { return false };
    reader.skip().is_ok() && reader.end().is_ok()
}

fn check(text: &str, expect: bool) {
    assert_eq!(accepts(text.as_bytes()), expect, "{text}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(text).is_ok(), expect, "{text}");
}

#[test]
fn grammar() {
    for good in
        ["{}", "[]", " [ 1 , -0.5e+3 ] ", r#"{"a":{"b":[null,true,false,"\u00e9\n"]},"a":0}"#, "0", "\"é\""]
    {
        check(good, true);
    }
    for bad in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "-",
        "nul",
        "truex",
        "\"a",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\n\"",
        "[]]",
        "1 2",
        "{\"a\":}",
        "[,1]",
        "NaN",
        "'a'",
        "\u{feff}1",
    ] {
        check(bad, false);
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(accepts(&nested(MAX_DEPTH)));
    assert!(!accepts(&nested(MAX_DEPTH + 1)));
    assert!(!accepts(&vec![b'['; 1_000_000]));
}

#[test]
fn a_body_is_searched_for_a_key() {
    let check = |text: &str, expect: Option<bool>| {
        let found = JsonReader::new(text.as_bytes()).and_then(|reader| reader.is_object_with("inputs")).ok();
        assert_eq!(found, expect, "{text}");
    };
    check(r#"{"inputs": 1"#, Some(true));
    check(r#"{"id": [{}], "inp\u0075ts": null}"#, Some(true));
    check(r#"{"id": {"inputs": 1}}"#, Some(false));
    check(r#"["inputs"]"#, Some(false));
    check("{}", Some(false));
    check(r#"{"id": 1"#, None);
    check("[] x", None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn accepts_what_serde_json_accepts(text in r#"[\[\]{},:"\\0-9.eE+\-truefalsn \t/u]{0,14}"#) {
        let serde = serde_json::from_str::<serde_json::Value>(&text);
        // serde_json refuses numbers beyond a double while it reads them; here that depends on what is asked for.
        let out_of_range = serde.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        prop_assert_eq!(accepts(text.as_bytes()), serde.is_ok() || out_of_range, "{}", text);
    }
}
