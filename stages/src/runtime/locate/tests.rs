use std::fs;

use super::*;

const LIBRARY: &[u8] = b"\0OrtGetApiBase\0VERS_1.24.4\0";

/// A folder tree of its own, with libraries where the test puts them.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(relative)
    }

    fn put(&self, relative: &str) -> PathBuf {
        self.put_content(relative, LIBRARY)
    }

    fn put_content(&self, relative: &str, content: &[u8]) -> PathBuf {
        let machine: u16 = if std::env::consts::ARCH == "aarch64" { 183 } else { 62 };
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
        file.extend(machine.to_le_bytes());
        file.extend(content);
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file).unwrap();
        path
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            ort_dylib_path: Some(self.path("env/libonnxruntime.so")),
            executable_folder: Some(self.path("app/bin")),
            cache_home: Some(self.path("cache")),
            virtual_environment: Some(self.path("venv")),
            home: Some(self.path("home")),
            executable_search_path: vec![self.path("python/bin")],
            system_prefixes: vec![self.path("usr")],
            loader_folders: vec![self.path("usr/lib")],
        }
    }

    fn locate(&self) -> Result<Library, RuntimeError> {
        locate_in(&RuntimeConfig::default(), &self.surroundings())
    }
}

#[test]
fn every_place_in_its_order() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("app/bin")).unwrap();
    machine.put_content("python/bin/python3", b"");
    // From the last place to the first: each one that is added must win over all before.
    let places = [
        ("usr/lib/libonnxruntime.so", Place::Loader),
        ("usr/lib/python3/dist-packages/onnxruntime/capi/libonnxruntime.so.1.24.4", Place::PythonPackages),
        (
            "home/.local/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.24.4",
            Place::PythonPackages,
        ),
        (
            "python/lib/python3.12/site-packages/onnxruntime/capi/libonnxruntime.so.1.24.4",
            Place::PythonPackages,
        ),
        (
            "venv/lib/python3.9/site-packages/onnxruntime/capi/libonnxruntime.so.1.24.4",
            Place::VirtualEnvironment,
        ),
        (
            "venv/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.24.4",
            Place::VirtualEnvironment,
        ),
        ("cache/millstream/onnxruntime/1.24.4/libonnxruntime.so", Place::Cache),
        ("app/lib/millstream/libonnxruntime.so", Place::BesideExecutable),
        ("app/bin/libonnxruntime.so", Place::BesideExecutable),
        ("env/libonnxruntime.so", Place::Environment),
    ];
    for (relative, place) in places {
        let path = machine.put(relative);
        let library = machine.locate().unwrap();
        assert_eq!((library.path, library.place), (path, place));
        assert_eq!(library.version, Some("1.24.4".parse().unwrap()));
    }
    let configured = machine.put("configured/my-ort.so");
    let config = RuntimeConfig { path: Some(configured.clone()) };
    let library = locate_in(&config, &machine.surroundings()).unwrap();
    assert_eq!((library.path, library.place), (configured, Place::Configuration));
}

#[test]
fn a_configured_library_that_is_missing_ends_the_search() {
    let machine = Machine::new();
    machine.put("env/libonnxruntime.so");
    let config = RuntimeConfig { path: Some(machine.path("gone.so")) };
    let error = locate_in(&config, &machine.surroundings()).unwrap_err();
    assert!(
        matches!(&error, RuntimeError::Configured { problem, .. } if problem == "does not exist"),
        "{error}"
    );
}

#[test]
fn an_old_library_is_passed_over_and_told_of() {
    let machine = Machine::new();
    machine.put_content("env/libonnxruntime.so", b"\0OrtGetApiBase\0VERS_1.20.1\0");
    let found = machine.put("usr/lib/libonnxruntime.so");
    assert_eq!(machine.locate().unwrap().path, found);

    fs::remove_file(found).unwrap();
    let text = machine.locate().unwrap_err().to_string();
    assert!(text.contains("is ONNX Runtime 1.20.1, older than 1.24.0"), "{text}");
}

#[test]
fn nothing_anywhere_lists_every_place() {
    let machine = Machine::new();
    let text = machine.locate().unwrap_err().to_string();
    for part in [
        "run `make setup`",
        "\n  ORT_DYLIB_PATH: ",
        "\n  beside the executable: no libonnxruntime.so in ",
        "app/bin/../lib/millstream",
        "\n  cache: no libonnxruntime.so in ",
        "cache/millstream/onnxruntime/1.24.4",
        "\n  active virtual environment: no ",
        "\n  Python packages: no ",
        "\n  system loader: no libonnxruntime.so in ",
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}
