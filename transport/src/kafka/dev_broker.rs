//! A broker inside this process, for development and tests: librdkafka's mock cluster on a real TCP port.

use std::fmt;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rdkafka::mocking::MockCluster;
use tokio::sync::oneshot;

use crate::config::{GroupProtocol, KafkaConfig};
use crate::error::TransportError;
use crate::topics::TopicSpec;

/// An embedded broker: up in a millisecond, with groups, headers and keys as they really are.
///
/// It is no place for data: it keeps 5 MiB or 100,000 message sets per partition, and everything is gone when it is
/// dropped. It has no transactions and no topic administration: its topics are those it is started with.
pub struct DevBroker {
    brokers: String,
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    CreateTopic(String, i32, oneshot::Sender<()>),
    SetReachable(bool, oneshot::Sender<()>),
    Stop,
}

impl DevBroker {
    /// Starts a broker with these topics on a free port of this machine. Of a topic only its name and its number of
    /// partitions count.
    pub fn start(topics: &[TopicSpec]) -> Result<Self, TransportError> {
        let fatal = |reason: String| TransportError::Fatal {
            what: "cannot start the embedded broker".into(),
            reason,
        };
        let topics: Vec<(String, i32)> =
            topics.iter().map(|topic| (topic.name.clone(), topic.partitions)).collect();
        let (commands, queue) = mpsc::channel();
        let (started, start_result) = mpsc::channel();
        // The handle of librdkafka's cluster stays on the thread that made it.
        let thread = thread::Builder::new()
            .name("dev broker".into())
            .spawn(move || match start_cluster(&topics) {
                Ok(cluster) => {
                    drop(started.send(Ok(cluster.bootstrap_servers())));
                    serve(&cluster, &queue);
                }
                Err(error) => drop(started.send(Err(error))),
            })
            .map_err(|error| fatal(format!("cannot start a thread: {error}")))?;
        let brokers = start_result
            .recv()
            .map_err(|_| fatal("its thread ended unexpectedly".into()))?
            .map_err(|error| fatal(error.to_string()))?;
        tracing::warn!(
            brokers,
            "the embedded broker is for development only: it keeps 5 MiB or 100,000 message sets per partition, older \
             records vanish unread, and all data is lost when it stops"
        );
        Ok(Self { brokers, commands, thread: Some(thread) })
    }

    /// Its address, `127.0.0.1:port`.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// A configuration that reaches it, and whose groups start at once.
    ///
    /// The broker assigns the partitions: when the members do it among themselves, the mock cluster waits three
    /// seconds for more of them before a new group starts, and that delay cannot be changed from here.
    pub fn config(&self) -> KafkaConfig {
        KafkaConfig { group_protocol: GroupProtocol::Consumer, ..KafkaConfig::new(&self.brokers) }
    }

    /// Adds a topic with that many partitions; one that exists stays as it is.
    pub async fn create_topic(&self, name: &str, partitions: i32) {
        self.command(|done| Command::CreateTopic(name.to_owned(), partitions, done)).await;
    }

    /// Cuts all connections and takes no new ones, or takes them again. Data and groups survive.
    pub async fn set_reachable(&self, reachable: bool) {
        self.command(|done| Command::SetReachable(reachable, done)).await;
    }

    async fn command(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, is_done) = oneshot::channel();
        if self.commands.send(command(done)).is_err() || is_done.await.is_err() {
            tracing::warn!("the embedded broker has stopped");
        }
    }
}

/// Whether this is the id of an embedded broker, rather than that of a Kafka cluster.
pub(crate) fn is_embedded(cluster_id: &str) -> bool {
    cluster_id.starts_with("mockCluster")
}

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

fn start_cluster(topics: &[(String, i32)]) -> Result<Cluster, rdkafka::error::KafkaError> {
    let cluster = MockCluster::new(1)?;
    for (name, partitions) in topics {
        cluster.create_topic(name, *partitions, 1)?;
    }
    Ok(cluster)
}

fn serve(cluster: &Cluster, queue: &mpsc::Receiver<Command>) {
    for command in queue {
        let (result, done) = match command {
            Command::CreateTopic(name, partitions, done) => {
                (cluster.create_topic(&name, partitions, 1), done)
            }
            Command::SetReachable(true, done) => (cluster.broker_up(-1), done),
            Command::SetReachable(false, done) => (cluster.broker_down(-1), done),
            Command::Stop => return,
        };
        if let Err(error) = result {
            tracing::warn!(%error, "the embedded broker does not obey");
        }
        // Nobody waits when the future was dropped.
        done.send(()).ok();
    }
}

impl Drop for DevBroker {
    fn drop(&mut self) {
        // Fails only when the thread has ended already.
        drop(self.commands.send(Command::Stop));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the embedded broker's thread panicked");
        }
    }
}

impl fmt::Debug for DevBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevBroker").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}
