use super::*;

fn pipeline(toml: &str) -> PipelineConfig {
    toml::from_str(toml).unwrap()
}

fn model(toml: &str) -> ModelConfig {
    toml::from_str(toml).unwrap()
}

fn texts(errors: &[StageConfigError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn the_digits_pipeline_is_well_declared() {
    let config = pipeline(
        r#"
        model = "digits"
        preprocess = [
          { op = "decode-image", color = "grey" },
          { op = "resize", width = 8, height = 8 },
          { op = "normalise", scale = 0.00392156862745098 },
          { op = "layout", to = "chw" },
        ]
        postprocess = [{ op = "softmax", tensor = "logits" }, { op = "top-k", k = 3 }]"#,
    );
    assert_eq!(config.check(), []);
    assert_eq!((config.preprocess.len(), config.postprocess.len()), (4, 2));
}

#[test]
fn every_wrong_value_is_named_with_its_path() {
    let config = pipeline(
        r#"
        model = ""
        preprocess = [
          { op = "decode-image", output = "", max_width = 8 },
          { op = "resize", width = 0, height = 8 },
          { op = "normalise", std = [1.0, 0.0] },
          { op = "normalise", mean = [1.0, 2.0], std = [1.0, 2.0, 3.0] },
          { op = "decode-image", max_pixels = 0 },
          { op = "resize", width = 8, height = 100000 },
        ]
        postprocess = [{ op = "top-k", k = 0 }, { op = "softmax", tensor = "" }]"#,
    );
    assert_eq!(
        texts(&config.check()),
        [
            "model: must name a model",
            "preprocess[0].output: must not be empty",
            "preprocess[1].width: must be at least 1",
            "preprocess[2].std: must be a number other than 0, or a list with one per channel",
            "preprocess[3].std: has 3 numbers, but mean has 2: give one per channel in both",
            "preprocess[4].max_pixels: must be at least 1",
            "preprocess[5].height: must be at most 16384, not 100000",
            "postprocess[0].k: must be at least 1",
            "postprocess[1].tensor: must not be empty",
        ]
    );
}

#[test]
fn unknown_fields_and_operations_are_refused() {
    let check = |toml: &str, expect: &str| {
        let error = toml::from_str::<PipelineConfig>(toml).unwrap_err().to_string();
        assert!(error.contains(expect), "{expect:?} is not in: {error}");
    };
    check("model = \"m\"\nmodle = 1", "unknown field `modle`");
    check(
        "model = \"m\"\npreprocess = [{ op = \"resize\", width = 1, height = 1, heigth = 2 }]",
        "unknown field `heigth`",
    );
    check(
        "model = \"m\"\npreprocess = [{ op = \"decode-image\", colour = \"grey\" }]",
        "unknown field `colour`",
    );
    check("model = \"m\"\npreprocess = [{ op = \"crop\" }]", "unknown variant `crop`");
    check("model = \"m\"\npostprocess = [{ op = \"top-k\", k = -1 }]", "invalid value: integer `-1`");
    check("model = \"m\"\npostprocess = [{ op = \"top-k\" }]", "missing field `k`");
    check("preprocess = []", "missing field `model`");
}

#[test]
fn a_model_needs_only_its_path() {
    let config = model("path = \"m.onnx\"");
    assert_eq!(config, ModelConfig::new("m.onnx"));
    assert_eq!(config.check(), []);
    assert_eq!((config.version.as_str(), config.sessions, config.timeout()), ("1", 1, None));
}

#[test]
fn wrong_values_of_a_model() {
    let config = model("path = \"\"\nversion = \"\"\nsessions = 0\nintra_threads = 0\ntimeout_ms = 0");
    assert_eq!(
        texts(&config.check()),
        [
            "path: must name the ONNX file",
            "version: must be 1 to 128 characters without control characters",
            "sessions: must be 1 to 64, not 0",
            "intra_threads: must be 1 to 1024, not 0",
            "timeout_ms: must be at least 1; left out, there is no limit",
        ]
    );
}

#[test]
fn a_run_may_be_limited_in_time() {
    let config = model("path = \"m.onnx\"\ntimeout_ms = 1500");
    assert_eq!((config.check(), config.timeout()), (Vec::new(), Some(Duration::from_millis(1500))));
}

#[test]
fn sessions_share_the_cores() {
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(ModelConfig::new("m").threads_per_session(), cores);
    assert_eq!(
        ModelConfig { sessions: 64, ..ModelConfig::new("m") }.threads_per_session(),
        (cores / 64).max(1)
    );
    assert_eq!(ModelConfig { intra_threads: Some(3), ..ModelConfig::new("m") }.threads_per_session(), 3);
}

#[test]
fn declarations_survive_a_round_trip() {
    let config =
        pipeline("model = \"m\"\npreprocess = [{ op = \"normalize\", mean = 0.5, std = [1.0, 2.0] }]");
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<PipelineConfig>(&text).unwrap(), config);
}

#[test]
fn every_field_of_the_schema_is_described() {
    fn undescribed(path: &str, schema: &serde_json::Value, found: &mut Vec<String>) {
        let Some(object) = schema.as_object() else {
            if let Some(list) = schema.as_array() {
                list.iter().for_each(|item| undescribed(path, item, found));
            }
            return;
        };
        for (key, value) in object {
            if key == "properties" {
                for (name, property) in value.as_object().unwrap() {
                    let path = format!("{path}.{name}");
                    // The tag of an operation is described by the operation itself.
                    if property.get("description").is_none() && property.get("const").is_none() {
                        found.push(path.clone());
                    }
                    undescribed(&path, property, found);
                }
            } else {
                undescribed(path, value, found);
            }
        }
    }
    let mut found = Vec::new();
    for schema in [
        schemars::schema_for!(PipelineConfig),
        schemars::schema_for!(ModelConfig),
        schemars::schema_for!(RuntimeConfig),
    ] {
        undescribed("", schema.as_value(), &mut found);
    }
    assert!(found.is_empty(), "no description: {found:?}");
}
