//! Reading a topic from a point to a fixed end.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use transport::{Offset, ReadFrom, Reader, Received, Transport, TransportError};

/// How long reading may stand still before the brokers count as out of reach.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a topic may refuse to be opened.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// For each partition, by number, the offset after its last record.
pub type Ends = BTreeMap<i32, Offset>;

/// Where the topic ends now, once that is at least at `floor`. Records of a transaction that is being ended come a moment
/// after its offsets.
pub(crate) async fn ends<T: Transport>(
    transport: &T,
    topic: &str,
    floor: &Ends,
    patience: Duration,
) -> Result<Ends, TransportError> {
    let deadline = Instant::now() + patience;
    loop {
        let ends = reader(transport, topic, ReadFrom::End).await?.end().clone();
        let end_of = |partition| ends.get(partition).copied().unwrap_or(Offset::ZERO);
        let behind = floor.iter().find(|(partition, floor)| end_of(partition) < **floor);
        let Some((partition, floor)) = behind else { return Ok(ends) };
        if Instant::now() >= deadline {
            return Err(TransportError::Unavailable {
                what: format!("reading `{topic}`"),
                reason: format!(
                    "partition {partition} holds an unfinished transaction below offset {floor} since {} s; wait until \
                     it is ended, at the latest by the broker (transaction.timeout.ms)",
                    patience.as_secs()
                ),
            });
        }
        sleep(PAUSE).await;
    }
}

/// Opens a reader; brokers that are about to find out who leads get the time for it.
async fn reader<T: Transport>(
    transport: &T,
    topic: &str,
    from: ReadFrom,
) -> Result<T::Reader, TransportError> {
    let deadline = Instant::now() + OPEN_PATIENCE;
    loop {
        match transport.reader(topic, from.clone()).await {
            Err(error) if error.is_retryable() && Instant::now() < deadline => {
                tracing::debug!(%error, topic, "cannot open the topic for now; trying again");
                sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// The records of a topic up to a fixed end, in order within each partition.
pub(crate) struct Scan<'a, R> {
    topic: &'a str,
    reader: R,
    ends: &'a Ends,
}

/// Opens a topic to be read from `from` up to `ends`.
pub(crate) async fn open<'a, T: Transport>(
    transport: &T,
    topic: &'a str,
    from: ReadFrom,
    ends: &'a Ends,
) -> Result<Scan<'a, T::Reader>, TransportError> {
    let reader = reader(transport, topic, from).await?;
    Ok(Scan { topic, reader, ends })
}

impl<R: Reader> Scan<'_, R> {
    /// The next record; `None` after the last one before the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Received>, TransportError> {
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(next) = timeout_at(deadline, self.reader.next()).await else {
                return Err(TransportError::Unavailable {
                    what: format!("reading `{}`", self.topic),
                    reason: format!("nothing came for {} s; see that the brokers are up", PATIENCE.as_secs()),
                });
            };
            match next {
                Ok(None) => return Ok(None),
                Ok(Some(received)) => {
                    deadline = Instant::now() + PATIENCE;
                    let end = self.ends.get(&received.position.partition.index);
                    if received.position.offset < end.copied().unwrap_or(Offset::ZERO) {
                        return Ok(Some(received));
                    }
                }
                Err(error) if error.is_retryable() && Instant::now() < deadline => {
                    tracing::warn!(%error, topic = self.topic, "cannot read for now; trying again");
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
