//! A real Apache Kafka, started and stopped through `deploy/kafka/kafka.sh`.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::proxy::Proxy;
use crate::repository;

/// The brokers of one test, or those that tests share.
pub struct Broker {
    bootstrap: String,
    /// One before each node, if there are any.
    proxies: Vec<Proxy>,
    /// The folder of an instance of our own; none where one that runs already is used.
    folder: Option<TempDir>,
}

impl Broker {
    /// One node for all tests that leave it alone: `MILLSTREAM_TEST_BROKERS`, or one of this run, which ends with it.
    ///
    /// # Errors
    /// When none can be started.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Broker> = OnceCell::const_new();
        SHARED
            .get_or_try_init(async || match std::env::var("MILLSTREAM_TEST_BROKERS") {
                Ok(bootstrap) if !bootstrap.is_empty() => {
                    Ok(Self { bootstrap, proxies: Vec::new(), folder: None })
                }
                _ => Self::start(&[]),
            })
            .await
    }

    /// Starts one node for this test alone.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn single() -> Result<Self> {
        Self::start(&[])
    }

    /// Starts a cluster of three nodes.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn three() -> Result<Self> {
        Self::start(&["--nodes", "3"])
    }

    /// Starts one node that has listeners with TLS and SASL, too.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn secure() -> Result<Self> {
        Self::start(&["--secure"])
    }

    /// Starts one or three nodes, each with a [`Proxy`] before a listener of its own: [`bootstrap`](Self::bootstrap) leads
    /// past them, and [`through_proxies`](Self::through_proxies) through them.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn behind_proxies(nodes: usize) -> Result<Self> {
        let mut proxies = Vec::new();
        for _ in 0..nodes {
            proxies.push(Proxy::bind().await?);
        }
        let advertised = addresses(&proxies);
        let mut broker = Self::start(&["--nodes", &nodes.to_string(), "--advertise", &advertised])?;
        let facts = broker.facts()?;
        let behind =
            facts.get("MILLSTREAM_TEST_BEHIND_PROXIES").context("kafka.sh names no such listener")?;
        for (proxy, address) in proxies.iter().zip(behind.split(',')) {
            proxy.stand_before(address.parse()?);
        }
        broker.proxies = proxies;
        Ok(broker)
    }

    fn start(options: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("millstream-kafka-").tempdir()?;
        // Whatever becomes of this process, the nodes do not outlive it.
        let us = std::process::id().to_string();
        let mut broker = Self { bootstrap: String::new(), proxies: Vec::new(), folder: Some(folder) };
        broker.bootstrap =
            broker.kafka("start", &[options, &["--until-exit-of", &us]].concat())?.trim().to_owned();
        Ok(broker)
    }

    /// Where clients find it.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Where clients find it that go through its proxies.
    pub fn through_proxies(&self) -> String {
        addresses(&self.proxies)
    }

    /// The proxies, node by node.
    pub fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// Kills a node, as a power failure would.
    ///
    /// # Errors
    /// When it is not ours.
    pub fn kill(&self, node: u32) -> Result<()> {
        self.kafka("node-kill", &[&node.to_string()]).map(drop)
    }

    /// Starts a node again, on its old port with its old data.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&self, node: u32) -> Result<()> {
        // After a kill it goes through its data first, which takes its time where others want the processor, too.
        self.kafka("node-start", &[&node.to_string(), "--timeout", "150"]).map(drop)
    }

    /// Addresses, and files and credentials of a secure instance, by their names in `kafka.sh env`.
    ///
    /// # Errors
    /// When it is not ours.
    pub fn facts(&self) -> Result<BTreeMap<String, String>> {
        let lines = self.kafka("env", &[])?;
        Ok(lines.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect())
    }

    fn kafka(&self, command: &str, arguments: &[&str]) -> Result<String> {
        let folder = self.folder.as_ref().context("these brokers are not ours to touch")?;
        let output = Command::new(repository().join("deploy/kafka/kafka.sh"))
            .arg(command)
            .args(arguments)
            .arg("--dir")
            .arg(folder.path())
            // What is not found is fetched by Maven, which is told so on stderr.
            .stderr(std::process::Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "kafka.sh {command} {arguments:?}: {}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn addresses(proxies: &[Proxy]) -> String {
    proxies.iter().map(|proxy| proxy.address().to_string()).collect::<Vec<_>>().join(",")
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.folder.is_some() {
            // `--until-exit-of` sees to it otherwise.
            self.kafka("stop", &[]).ok();
        }
    }
}
