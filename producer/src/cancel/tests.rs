use schemas::JobId;
use transport::Memory;

use super::*;
use crate::client::ClientOptions;

const CANCELLATIONS: &str = "millstream.digits.cancellations";

fn client(memory: &Memory) -> Client<Memory> {
    Client::new(memory.clone(), ClientOptions { name: "my app".to_owned(), ..ClientOptions::new("digits") })
}

async fn check(cancellation: Cancellation, key: &str) {
    let memory = Memory::new();
    memory.create_topic(CANCELLATIONS, 3);
    client(&memory).cancel(cancellation.clone()).await.unwrap();
    let [received] = memory.records(CANCELLATIONS).try_into().unwrap();
    let record = received.record;
    assert_eq!((record.key.as_deref(), record.value), (Some(key.as_bytes()), None));
    let pairs = || record.headers.iter().map(|header| (&*header.name, header.value.as_deref()));
    assert_eq!(Cancellation::read(pairs()), Ok(cancellation));
    let source = pairs().find(|(name, _)| *name == "ce_source").unwrap().1;
    assert_eq!(source, Some(b"/millstream/producer/my%20app".as_slice()));
}

#[tokio::test]
async fn a_cancellation_is_one_record_under_its_key() {
    check(Cancellation::Job(JobId::new("a-17").unwrap()), "a-17").await;
    check(Cancellation::Batch("monday".to_owned()), "monday").await;
}

#[tokio::test]
async fn what_is_not_acknowledged_says_what_it_was() {
    let memory = Memory::new();
    let error = client(&memory).cancel(Cancellation::Batch("monday".to_owned())).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot cancel batch monday: "), "{error}");
    assert!(error.to_string().contains(CANCELLATIONS), "{error}");
}
