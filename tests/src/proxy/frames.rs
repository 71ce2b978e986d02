//! As much of Kafka's protocol as a proxy must know: where a message ends, what a request asks, which request a response
//! belongs to.

use anyhow::{Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Far above what any client or broker of the tests sends; anything larger is not Kafka's protocol.
const LARGEST: usize = 256 * 1024 * 1024;
const LENGTH: usize = 4;

/// A request or a response, its length in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame(Vec<u8>);

impl Frame {
    /// The next one; none at the end of the stream.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>> {
        let mut length = [0; LENGTH];
        if from.read(&mut length[..1]).await? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut length[1..]).await?;
        let content = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        ensure!(content <= LARGEST, "this is not Kafka's protocol: a message of {content} bytes");
        let mut bytes = vec![0; LENGTH + content];
        bytes[..LENGTH].copy_from_slice(&length);
        from.read_exact(&mut bytes[LENGTH..]).await?;
        Ok(Some(Self(bytes)))
    }

    /// All of it, as it goes over the wire.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Of a request: which kind it is.
    pub(super) fn api_key(&self) -> Option<i16> {
        let bytes = self.0.get(LENGTH..LENGTH + 2)?;
        Some(i16::from_be_bytes(bytes.try_into().ok()?))
    }

    /// Of a request: what its response will be recognised by.
    pub(super) fn correlation_of_request(&self) -> Option<i32> {
        self.number_at(LENGTH + 4)
    }

    /// Of a response: which request it belongs to.
    pub(super) fn correlation_of_response(&self) -> Option<i32> {
        self.number_at(LENGTH)
    }

    fn number_at(&self, place: usize) -> Option<i32> {
        Some(i32::from_be_bytes(self.0.get(place..place + 4)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8]) -> Result<Vec<Frame>> {
        let mut frames = Vec::new();
        while let Some(frame) = Frame::read(&mut bytes).await? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[tokio::test]
    async fn takes_a_stream_apart() {
        let request = [0, 0, 0, 9, 0, 26, 0, 3, 0, 0, 1, 0, 7];
        let response = [0, 0, 0, 4, 0, 0, 1, 0];
        let frames = read(&[&request[..], &response[..]].concat()).await.unwrap();
        let [first, second] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((first.api_key(), first.correlation_of_request()), (Some(26), Some(256)));
        assert_eq!(first.bytes(), request);
        assert_eq!(second.correlation_of_response(), Some(256));
    }

    #[tokio::test]
    async fn whatever_is_not_a_message_is_an_error_or_has_no_head() {
        assert!(read(&[0, 0, 0, 9, 1]).await.is_err());
        assert!(read(b"GET / HTTP/1.1\r\n").await.is_err());
        let empty = read(&[0, 0, 0, 0]).await.unwrap();
        assert_eq!((empty[0].api_key(), empty[0].correlation_of_response()), (None, None));
    }
}
