//! One client's connection through the proxy: two pumps, each with a queue between its reader and its writer, so that a
//! delay costs time and not throughput.

use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::frames::Frame;
use super::{Direction, State, Weather};

/// Messages on their way in one direction; a delay of 300 ms lets thousands a second through.
const ON_THE_WAY: usize = 1024;
/// How long a client waits for a response that was lost before it finds its connection closed.
const SILENCE: Duration = Duration::from_secs(2);

/// A connection, and the response that it is going to lose.
struct Connection<'a> {
    state: &'a State,
    losing: Mutex<Option<i32>>,
}

/// Lets messages through in both directions, until both sides have ended or the network is cut.
pub(super) async fn carry(state: &State, client: TcpStream, broker: TcpStream) -> Result<()> {
    for stream in [&client, &broker] {
        stream.set_nodelay(true)?;
        // Ended as a cut network does: not with an orderly farewell.
        stream.set_zero_linger()?;
    }
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let connection = Connection { state, losing: Mutex::new(None) };
    let requests = connection.pump(Direction::ToBroker, from_client, to_broker);
    let responses = connection.pump(Direction::ToClient, from_broker, to_client);
    let both = async { tokio::try_join!(requests, responses).map(drop) };
    tokio::select! {
        ended = both => ended,
        () = state.is_cut() => bail!("cut"),
    }
}

impl Connection<'_> {
    async fn pump(&self, direction: Direction, from: OwnedReadHalf, to: OwnedWriteHalf) -> Result<()> {
        let (queue, queued) = mpsc::channel(ON_THE_WAY);
        let weather = self.state.weather.subscribe();
        let (read, write) =
            (pin!(self.read(direction, from, queue)), pin!(write(direction, queued, to, weather)));
        tokio::try_join!(read, write).map(drop)
    }

    async fn read(
        &self,
        direction: Direction,
        mut from: OwnedReadHalf,
        queue: mpsc::Sender<(Instant, Frame)>,
    ) -> Result<()> {
        while let Some(frame) = Frame::read(&mut from).await? {
            match direction {
                Direction::ToBroker => self.note_request(&frame),
                Direction::ToClient => self.lose_response(&frame).await?,
            }
            let delay = match *self.state.weather.borrow() {
                Weather::Slow(delay) => delay,
                _ => Duration::ZERO,
            };
            if queue.send((Instant::now() + delay, frame)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Remembers the request whose response is to be lost.
    fn note_request(&self, frame: &Frame) {
        if let (Some(api_key), Some(correlation)) = (frame.api_key(), frame.correlation_of_request())
            && self.state.claim_loss(api_key)
        {
            *self.losing.lock().expect("no holder panics") = Some(correlation);
        }
    }

    /// Keeps the response that is to be lost, and after a while gives the connection up as TCP would.
    async fn lose_response(&self, frame: &Frame) -> Result<()> {
        let losing = *self.losing.lock().expect("no holder panics");
        if losing.is_some() && losing == frame.correlation_of_response() {
            self.state.count_lost();
            sleep(SILENCE).await;
            bail!("a response was lost");
        }
        Ok(())
    }
}

/// Writes what is queued, each message when it is due and the network lets it through. What is held back is not lost: TCP
/// sends it again until it arrives.
async fn write(
    direction: Direction,
    mut queued: mpsc::Receiver<(Instant, Frame)>,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) -> Result<()> {
    while let Some((due, frame)) = queued.recv().await {
        sleep_until(due).await;
        weather.wait_for(|weather| *weather != Weather::Hole(direction)).await?;
        to.write_all(frame.bytes()).await?;
    }
    // Whoever read the last message finds the end behind it.
    to.shutdown().await?;
    Ok(())
}
