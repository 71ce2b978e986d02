//! Brokers that want encryption and a password or a certificate.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::Result;
use tests::{Broker, Setting, Worker, digits, turn};

use crate::figures;

/// How long a worker may take to find out that it is not let in.
const REFUSED: Duration = Duration::from_secs(60);

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
    const WRONG: &str = "not-the-p4ssword";
    let _turn = turn().await;
    let broker = Broker::secure()?;
    let facts = broker.facts()?;
    for Way { name, brokers, security, .. } in ways(&facts)
        .into_iter()
        .filter(|way| way.brokers.contains(&facts["MILLSTREAM_TEST_SASL_BROKERS"]))
        .skip(1)
    {
        let environment = [("MILLSTREAM__KAFKA__SECURITY__PASSWORD", WRONG)];
        let setting = Setting::without_topics(brokers, "refused", &format!("[kafka.security]\n{security}"))?;
        for arguments in [
            &["topics", "plan"][..],
            &["doctor"],
            &["submit", "digits", "Cargo.toml"],
            &["results", "digits"],
        ] {
            let refused = setting.run_with(arguments, &environment).await?;
            let printed = format!("{}{}", refused.stdout, refused.stderr);
            let told = printed.to_lowercase();
            let lines = told.lines().count();
            figures(
                &format!("wrong password, {name}, {}", arguments[0]),
                &format!("{:?}, {lines} lines, {:.1} s", refused.code, refused.took.as_secs_f64()),
            );
            assert_eq!(refused.code, Some(69), "{name}, {arguments:?}: {printed}");
            assert!(
                told.contains("authenticat") || told.contains("password"),
                "{name}, {arguments:?} says no reason: {printed}"
            );
            assert!(!printed.contains(WRONG), "{name}, {arguments:?}: the password was printed: {printed}");
        }
        let mut worker = Worker::start_with(&setting, "inference", &environment)?;
        let status = worker.wait(REFUSED).await?;
        let log = worker.log()?;
        assert_eq!(status.code(), Some(69), "{name}: {log}");
        assert!(log.to_lowercase().contains("authenticat") && !log.contains(WRONG), "{name}: {log}");
    }

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
