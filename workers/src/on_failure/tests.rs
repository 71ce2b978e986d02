use super::*;
use crate::config::Config;

fn policies(declared: &str) -> Policies {
    let text =
        format!("[models.m]\npath = 'm'\n[pipelines.p]\nmodel = 'm'\n[pipelines.p.on_failure]\n{declared}");
    let config: Config = toml::from_str(&text).unwrap();
    Policies::new(&config.pipelines["p"].on_failure, &config.limits).unwrap()
}

#[test]
fn stage_and_code_decide() {
    let policies = policies(
        "preprocess = 'skip'\npostprocess = 'stop'\n\
         inference = { default = [{ name = 'y', datatype = 'BOOL', shape = [1], data = [false] }] }",
    );
    let check = |stage: &str, code, expect: &str| {
        let failure =
            Failure { stage: stage.into(), code, message: String::new(), attempt: 1, retriable: false };
        let got = match policies.of(&failure) {
            Policy::DeadLetter => "dead-letter",
            Policy::Skip => "skip",
            Policy::Stop => "stop",
            Policy::Default(_) => "default",
        };
        assert_eq!(got, expect, "{stage} {code}");
    };
    let declared = [("preprocess", "skip"), ("inference", "default"), ("postprocess", "stop")];
    for (stage, expect) in declared {
        for code in FailureCode::ALL {
            let asked_for = matches!(code, FailureCode::Expired | FailureCode::Cancelled);
            check(stage, code, if asked_for { "dead-letter" } else { expect });
        }
    }
    check("elsewhere", FailureCode::Internal, "dead-letter");
}

#[test]
fn parameters_are_kept_only_where_a_default_needs_them() {
    assert!(!policies("preprocess = 'skip'\ninference = 'stop'").have_a_default());
    let default = "postprocess = { default = [{ name = 'y', datatype = 'INT8', shape = [1], data = [0] }] }";
    assert!(policies(default).have_a_default());
}

#[test]
fn a_default_agrees_with_the_results_or_is_told_where_not() {
    let check = |tensors: &str, expect: &[&str]| {
        let declared: OnFailureConfig =
            toml::from_str(&format!("inference = {{ default = [{tensors}] }}")).unwrap();
        let results = [
            Tensor::from_byte_strings("label", [1], ["seven"]).unwrap(),
            Tensor::from_elements("score", [1], &[0.5_f32]).unwrap(),
        ];
        let faults = declared.compare(&Limits::default(), &results);
        assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), expect);
    };
    let label = "{ name = 'label', datatype = 'BYTES', shape = [2], data = ['a', 'b'] }";
    check(label, &[]);
    check(
        &format!("{label}, {{ name = 'score', datatype = 'FP64', shape = [1], data = [0] }}"),
        &["on_failure.inference.default[1].datatype: in the pipeline's results it is FP32; write that"],
    );
    check(
        "{ name = 'lable', datatype = 'BYTES', shape = [1], data = ['a'] }",
        &["on_failure.inference.default[0].name: the pipeline's results have no tensor `lable`; \
           name one of `label`, `score`"],
    );
}
