//! Encryption and authentication, and the checks that need no broker.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::secret::Secret;

/// Encryption and authentication towards the brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityConfig {
    /// How the connection is protected.
    pub protocol: Protocol,
    /// How the user is authenticated; needed with `sasl_plaintext` and `sasl_ssl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Mechanism>,
    /// The user's name; needed with `sasl_plaintext` and `sasl_ssl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's password. Better kept in a file (`password_file`) or in the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A file that holds the password; one line break at its end is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities that sign the brokers' certificates; by default those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// This client's certificate (PEM), where the brokers ask for one (mTLS). Together with `key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// The private key (PEM) of the client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The passphrase of the private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_password: Option<Secret>,
    /// A file that holds the passphrase of the private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_password_file: Option<PathBuf>,
    /// Allows `sasl_plaintext` to brokers that are not on this machine, although password and data then cross the
    /// network in the clear.
    pub allow_sasl_plaintext: bool,
}

/// How the connection to a broker is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither encrypted nor authenticated.
    #[default]
    Plaintext,
    /// Encrypted; the client shows a certificate if it has one.
    Ssl,
    /// Authenticated but not encrypted; only for brokers on this machine, unless allowed explicitly.
    SaslPlaintext,
    /// Authenticated and encrypted.
    SaslSsl,
}

impl Protocol {
    /// As librdkafka and the configuration write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    fn encrypts(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn authenticates(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How a user is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// The password itself is sent.
    #[serde(rename = "PLAIN", alias = "plain")]
    Plain,
    /// The password is proven, not sent.
    #[serde(rename = "SCRAM-SHA-256", alias = "scram-sha-256")]
    ScramSha256,
    /// The password is proven, not sent; the better of the two.
    #[serde(rename = "SCRAM-SHA-512", alias = "scram-sha-512")]
    ScramSha512,
}

impl Mechanism {
    /// As librdkafka and the configuration write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Which of librdkafka's optional parts are compiled in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compiled {
    /// OpenSSL: TLS and SCRAM.
    pub(crate) tls: bool,
}

impl Compiled {
    /// Those of this build.
    pub(crate) const THIS: Self = Self { tls: cfg!(feature = "tls") };
}

impl SecurityConfig {
    /// Every file that is named, so that relative paths can be made relative to the configuration file.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Self { password_file, ca_file, certificate_file, key_file, key_password_file, .. } = self;
        [password_file, ca_file, certificate_file, key_file, key_password_file].into_iter().flatten()
    }

    /// The client's settings, in librdkafka's names, after every check that needs no broker.
    pub(crate) fn settings(
        &self,
        brokers: &str,
        compiled: Compiled,
    ) -> Result<Vec<(&'static str, Secret)>, ConfigError> {
        let mut settings = vec![("security.protocol", Secret::new(self.protocol.as_str()))];
        self.check_build(compiled)?;
        if self.protocol.encrypts() {
            self.tls(&mut settings)?;
        } else {
            self.refuse_unused(
                "encrypts nothing; set it to `ssl` or `sasl_ssl`, or remove this key",
                &[
                    ("ca_file", self.ca_file.is_some()),
                    ("certificate_file", self.certificate_file.is_some()),
                    ("key_file", self.key_file.is_some()),
                    ("key_password", self.key_password.is_some()),
                    ("key_password_file", self.key_password_file.is_some()),
                ],
            )?;
        }
        if self.protocol.authenticates() {
            self.sasl(brokers, &mut settings)?;
        } else {
            self.refuse_unused(
                "authenticates no user; set it to `sasl_ssl` (or `sasl_plaintext`), or remove this key",
                &[
                    ("mechanism", self.mechanism.is_some()),
                    ("username", self.username.is_some()),
                    ("password", self.password.is_some()),
                    ("password_file", self.password_file.is_some()),
                ],
            )?;
        }
        Ok(settings)
    }

    fn check_build(&self, compiled: Compiled) -> Result<(), ConfigError> {
        if compiled.tls {
            return Ok(());
        }
        let remedy = "this binary was built without TLS; build it with the feature `tls` (the default; needs the \
                      OpenSSL headers, on Debian `apt install libssl-dev`)";
        if self.protocol.encrypts() {
            let problem = format!("`{}` needs OpenSSL, but {remedy}", self.protocol.as_str());
            return Err(key("protocol", problem));
        }
        match self.mechanism {
            Some(mechanism @ (Mechanism::ScramSha256 | Mechanism::ScramSha512)) => {
                Err(key("mechanism", format!("`{}` needs OpenSSL, but {remedy}", mechanism.as_str())))
            }
            Some(Mechanism::Plain) | None => Ok(()),
        }
    }

    // A key that has no effect is a misunderstanding that should surface before a password crosses a network.
    fn refuse_unused(&self, why: &str, keys: &[(&str, bool)]) -> Result<(), ConfigError> {
        match keys.iter().find(|(_, set)| *set) {
            Some((name, _)) => {
                let protocol = self.protocol.as_str();
                Err(key(
                    name,
                    format!("has no effect, because `security.protocol` is `{protocol}`, which {why}"),
                ))
            }
            None => Ok(()),
        }
    }

    fn tls(&self, settings: &mut Vec<(&'static str, Secret)>) -> Result<(), ConfigError> {
        if let Some(file) = &self.ca_file {
            settings.push(("ssl.ca.location", readable("ca_file", file)?));
        }
        match (&self.certificate_file, &self.key_file) {
            (Some(certificate), Some(key_file)) => {
                settings.push(("ssl.certificate.location", readable("certificate_file", certificate)?));
                settings.push(("ssl.key.location", readable("key_file", key_file)?));
            }
            (None, None) => {}
            (Some(_), None) => {
                return Err(key("certificate_file", "needs `key_file`, its private key, beside it"));
            }
            (None, Some(_)) => {
                return Err(key("key_file", "needs `certificate_file`, its certificate, beside it"));
            }
        }
        if let Some(password) =
            secret("key_password", self.key_password.as_ref(), self.key_password_file.as_deref())?
        {
            if self.key_file.is_none() {
                return Err(key("key_password", "is the passphrase of `key_file`, which is not set"));
            }
            settings.push(("ssl.key.password", password));
        }
        Ok(())
    }

    fn sasl(&self, brokers: &str, settings: &mut Vec<(&'static str, Secret)>) -> Result<(), ConfigError> {
        let protocol = self.protocol.as_str();
        // librdkafka's own default is GSSAPI, which is not compiled in, so there is no silent choice to fall back on.
        let mechanism = self.mechanism.ok_or_else(|| {
            let choices = "`SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`";
            key("mechanism", format!("is needed with protocol `{protocol}`; set it to {choices}"))
        })?;
        let username = self
            .username
            .as_deref()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| key("username", format!("is needed with protocol `{protocol}`")))?;
        let password = secret("password", self.password.as_ref(), self.password_file.as_deref())?
            .ok_or_else(|| {
                key("password", format!("is needed with protocol `{protocol}`; or set `password_file`"))
            })?;
        if self.protocol == Protocol::SaslPlaintext
            && !self.allow_sasl_plaintext
            && let Some(remote) = brokers.split(',').map(str::trim).find(|broker| !is_loopback(broker))
        {
            return Err(key(
                "protocol",
                format!(
                    "`sasl_plaintext` sends the user's password or proof, and every job, unencrypted to `{remote}`, \
                         which is not this machine; use `sasl_ssl`, or set `allow_sasl_plaintext = true` if the \
                         network itself is protected"
                ),
            ));
        }
        settings.push(("sasl.mechanism", Secret::new(mechanism.as_str())));
        settings.push(("sasl.username", Secret::new(username)));
        settings.push(("sasl.password", password));
        Ok(())
    }
}

fn key(name: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError::new(format!("kafka.security.{name}"), problem)
}

fn readable(name: &str, file: &Path) -> Result<Secret, ConfigError> {
    // Opening it now gives the reason with the file's name; librdkafka would report an OpenSSL error code.
    std::fs::File::open(file)
        .map_err(|error| key(name, format!("cannot read `{}`: {error}", file.display())))?;
    match file.to_str() {
        Some(path) => Ok(Secret::new(path)),
        None => Err(key(name, format!("the path `{}` is not UTF-8; rename it", file.display()))),
    }
}

fn secret(name: &str, inline: Option<&Secret>, file: Option<&Path>) -> Result<Option<Secret>, ConfigError> {
    match (inline, file) {
        (Some(_), Some(_)) => {
            Err(key(name, format!("`{name}` and `{name}_file` are both set; keep one of them")))
        }
        (Some(secret), None) => Ok(Some(secret.clone())),
        (None, Some(path)) => {
            let name = format!("{name}_file");
            let text = std::fs::read_to_string(path)
                .map_err(|error| key(&name, format!("cannot read `{}`: {error}", path.display())))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            if text.is_empty() {
                return Err(key(&name, format!("`{}` is empty", path.display())));
            }
            Ok(Some(Secret::new(text)))
        }
        (None, None) => Ok(None),
    }
}

// `host:port`, `[v6]:port`, either with a protocol in front.
fn is_loopback(broker: &str) -> bool {
    let address = broker.rsplit_once("://").map_or(broker, |(_, address)| address);
    let host = match address.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => address.rsplit_once(':').map_or(address, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
