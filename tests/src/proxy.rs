//! A bad network between clients and a broker: a TCP proxy of the tests' own, which cuts, delays, swallows one direction,
//! or loses one response. It knows no more of Kafka than where a message begins and what it asks.

mod connection;
mod frames;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToBroker,
    /// Responses.
    ToClient,
}

/// What the network does with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It carries them.
    Clear,
    /// Every connection has broken, and no new one comes about.
    Cut,
    /// Nothing arrives that goes this way; it arrives when the weather clears, as TCP sends it again.
    Hole(Direction),
    /// Every message takes so long, each way.
    Slow(Duration),
}

/// Kinds of requests, by Kafka's numbers.
pub mod api {
    /// Records to be written.
    pub const PRODUCE: i16 = 0;
    /// Offsets of a group, outside of a transaction.
    pub const OFFSET_COMMIT: i16 = 8;
    /// The end of a transaction.
    pub const END_TXN: i16 = 26;
    /// Offsets of a group, in a transaction.
    pub const TXN_OFFSET_COMMIT: i16 = 28;
}

const NOTHING: i32 = -1;

/// What all connections share.
struct State {
    weather: watch::Sender<Weather>,
    /// The kind of request whose next response is lost, or [`NOTHING`].
    to_lose: AtomicI32,
    lost: AtomicU32,
}

impl State {
    async fn is_cut(&self) {
        let mut weather = self.weather.subscribe();
        // The sender lives as long as this.
        weather.wait_for(|weather| *weather == Weather::Cut).await.ok();
    }

    /// Whether a request of this kind is the one that gets no response; only one does.
    fn claim_loss(&self, api_key: i16) -> bool {
        let wanted = i32::from(api_key);
        self.to_lose.compare_exchange(wanted, NOTHING, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// A proxy in front of one listener of a broker.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    broker: Arc<Mutex<Option<SocketAddr>>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Takes a port. There is nobody behind it until [`Proxy::stand_before`]: a broker must know the address that it
    /// advertises before it starts.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn bind() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            weather: watch::Sender::new(Weather::Clear),
            to_lose: AtomicI32::new(NOTHING),
            lost: AtomicU32::new(0),
        });
        let broker = Arc::new(Mutex::new(None));
        let accepting = tokio::spawn(accept(listener, state.clone(), broker.clone()));
        Ok(Self { address, state, broker, accepting })
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says which listener it stands before.
    ///
    /// # Panics
    /// Never: nobody panics with the address in hand.
    pub fn stand_before(&self, broker: SocketAddr) {
        *self.broker.lock().expect("no holder panics") = Some(broker);
    }

    /// Changes what the network does, for connections that are open too.
    pub fn weather(&self, weather: Weather) {
        self.state.weather.send_replace(weather);
    }

    /// Loses the response to the next request of this kind: the broker does what it was asked, and the client never hears
    /// of it.
    pub fn lose_response_to(&self, api_key: i16) {
        self.state.to_lose.store(i32::from(api_key), Ordering::Relaxed);
    }

    /// Loses nothing any more.
    pub fn lose_nothing(&self) {
        self.state.to_lose.store(NOTHING, Ordering::Relaxed);
    }

    /// How many responses it has lost.
    pub fn lost_responses(&self) -> u32 {
        self.state.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its connections go with it.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, broker: Arc<Mutex<Option<SocketAddr>>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (state, broker) = (state.clone(), *broker.lock().expect("no holder panics"));
        // An error ends one connection, which is all that anybody needs to know of it.
        connections.spawn(async move { through(&state, client, broker).await.ok() });
        while connections.try_join_next().is_some() {}
    }
}

async fn through(state: &State, client: TcpStream, broker: Option<SocketAddr>) -> Result<()> {
    // A client that is refused sees a reset.
    client.set_zero_linger()?;
    let Some(broker) = broker.filter(|_| *state.weather.borrow() != Weather::Cut) else { return Ok(()) };
    let broker = TcpStream::connect(broker).await?;
    connection::carry(state, client, broker).await
}
