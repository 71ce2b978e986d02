//! The contract holds for an implementation that knows the SPEC and none of this crate: `verify.py`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod mutate;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use mutate::{Random, mutate};
use schemas::{
    DecodeError, Encoding, Headers, Limits, MessageKind, decode_job, decode_outcome, encode_job,
    encode_outcome,
};
use serde_json::{Value, json};

#[test]
fn python_agrees_with_every_vector() {
    assert!(verify(&[]).contains("vectors hold"));
}

/// Records that went wrong on the way are read alike here and there: accepted as the same message, or refused.
#[test]
fn python_agrees_with_mutated_records() {
    const RECORDS: usize = 6000;
    let vectors = vectors();
    let mut random = Random(0x7079);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutated-records.jsonl");
    let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    for _ in 0..RECORDS {
        let vector = random.pick(&vectors);
        let mut body = vector.body.clone();
        for _ in 0..=random.below(2) {
            let donor = random.pick(&vectors);
            mutate(&mut body, &mut random, &donor.body);
        }
        let body = Bytes::from(body);
        let (written, code) = match read_and_write(vector, &body) {
            Ok(written) => (Some(hex(&written)), None),
            Err(error) => (None, Some(error.code)),
        };
        let content_type = vector.headers.content_type.as_deref();
        let record = json!({
            "from": vector.name, "content_type": content_type, "reads_as": vector.kind, "body": hex(&body),
            "written": written, "code": code,
        });
        writeln!(file, "{record}").unwrap();
    }
    file.into_inner().unwrap();
    let told = verify(&["--records", path.to_str().unwrap()]);
    assert!(told.contains(&format!("{RECORDS} records")), "{told}");
}

struct Vector {
    name: String,
    headers: Headers,
    kind: MessageKind,
    body: Vec<u8>,
}

/// The vectors to mutate: not the large ones, and not those of deep nesting, behind which a reader need not look for what
/// else is broken.
fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut bodies: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    bodies.retain(|path| path.extension().is_some_and(|extension| extension == "body"));
    // The folder lists its files in any order.
    bodies.sort();
    bodies
        .iter()
        .map(|path| vector(path))
        .filter(|vector| vector.body.len() < 5_000 && !vector.name.contains("deep"))
        .collect()
}

fn vector(body: &Path) -> Vector {
    let read = |ending| -> Value {
        serde_json::from_slice(&fs::read(body.with_extension(ending)).unwrap()).unwrap()
    };
    let headers = read("headers.json");
    let pairs = headers.as_array().unwrap().iter();
    let pairs =
        pairs.filter_map(|pair| Some((pair["name"].as_str()?, Some(pair["value"].as_str()?.as_bytes()))));
    Vector {
        name: body.file_stem().unwrap().display().to_string(),
        headers: Headers::read(pairs).0,
        kind: read("expected.json")["reads_as"].as_str().unwrap().parse().unwrap(),
        body: fs::read(body).unwrap(),
    }
}

/// The message in the body, written as MessagePack.
fn read_and_write(vector: &Vector, body: &Bytes) -> Result<Bytes, DecodeError> {
    let (content_type, limits) = (vector.headers.content_type.as_deref(), Limits::default());
    let written = match vector.kind {
        MessageKind::Job => encode_job(&decode_job(content_type, body, &limits)?),
        kind => encode_outcome(&decode_outcome(kind, content_type, body, &limits)?, Encoding::MessagePack),
    };
    Ok(written.unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs the script and gives what it says, which must not be disagreement.
fn verify(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = python(root);
    let run = |arguments: &[&str]| Command::new(&python).args(arguments).current_dir(root).output();
    let has_packages = run(&["-c", "import msgpack, numpy"]).is_ok_and(|output| output.status.success());
    assert!(has_packages, "{} with msgpack and numpy is needed: run `make setup`", python.display());

    let output = run(&[&["verify.py"], arguments].concat()).unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "verify.py disagrees\n{told}{errors}");
    told.into_owned()
}

/// The interpreter named by `MILLSTREAM_PYTHON`, else the one that `make setup` installs, else any.
fn python(root: &Path) -> PathBuf {
    if let Some(named) = std::env::var_os("MILLSTREAM_PYTHON") {
        return named.into();
    }
    let installed = root.join("../target/python/bin/python");
    if installed.exists() { installed } else { "python3".into() }
}
