//! Transactions on Kafka: a thread that transacts (`transactions/session.rs`), one that serves the delivery reports
//! (`transactions/producer.rs`), and this handle.
//!
//! What is certain about a transaction that failed is sorted in `transactions/sort.rs`. After anything uncertain the
//! producer is given up, because a request that is still on its way could end the next transaction instead
//! (KAFKA-17754); taking over the transactional id anew settles what it left.

mod deliveries;
mod producer;
mod session;
mod sort;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use self::producer::Producer;
use self::session::{LIMIT, Member, Request, Session, take_over};
use super::consumer::KafkaConsumer;
use super::settings::Settings;
use crate::config::KafkaConfig;
use crate::error::{ConfigError, TransportError};
use crate::progress::Progress;
use crate::record::Record;
use crate::transactions::{TransactionError, Transactions};

/// How long the brokers may be away while a transactional id is taken over.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(60);

/// How long an answer is waited for beyond what a transaction may take. Not for as long as undoing it may take: taking over
/// the id anew does that as well, and sooner where librdkafka hangs because a coordinator has gone.
const GRACE: Duration = Duration::from_secs(1);

/// Transactions on Kafka, under one transactional id.
///
/// Dropping it waits for nothing: a transaction that is under way ends in the background.
pub struct KafkaTransactions {
    id: String,
    member: Member,
    requests: mpsc::Sender<Request>,
    given_up: Arc<AtomicBool>,
}

impl KafkaTransactions {
    pub(crate) async fn open(config: &KafkaConfig, id: &str) -> Result<Self, TransportError> {
        let settings = Settings::transactional(config, id)?;
        let member = Member::default();
        let (requests, queue) = mpsc::channel();
        let (started, start_result) = oneshot::channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let (name, held_by, abandoned) = (id.to_owned(), member.clone(), given_up.clone());
        let fatal =
            |reason: String| TransportError::Fatal { what: "cannot publish in transactions".into(), reason };
        thread::Builder::new()
            .name("kafka transact".into())
            .spawn(move || {
                let opened = Producer::start(&settings, &name).and_then(|producer| {
                    take_over(&producer, &name, TAKE_OVER_LIMIT, || !started.is_closed())?;
                    Ok(producer)
                });
                match opened {
                    Ok(producer) => {
                        let session = Session::new(&name, held_by, producer, abandoned);
                        if started.send(Ok(())).is_ok() {
                            session.run(&queue);
                        }
                    }
                    // Nobody waits when the future was dropped.
                    Err(error) => drop(started.send(Err(error))),
                }
            })
            .map_err(|error| fatal(format!("cannot start a thread: {error}")))?;
        start_result.await.map_err(|_| fatal("their thread ended unexpectedly".into()))??;
        Ok(Self { id: id.into(), member, requests, given_up })
    }
}

impl Transactions for KafkaTransactions {
    type Consumer = KafkaConsumer;

    fn commit_for(&self, consumer: &KafkaConsumer) {
        // The first stays: a session commits for one.
        drop(self.member.set(consumer.native()));
    }

    fn commit(
        &self,
        records: Arc<Vec<Record>>,
        progress: Progress,
        note: &str,
    ) -> impl Future<Output = Result<(), TransactionError>> + Send + 'static {
        let (answer, outcome) = oneshot::channel();
        let asked = self.requests.send(Request { records, progress, note: note.into(), answer });
        let given_up = self.given_up.clone();
        async move {
            let unknown = |reason: &str| TransactionError::Unknown { reason: reason.into() };
            asked.map_err(|_| unknown("the thread that transacts has ended"))?;
            match tokio::time::timeout(LIMIT + GRACE, outcome).await {
                Ok(answered) => answered.map_err(|_| unknown("the thread that transacts has ended"))?,
                Err(_) => {
                    given_up.store(true, Ordering::SeqCst);
                    Err(unknown("the transaction hangs"))
                }
            }
        }
    }
}

impl fmt::Debug for KafkaTransactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaTransactions").field("id", &self.id).finish_non_exhaustive()
    }
}

// What to say to whoever wants transactions of the embedded broker.
fn embedded() -> ConfigError {
    ConfigError::new(
        "delivery",
        "`delivery = \"exactly-once\"` needs transactions, which the embedded broker only pretends to have; set \
         `delivery = \"at-least-once\"`, or `kafka.brokers` to a real Kafka",
    )
}

#[cfg(test)]
mod tests;
