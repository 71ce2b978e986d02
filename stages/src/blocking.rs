//! Work that computes, off the threads of the async runtime.

/// Runs it on a thread for blocking work. A panic that nothing below contains goes on to the caller, who must not answer
/// the jobs. A runtime that shuts down runs nothing any more, and then there is no outcome: the jobs are for the next
/// worker.
pub(crate) async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(run).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => std::future::pending().await,
    }
}
