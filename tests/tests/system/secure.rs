//! Brokers that want encryption and a password or a certificate.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use tests::{Broker, Setting, Worker, digits, turn};

use crate::figures;

/// How long a worker may take to find out that it is not let in.
const REFUSED: Duration = Duration::from_secs(60);

const WRONG: &str = "not-the-p4ssword";

/// A way in: the address, the keys under `[kafka.security]`, and what the environment adds.
struct Way<'a> {
    name: &'a str,
    brokers: &'a str,
    security: String,
    environment: Vec<(&'a str, &'a str)>,
}

fn ways(facts: &BTreeMap<String, String>) -> Vec<Way<'_>> {
    let fact = |name: &str| facts[&format!("MILLSTREAM_TEST_{name}")].as_str();
    let ca = format!("ca_file = \"{}\"", fact("CA_FILE"));
    let user = format!("username = \"{}\"", fact("USERNAME"));
    let sasl =
        |mechanism: &str| format!("protocol = \"sasl_ssl\"\nmechanism = \"{mechanism}\"\n{user}\n{ca}");
    let certificate =
        format!("protocol = \"ssl\"\n{ca}\ncertificate_file = \"{}\"", fact("CERTIFICATE_FILE"));
    let password = ("MILLSTREAM__KAFKA__SECURITY__PASSWORD", fact("PASSWORD"));
    vec![
        Way {
            name: "SCRAM, password in a file",
            brokers: fact("SASL_BROKERS"),
            security: format!("{}\npassword_file = \"password.txt\"", sasl("SCRAM-SHA-512")),
            environment: vec![],
        },
        Way {
            name: "SCRAM, password in the environment",
            brokers: fact("SASL_BROKERS"),
            security: sasl("SCRAM-SHA-512"),
            environment: vec![password],
        },
        Way {
            name: "PLAIN",
            brokers: fact("SASL_BROKERS"),
            security: sasl("PLAIN"),
            environment: vec![password],
        },
        Way {
            name: "mTLS",
            brokers: fact("MTLS_BROKERS"),
            security: format!("{certificate}\nkey_file = \"{}\"", fact("KEY_FILE")),
            environment: vec![],
        },
        Way {
            name: "mTLS, encrypted key",
            brokers: fact("MTLS_BROKERS"),
            security: format!("{certificate}\nkey_file = \"{}\"", fact("ENCRYPTED_KEY_FILE")),
            environment: vec![("MILLSTREAM__KAFKA__SECURITY__KEY_PASSWORD", fact("KEY_PASSWORD"))],
        },
    ]
}

#[tokio::test]
async fn encrypted_and_authenticated_brokers_are_served() -> Result<()> {
    let _turn = turn().await;
    let broker = Broker::secure()?;
    let facts = broker.facts()?;
    let (password, key_password) =
        (&facts["MILLSTREAM_TEST_PASSWORD"], &facts["MILLSTREAM_TEST_KEY_PASSWORD"]);
    let image = digits().join("images/0000.png").display().to_string();
    for Way { name, brokers, security, environment } in ways(&facts) {
        let setting = Setting::without_topics(brokers, "secure", &format!("[kafka.security]\n{security}"))?;
        fs::write(setting.folder().join("password.txt"), format!("{password}\n"))?;
        let created = setting.run_with(&["topics", "apply"], &environment).await?;
        assert_eq!(created.code, Some(0), "{name}: {created:?}");
        let mut worker = Worker::start_with(&setting, "preprocess,inference,postprocess", &environment)?;
        let ready = worker.ready().await?;
        let answered =
            setting.run_with(&["submit", "digits", &image, "--wait", "-o", "json"], &environment).await?;
        assert_eq!(answered.code, Some(0), "{name}: {answered:?}");
        let checked = setting.run_with(&["doctor"], &environment).await?;
        assert_eq!(checked.code, Some(0), "{name}: {checked:?}");
        let shown = setting.run_with(&["config", "show"], &environment).await?;
        let printed = format!("{answered:?}{checked:?}{shown:?}{}", worker.log()?);
        assert!(
            !printed.contains(password) && !printed.contains(key_password),
            "{name}: a password was printed"
        );
        worker.stop().await?;
        figures(
            name,
            &format!(
                "ready after {} ms, one job answered in {} ms",
                ready.as_millis(),
                answered.took.as_millis()
            ),
        );
    }
    Ok(())
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_why_and_no_password_is_printed() -> Result<()> {
    let _turn = turn().await;
    let broker = Broker::secure()?;
    let facts = broker.facts()?;
    let mut faults = Vec::new();
    let with_password =
        |way: &Way<'_>| way.environment.iter().any(|(name, _)| name.ends_with("SECURITY__PASSWORD"));
    for Way { name, brokers, security, .. } in ways(&facts).into_iter().filter(with_password) {
        let environment = [("MILLSTREAM__KAFKA__SECURITY__PASSWORD", WRONG)];
        let setting = Setting::without_topics(brokers, "refused", &format!("[kafka.security]\n{security}"))?;
        for arguments in [
            &["topics", "plan"][..],
            &["doctor"],
            &["submit", "digits", "Cargo.toml"],
            &["results", "digits"],
        ] {
            let refused = setting.run_with(arguments, &environment).await?;
            let what = format!("wrong password, {name}, {}", arguments[0]);
            figures(&what, &format!("{:?} after {:.1} s", refused.code, refused.took.as_secs_f64()));
            faults.extend(refusal_fault(
                &what,
                refused.code,
                &format!("{}{}", refused.stdout, refused.stderr),
            ));
        }
        let start = Instant::now();
        let mut worker = Worker::start_with(&setting, "inference", &environment)?;
        let code = worker.wait(REFUSED).await.map(|status| status.code());
        let what = format!("wrong password, {name}, worker");
        figures(&what, &format!("{code:?} after {:.1} s", start.elapsed().as_secs_f64()));
        faults.extend(refusal_fault(&what, code.ok().flatten(), &worker.log()?));
    }
    assert!(faults.is_empty(), "{faults:#?}");

    // A broker whose certificate nobody vouches for, and one that is sent no certificate.
    let fact = |name: &str| facts[&format!("MILLSTREAM_TEST_{name}")].as_str();
    let stranger = format!("protocol = \"ssl\"\nca_file = \"{}\"", fact("CERTIFICATE_FILE"));
    let anonymous = format!("protocol = \"ssl\"\nca_file = \"{}\"", fact("CA_FILE"));
    for (name, security) in [("unknown authority", stranger), ("no certificate", anonymous)] {
        let setting = Setting::without_topics(
            fact("MTLS_BROKERS"),
            "refused",
            &format!("[kafka.security]\n{security}"),
        )?;
        let refused = setting.run(&["doctor"]).await?;
        figures(name, &format!("{:?}, {:.1} s", refused.code, refused.took.as_secs_f64()));
        let told = format!("{}{}", refused.stdout, refused.stderr).to_lowercase();
        assert_eq!(refused.code, Some(69), "{name}: {told}");
        assert!(
            told.contains("ssl") || told.contains("tls") || told.contains("certificate"),
            "{name}: {told}"
        );
    }
    Ok(())
}

/// What is wrong with how somebody was told that the password is wrong.
fn refusal_fault(what: &str, code: Option<i32>, printed: &str) -> Option<String> {
    let says_why = printed.to_lowercase().contains("authenticat");
    let fault = match (code, says_why, printed.contains(WRONG)) {
        (Some(69), true, false) => return None,
        (_, _, true) => "prints the password",
        (Some(69), false, _) => "does not say why",
        _ => "ends with another code than 69",
    };
    Some(format!("{what} {fault} ({code:?}): {printed}"))
}
