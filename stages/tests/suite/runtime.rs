//! Finding and loading ONNX Runtime.

use stages::RuntimeConfig;
use stages::runtime::{MINIMUM_VERSION, Runtime, RuntimeError, locate};

use crate::{load, require_runtime};

#[test]
fn the_library_that_is_located_is_the_one_that_is_loaded() {
    require_runtime();
    let located = locate(&RuntimeConfig::default()).unwrap();
    let runtime = Runtime::start(&RuntimeConfig::default()).unwrap();
    assert_eq!(runtime.library(), &located);
    assert!(located.version.unwrap() >= MINIMUM_VERSION);
    assert!(runtime.build_info().contains("ORT Build Info"), "{}", runtime.build_info());
    assert_eq!(Runtime::loaded(), Some(&located));
}

#[test]
fn a_second_library_is_refused() {
    load("dynamic");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libonnxruntime.so");
    std::fs::write(&path, "another").unwrap();
    let error = Runtime::start(&RuntimeConfig { path: Some(path) }).unwrap_err();
    assert!(matches!(error, RuntimeError::AlreadyLoaded { .. }), "{error}");

    let same = RuntimeConfig { path: Some(Runtime::loaded().unwrap().path.clone()) };
    assert!(Runtime::start(&same).is_ok());
}
