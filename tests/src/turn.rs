//! One test at a time: a pipeline under load and a Kafka fill two cores, and a test that shares them measures its
//! neighbour.

use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other test of this binary holds its turn.
pub async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}
