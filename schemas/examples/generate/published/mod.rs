//! Everything that is published, as paths below the crate and contents.

mod asyncapi;
mod json_schemas;
pub(crate) mod vectors;

use std::collections::BTreeMap;

use serde::Serialize;

/// The folders that hold generated files and nothing else.
pub(crate) const FOLDERS: [&str; 2] = ["json", "vectors"];

/// Every generated file.
pub(crate) fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::from([("asyncapi.json".to_owned(), pretty(&asyncapi::document()))]);
    for (name, schema) in json_schemas::all() {
        files.insert(format!("json/{name}.schema.json"), pretty(&schema));
    }
    for vector in vectors::all() {
        let path = |ending: &str| format!("vectors/{}.{ending}", vector.name);
        files.insert(path("body"), vector.body.clone());
        files.insert(path("headers.json"), pretty(&vector.headers_json()));
        files.insert(path("expected.json"), pretty(&vector.expected_json()));
    }
    for vector in vectors::cancellations::all() {
        let path = |ending: &str| format!("vectors/{}.{ending}", vector.name);
        files.insert(path("headers.json"), pretty(&vector.headers_json()));
        files.insert(path("expected.json"), pretty(&vector.expected_json()));
    }
    files
}

/// JSON with its keys sorted, whatever features of serde_json the build has switched on.
fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut value = serde_json::to_value(value).expect("these values have a form in JSON");
    value.sort_all_objects();
    format!("{value:#}\n").into_bytes()
}
