//! A server that goes away and comes back: errors meanwhile, then everything goes on by itself.
use super::{TestViews, bounds, server};
use crate::{ScyllaBounds, ScyllaViews};
use ledger::conformance::sample::SampleEvent;
use ledger::{Booking, Clock, Views};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A way to the shared server that this test alone can cut.
struct Way {
    address: SocketAddr,
    open: Option<JoinSet<()>>,
}

impl Way {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, open: Some(carry(listener)) }
    }

    /// Every connection ends, and none is made.
    async fn cut(&mut self) {
        self.open.take().expect("it is open").shutdown().await;
    }

    async fn mend(&mut self) {
        self.open = Some(carry(TcpListener::bind(self.address).await.unwrap()));
    }
}

fn carry(listener: TcpListener) -> JoinSet<()> {
    let mut open = JoinSet::new();
    open.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut far = TcpStream::connect(server()).await.unwrap();
                // Either side may end it.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    open
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_is_found_again() {
    let test = TestViews::open(bounds()).await;
    let mut way = Way::new().await;
    let address = way.address.to_string();
    let views = ScyllaViews::open(&address, &test.keyspace, bounds(), Clock::System).await.unwrap();
    let mut booking = Booking::placed(&SampleEvent::default().place(&["a-1"]));
    views.put(std::slice::from_ref(&booking)).await.unwrap();

    way.cut().await;
    booking.version = 2;
    let unwritten = views.put(std::slice::from_ref(&booking)).await.unwrap_err();
    assert!(unwritten.is_unknown(), "{unwritten}");
    let unread = views.booking(&booking.id).await.unwrap_err();
    assert!(unread.is_retryable(), "{unread}");

    way.mend().await;
    let again = async {
        while views.put(std::slice::from_ref(&booking)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("it is found again");
    assert_eq!(views.booking(&booking.id).await.unwrap(), Some(booking));
    test.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let bounds = ScyllaBounds { connect_timeout: Duration::from_millis(200), ..bounds() };
    let opened = ScyllaViews::open(&address, "nowhere", bounds, Clock::System).await;
    assert!(opened.is_err_and(|error| error.is_retryable()));
}
