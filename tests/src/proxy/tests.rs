//! The proxy before a fake broker that answers every request with its correlation id.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::*;

const SOON: Duration = Duration::from_secs(5);
/// Long enough for a message that is going to arrive.
const A_WHILE: Duration = Duration::from_millis(200);

/// Answers like a broker: the length, then the correlation id of the request.
async fn fake_broker() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 12];
                while client.read_exact(&mut request).await.is_ok() {
                    let response = [&[0, 0, 0, 4], &request[8..]].concat();
                    client.write_all(&response).await.unwrap();
                }
            });
        }
    });
    address
}

async fn proxy() -> Proxy {
    let proxy = Proxy::bind().await.unwrap();
    proxy.stand_before(fake_broker().await);
    proxy
}

struct Client(TcpStream);

impl Client {
    async fn of(proxy: &Proxy) -> Self {
        Self(TcpStream::connect(proxy.address()).await.unwrap())
    }

    async fn ask(&mut self, api_key: u8, correlation: u8) {
        self.0.write_all(&[0, 0, 0, 8, 0, api_key, 0, 1, 0, 0, 0, correlation]).await.unwrap();
    }

    /// The correlation id of the next response, if one comes.
    async fn answer(&mut self) -> Option<u8> {
        let mut response = [0; 8];
        timeout(SOON, self.0.read_exact(&mut response)).await.expect("an answer or an end comes").ok()?;
        Some(response[7])
    }

    async fn hears_nothing(&mut self) {
        let mut byte = [0];
        assert!(timeout(A_WHILE, self.0.read(&mut byte)).await.is_err(), "something came");
    }
}

#[tokio::test]
async fn carries_messages() {
    let proxy = proxy().await;
    let mut client = Client::of(&proxy).await;
    client.ask(3, 1).await;
    client.ask(3, 2).await;
    assert_eq!((client.answer().await, client.answer().await), (Some(1), Some(2)));
}

#[tokio::test]
async fn a_cut_ends_connections_and_refuses_new_ones() {
    let proxy = proxy().await;
    let mut client = Client::of(&proxy).await;
    client.ask(3, 1).await;
    assert_eq!(client.answer().await, Some(1));
    proxy.weather(Weather::Cut);
    assert_eq!(client.answer().await, None);
    // A reset may come before the connection is made, or right after.
    let mut byte = [0];
    if let Ok(mut refused) = TcpStream::connect(proxy.address()).await {
        assert!(matches!(timeout(SOON, refused.read(&mut byte)).await.unwrap(), Ok(0) | Err(_)));
    }
    proxy.weather(Weather::Clear);
    let mut again = Client::of(&proxy).await;
    again.ask(3, 2).await;
    assert_eq!(again.answer().await, Some(2));
}

#[tokio::test]
async fn a_hole_holds_one_direction_until_it_closes() {
    for direction in [Direction::ToBroker, Direction::ToClient] {
        let proxy = proxy().await;
        let mut client = Client::of(&proxy).await;
        client.ask(3, 1).await;
        assert_eq!(client.answer().await, Some(1));
        proxy.weather(Weather::Hole(direction));
        client.ask(3, 2).await;
        client.hears_nothing().await;
        proxy.weather(Weather::Clear);
        assert_eq!(client.answer().await, Some(2), "{direction:?}");
    }
}

#[tokio::test]
async fn a_slow_network_takes_its_time_each_way() {
    const DELAY: Duration = Duration::from_millis(60);
    let proxy = proxy().await;
    proxy.weather(Weather::Slow(DELAY));
    let mut client = Client::of(&proxy).await;
    let start = Instant::now();
    // Side by side: many messages take no longer than one.
    for correlation in 0..20 {
        client.ask(3, correlation).await;
    }
    for correlation in 0..20 {
        assert_eq!(client.answer().await, Some(correlation));
    }
    assert!(start.elapsed() >= 2 * DELAY, "{:?}", start.elapsed());
    assert!(start.elapsed() < 8 * DELAY, "one after the other: {:?}", start.elapsed());
}

#[tokio::test]
async fn one_response_of_the_kind_is_lost_and_the_connection_with_it() {
    let proxy = proxy().await;
    let mut client = Client::of(&proxy).await;
    proxy.lose_response_to(api::END_TXN);
    client.ask(3, 1).await;
    assert_eq!(client.answer().await, Some(1), "another kind is not touched");
    client.ask(26, 2).await;
    client.hears_nothing().await;
    assert_eq!(client.answer().await, None);
    assert_eq!(proxy.lost_responses(), 1);
    let mut again = Client::of(&proxy).await;
    again.ask(26, 3).await;
    assert_eq!(again.answer().await, Some(3), "only once");
}

#[tokio::test]
async fn nobody_behind_it_is_a_refusal() {
    let proxy = Proxy::bind().await.unwrap();
    let mut client = Client::of(&proxy).await;
    assert_eq!(client.answer().await, None);
}
