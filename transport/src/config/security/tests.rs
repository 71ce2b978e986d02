use super::*;

const TLS: Compiled = Compiled { tls: true };
const NO_TLS: Compiled = Compiled { tls: false };

fn sasl(protocol: Protocol, mechanism: Mechanism) -> SecurityConfig {
    SecurityConfig {
        protocol,
        mechanism: Some(mechanism),
        username: Some("worker".into()),
        password: Some(Secret::new("hunter2")),
        ..SecurityConfig::default()
    }
}

fn check(config: &SecurityConfig, brokers: &str, compiled: Compiled, expect: &str) {
    let answer = match config.settings(brokers, compiled) {
        Ok(settings) => settings
            .iter()
            .map(|(name, value)| format!("{name}={}", value.expose()))
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.to_string(),
    };
    assert!(answer.starts_with(expect), "{answer}\nexpected\n{expect}");
}

#[test]
fn plaintext_needs_nothing() {
    check(&SecurityConfig::default(), "k:9092", NO_TLS, "security.protocol=plaintext");
}

#[test]
fn a_user_over_tls() {
    check(
        &sasl(Protocol::SaslSsl, Mechanism::ScramSha512),
        "k:9092",
        TLS,
        "security.protocol=sasl_ssl sasl.mechanism=SCRAM-SHA-512 sasl.username=worker sasl.password=hunter2",
    );
}

#[test]
fn a_user_without_encryption_only_on_this_machine() {
    let mut config = sasl(Protocol::SaslPlaintext, Mechanism::Plain);
    let allowed = "security.protocol=sasl_plaintext sasl.mechanism=PLAIN";
    check(&config, "127.0.0.1:9092, localhost:9093,[::1]:9094", NO_TLS, allowed);
    check(
        &config,
        "localhost:9092,kafka.example:9092",
        NO_TLS,
        "kafka.security.protocol: `sasl_plaintext` sends the user's password or proof, and every job, unencrypted to \
         `kafka.example:9092`, which is not this machine; use `sasl_ssl`, or set `allow_sasl_plaintext = true`",
    );
    check(&config, "localhost.example:9092", NO_TLS, "kafka.security.protocol: ");
    config.allow_sasl_plaintext = true;
    check(&config, "kafka.example:9092", NO_TLS, allowed);
}

#[test]
fn a_build_without_tls_says_so() {
    check(
        &sasl(Protocol::SaslPlaintext, Mechanism::ScramSha256),
        "localhost:9092",
        NO_TLS,
        "kafka.security.mechanism: `SCRAM-SHA-256` needs OpenSSL, but this binary was built without TLS",
    );
    let config = SecurityConfig { protocol: Protocol::Ssl, ..SecurityConfig::default() };
    check(&config, "k:9092", NO_TLS, "kafka.security.protocol: `ssl` needs OpenSSL");
    check(&config, "k:9092", TLS, "security.protocol=ssl");
}

#[test]
fn a_client_certificate_comes_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut config = SecurityConfig {
        protocol: Protocol::Ssl,
        ca_file: Some(file("ca.pem", "")),
        certificate_file: Some(file("client.pem", "")),
        key_password_file: Some(file("passphrase", "hunter2\r\n")),
        ..SecurityConfig::default()
    };
    check(&config, "k:9092", TLS, "kafka.security.certificate_file: needs `key_file`");
    config.key_file = Some(file("client.key", ""));
    let at = folder.path().display();
    check(
        &config,
        "k:9092",
        TLS,
        &format!(
            "security.protocol=ssl ssl.ca.location={at}/ca.pem ssl.certificate.location={at}/client.pem \
             ssl.key.location={at}/client.key ssl.key.password=hunter2"
        ),
    );
    config.certificate_file = None;
    check(&config, "k:9092", TLS, "kafka.security.key_file: needs `certificate_file`");
    config.certificate_file = Some("/nowhere/client.pem".into());
    check(
        &config,
        "k:9092",
        TLS,
        "kafka.security.certificate_file: cannot read `/nowhere/client.pem`: No such file",
    );
}

#[test]
fn secrets_come_from_one_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "hunter3\n").unwrap();
    let mut config = sasl(Protocol::SaslSsl, Mechanism::Plain);
    config.password_file = Some(path.clone());
    check(&config, "k:9092", TLS, "kafka.security.password: `password` and `password_file` are both set");
    config.password = None;
    check(
        &config,
        "k:9092",
        TLS,
        "security.protocol=sasl_ssl sasl.mechanism=PLAIN sasl.username=worker sasl.password=hunter3",
    );
    std::fs::write(&path, "\n").unwrap();
    check(&config, "k:9092", TLS, "kafka.security.password_file: ");
    config.password_file = None;
    check(&config, "k:9092", TLS, "kafka.security.password: is needed with protocol `sasl_ssl`");
}

#[test]
fn keys_without_effect_are_refused() {
    let config = SecurityConfig { username: Some("worker".into()), ..SecurityConfig::default() };
    check(
        &config,
        "k:9092",
        TLS,
        "kafka.security.username: has no effect, because `security.protocol` is `plaintext`",
    );
    let mut config = sasl(Protocol::SaslPlaintext, Mechanism::Plain);
    config.ca_file = Some("ca.pem".into());
    check(&config, "localhost", TLS, "kafka.security.ca_file: has no effect");
    config.ca_file = None;
    config.mechanism = None;
    check(&config, "localhost", TLS, "kafka.security.mechanism: is needed with protocol `sasl_plaintext`");
}
