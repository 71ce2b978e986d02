use super::*;

const DIGITS: &str = r#"
    [models.digits]
    path = "digits.onnx"
    [pipelines.digits]
    model = "digits"
"#;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn check(text: &str, path: &str, mentions: &str) {
    let faults = config(text).check();
    let fault = faults.iter().find(|fault| fault.path == path);
    let fault = fault.unwrap_or_else(|| panic!("no fault at {path} in {faults:?}"));
    assert!(fault.message.contains(mentions), "{fault}");
}

#[test]
fn the_defaults_and_the_shipped_file_hold() {
    assert_eq!(Config::default().check(), []);
    assert_eq!(config(include_str!("../../../millstream.toml")).check(), []);
}

#[test]
fn each_fault_names_its_key_and_what_would_be_right() {
    check("[pipelines.p]\nmodel = 'nope'", "pipelines.p.model", "no model `nope`");
    check(
        &format!("{DIGITS}[pipelines.digits.batch]\nmax_size = 0"),
        "pipelines.digits.batch.max_size",
        "at least 1",
    );
    check("[topics]\npartitions = 0", "topics.partitions", "at least 1");
    check("[topics]\nmin_insync_replicas = 2", "topics.min_insync_replicas", "replication");
    check("[topics]\nprefix = 'a b'", "topics.prefix", "letters");
    check("[worker]\nmax_inflight_records = 0", "worker.max_inflight_records", "at least 1");
    check("[worker]\nslot = 'rack 1'", "worker.slot", "such as its pod");
    check("[worker]\ndrain_timeout_ms = 60000", "worker.drain_timeout_ms", "session.timeout.ms");
    check(
        "[kafka.consumer]\n'enable.auto.commit' = true",
        "kafka.consumer.\"enable.auto.commit\"",
        "committed by the worker",
    );
    let same = format!("{DIGITS}[pipelines.digits.topics]\nresults = 'millstream.digits.inference'");
    check(&same, "pipelines.digits.topics.results", "topic of inference of pipeline digits already");
}

#[test]
fn what_becomes_of_failures_is_checked_where_it_is_declared() {
    let check_default = |tensors: &str, path: &str, mentions: &str| {
        let declared =
            format!("{DIGITS}[pipelines.digits.on_failure]\ninference = {{ default = [{tensors}] }}");
        check(&declared, &format!("pipelines.digits.on_failure.inference.default{path}"), mentions);
    };
    let label = "{ name = 'label', datatype = 'BYTES', shape = [1], data = ['unknown'] }";
    check_default("", "", "at least one tensor");
    check_default(&format!("{label}, {label}"), "[1].name", "`label` already");
    check_default("{ name = '', datatype = 'BYTES', shape = [1], data = ['x'] }", "[0].name", "empty");
    check_default(
        "{ name = 'x', datatype = 'FP16', shape = [1], data = [1] }",
        "[0].datatype",
        "declare FP32",
    );
    check_default(
        "{ name = 'x', datatype = 'FP32', shape = [2], data = [1] }",
        "[0].data",
        "write 2 elements",
    );
    check_default(
        "{ name = 'x', datatype = 'INT8', shape = [1], data = [1000] }",
        "[0].data",
        "an integer in its range",
    );
    check_default(
        "{ name = 'x', datatype = 'FP32', shape = [1], data = ['1'] }",
        "[0].data",
        "a finite number",
    );
    check_default(
        "{ name = 'x', datatype = 'FP32', shape = [1], data = [nan] }",
        "[0].data",
        "a finite number",
    );
    let nine = "{ name = 'x', datatype = 'BOOL', shape = [1, 1, 1, 1, 1, 1, 1, 1, 1], data = [true] }";
    check_default(nine, "[0].shape", "8 dimensions");
}

#[test]
fn what_becomes_of_failures_is_declared_stage_by_stage() {
    let declared = config(&format!(
        "{DIGITS}[pipelines.digits.on_failure]\npreprocess = 'skip'\npostprocess = {{ default = [\
         {{ name = 'a', datatype = 'INT64', shape = [2, 1], data = [[1], [2]] }}, \
         {{ name = 'b', datatype = 'FP32', shape = [], data = [1] }}] }}"
    ));
    assert_eq!(declared.check(), []);
    let on_failure = &declared.pipelines["digits"].on_failure;
    assert_eq!(on_failure.without_dead_letters().collect::<Vec<_>>(), [Stage::Preprocess]);
    let [(Stage::Postprocess, Ok(tensors))] = &on_failure.defaults(&declared.limits).collect::<Vec<_>>()[..]
    else {
        panic!("one default, of postprocess")
    };
    assert_eq!(tensors[0].elements::<i64>().unwrap(), [1, 2]);
    assert_eq!(tensors[1].elements::<f32>().unwrap(), [1.0]);
    let wrong = |text: &str| toml::from_str::<Config>(text).unwrap_err().message().to_owned();
    let message = wrong(&format!("{DIGITS}[pipelines.digits.on_failure]\ninference = 'ignore'"));
    assert!(message.contains("`dead-letter`, `skip`, `stop`, `default`"), "{message}");
    let message = wrong(&format!("{DIGITS}[pipelines.digits.on_failure]\nmodel = 'skip'"));
    assert!(message.contains("`preprocess`, `inference`"), "{message}");
}

#[test]
fn a_static_member_has_a_longer_session_to_drain_in() {
    let long = "[worker]\ndrain_timeout_ms = 30000\n";
    check(long, "worker.drain_timeout_ms", "session.timeout.ms");
    assert_eq!(config(&format!("{long}static_membership = true")).check(), []);
}

#[test]
fn unknown_keys_are_refused() {
    let error = toml::from_str::<Config>("[worker]\nmax_inflight = 3").unwrap_err();
    assert!(error.message().contains("unknown field `max_inflight`"), "{error}");
}

#[test]
fn topics_are_named_by_prefix_pipeline_and_stage_unless_told_otherwise() {
    let config = config(&format!(
        "{DIGITS}[pipelines.digits.topics]\nresults = 'answers'\n[topics]\nprefix = 'acme'\npartitions = 12"
    ));
    let names = config.topic_names("digits");
    assert_eq!(names.inference, "acme.digits.inference");
    assert_eq!(names.results, "answers");
    assert_eq!(config.group("digits", Stage::Inference), "acme.digits.inference");
    let specs = config.topic_specs();
    // Three stages, results, dead letters, three waits and cancellations.
    assert_eq!(specs.len(), 9);
    assert!(specs.iter().all(|spec| spec.partitions == 12));
    let retention = |name: &str| specs.iter().find(|spec| spec.name == name).unwrap().retention;
    assert!(retention("acme.digits.dead-letters") > retention("answers"));
}

#[test]
fn a_shared_topic_is_created_once_and_known_as_shared() {
    let config = config(
        r#"
        [models.m]
        path = "m.onnx"
        [pipelines.b]
        model = "m"
        topics = { preprocess = "jobs" }
        [pipelines.a]
        model = "m"
        topics = { preprocess = "jobs" }
        "#,
    );
    assert_eq!(config.sharing_topic("b", Stage::Preprocess), ["a", "b"]);
    assert_eq!(config.sharing_topic("b", Stage::Inference), ["b"]);
    assert_eq!(config.topic_specs().iter().filter(|spec| spec.name == "jobs").count(), 1);
}

#[test]
fn files_are_relative_to_the_configuration() {
    let mut config = config(
        "[models.m]\npath = 'm.onnx'\nlabels = '/abs/labels.txt'\n[kafka.security]\npassword_file = 'secret'",
    );
    config.resolve_paths(Path::new("/etc/millstream"));
    assert_eq!(config.models["m"].path, Path::new("/etc/millstream/m.onnx"));
    assert_eq!(config.models["m"].labels.as_deref(), Some(Path::new("/abs/labels.txt")));
    assert_eq!(config.kafka.security.password_file.as_deref(), Some(Path::new("/etc/millstream/secret")));
}

#[test]
fn a_topic_has_one_role_whoever_shares_it() {
    let shared = "[models.m]\npath = 'm'\n[pipelines.a]\nmodel = 'm'\n[pipelines.b]\nmodel = 'm'\n\
                  topics = { preprocess = 'millstream.a.results' }";
    check(shared, "pipelines.b.topics.preprocess", "topic of results of pipeline a already");
}

#[test]
fn outcomes_stay_below_what_the_client_and_the_topics_take() {
    let defaults = Config::default();
    assert!(defaults.max_outcome_bytes() < defaults.max_topic_record_bytes());
    let lowered = config("[kafka.producer]\n'message.max.bytes' = 1000000");
    assert!(lowered.max_outcome_bytes() < 1_000_000);
    let forever = &defaults.kafka_for_worker().producer["message.timeout.ms"];
    assert_eq!(forever.to_string(), "0");
}
