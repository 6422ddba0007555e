//! One connection: hyper's HTTP/1.1 over a bounded socket.
use crate::activity::Activity;
use crate::config::Config;
use crate::framing::Requests;
use crate::front::{self, Front, Peer};
use crate::metrics::Counted;
use crate::socket::{Socket, Timeouts};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Serves a connection until it ends; `cut` ends it at once.
pub(crate) async fn serve(
    front: Arc<Front>,
    stream: TcpStream,
    address: IpAddr,
    cut: CancellationToken,
) {
    let _counted = Counted::connection();
    // Answers are written whole; waiting to merge them helps nobody.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let activity = Arc::new(Activity::default());
    let socket = {
        let config = &front.app.config;
        let requests = Requests::new(config.connection_buffer_bytes, config.headers_max);
        Socket::new(stream, activity.clone(), timeouts(config), requests)
    };
    let draining = front.app.draining.clone();
    let builder = builder(&front.app.config);
    let peer = Arc::new(Peer { front, address, activity });
    let service = service_fn(move |request| front::answer(&peer, request));
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    // How a connection ends is the client's affair; what matters was counted where it happened.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = draining.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = cut.cancelled() => {}
    }
}

fn timeouts(config: &Config) -> Timeouts {
    let millis = Duration::from_millis;
    Timeouts {
        idle: millis(config.keep_alive_timeout_ms),
        head: millis(config.header_read_timeout_ms),
        write: millis(config.write_timeout_ms),
        linger: millis(config.linger_ms),
    }
}

fn builder(config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The socket keeps the time for heads: see `socket.rs`.
    builder
        .header_read_timeout(None)
        // Answers are small: one copy is cheaper than gathering head and body in the kernel.
        .writev(false)
        .max_buf_size(config.connection_buffer_bytes)
        .max_headers(config.headers_max);
    builder
}
