//! Just enough HTTP to ask a worker how it is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(5);

/// Status and body of a GET.
///
/// # Errors
/// When nobody answers, or not in time.
pub async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let answer = tokio::time::timeout(PATIENCE, async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    });
    let answer = answer.await.with_context(|| format!("GET {path}: no answer in time"))??;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
    let status = head.split_whitespace().nth(1).context("an answer has a status")?.parse()?;
    Ok((status, body.to_owned()))
}
