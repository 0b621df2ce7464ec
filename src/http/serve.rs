//! Serving a listener within bounds: so many connections at once, each with so much time to say what it wants. Who opens
//! connections and says nothing, or says it a byte at a time, holds a place for a while and nobody else up.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a connection could not be taken, such as for want of file handles.
const AFTER_ERROR: Duration = Duration::from_millis(200);

/// How much a listener takes on.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; more wait in the system's queue.
    pub connections: usize,
    /// How long a connection may take until the head of its next request has come whole.
    pub idle: Duration,
}

/// Serves until `stop`, then lets running requests end.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let tasks = TaskTracker::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, router.clone(), bounds.idle, stop.clone());
                tasks.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be taken");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

async fn connection(stream: TcpStream, router: Router, idle: Duration, stop: CancellationToken) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(idle);
    let mut served = pin!(server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        ended = served.as_mut() => return tell(ended),
        () = stop.cancelled() => served.as_mut().graceful_shutdown(),
    }
    tell(served.await);
}

/// What is no HTTP is answered 400 by the server itself; here is only told that it came.
fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended badly");
    }
}
