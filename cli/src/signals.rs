//! SIGINT and SIGTERM: the first asks a command to finish, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// A token that is cancelled by the first SIGINT or SIGTERM.
pub(crate) fn stop_token() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    // Installed before the task runs, so that no signal falls between.
    let (mut interrupt, mut terminate) = listen();
    tokio::spawn(async move {
        next(&mut interrupt, &mut terminate).await;
        tracing::info!("stop asked for; finishing what runs (a second signal ends at once)");
        token.cancel();
    });
    stop
}

/// Resolves at the first signal: for commands that have nothing to finish.
pub(crate) async fn first_signal() {
    let (mut interrupt, mut terminate) = listen();
    next(&mut interrupt, &mut terminate).await;
}

/// Resolves at the second signal.
pub(crate) async fn second_signal() -> Exit {
    let (mut interrupt, mut terminate) = listen();
    next(&mut interrupt, &mut terminate).await;
    next(&mut interrupt, &mut terminate).await;
    Exit::Interrupted
}

fn listen() -> (Signal, Signal) {
    let listen = |kind| signal(kind).expect("SIGINT and SIGTERM can always be listened to");
    (listen(SignalKind::interrupt()), listen(SignalKind::terminate()))
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
