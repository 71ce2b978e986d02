//! Every golden vector holds for an implementation that knows the SPEC and none of this crate: `verify.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn python_agrees_with_every_vector() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = python(root);
    let run = |arguments: &[&str]| Command::new(&python).args(arguments).current_dir(root).output();
    let has_packages = run(&["-c", "import msgpack, numpy"]).is_ok_and(|output| output.status.success());
    assert!(has_packages, "{} with msgpack and numpy is needed: run `make setup`", python.display());

    let output = run(&["verify.py"]).unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "verify.py disagrees\n{told}{errors}");
    assert!(told.contains("vectors hold"), "verify.py says nothing of vectors: {told}");
}

/// The interpreter named by `MILLSTREAM_PYTHON`, else the one that `make setup` installs, else any.
fn python(root: &Path) -> PathBuf {
    if let Some(named) = std::env::var_os("MILLSTREAM_PYTHON") {
        return named.into();
    }
    let installed = root.join("../target/python/bin/python");
    if installed.exists() { installed } else { "python3".into() }
}
