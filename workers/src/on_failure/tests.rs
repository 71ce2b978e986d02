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
