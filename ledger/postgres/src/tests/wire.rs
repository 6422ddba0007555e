//! A wire between the store and the server that can be cut, or fall silent.
use sqlx::postgres::PgConnectOptions;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What happens on the wire at the next COMMIT, or from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Nothing,
    /// The COMMIT is lost on its way, and so is the connection.
    Commit,
    /// The server commits; its answer is lost, and so is the connection.
    Answer,
    /// Nothing passes any more, and nobody hears of it.
    Silence,
}

const CUTS: [Cut; 4] = [Cut::Nothing, Cut::Commit, Cut::Answer, Cut::Silence];

pub(super) struct Wire {
    server: SocketAddr,
    near: SocketAddr,
    next: Arc<AtomicU8>,
    open: CancellationToken,
    tasks: TaskTracker,
}

impl Wire {
    /// A wire to the server of `url`, and the address by which to use it.
    pub(super) async fn to(url: &str) -> (Self, String) {
        let options = PgConnectOptions::from_str(url).unwrap();
        let far = format!("{}:{}", options.get_host(), options.get_port());
        let server = tokio::net::lookup_host(&far).await.unwrap().next().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = listener.local_addr().unwrap();
        let (next, tasks) = (Arc::new(AtomicU8::new(0)), TaskTracker::new());
        let mut wire = Self { server, near, next, open: CancellationToken::new(), tasks };
        wire.serve(listener);
        (wire, url.replacen(&far, &near.to_string(), 1))
    }

    pub(super) fn arm(&self, cut: Cut) {
        let index = CUTS.iter().position(|known| *known == cut).unwrap();
        self.next.store(u8::try_from(index).unwrap(), Ordering::Release);
    }

    /// Cuts every connection and takes no more: the server is gone.
    pub(super) async fn down(&self) {
        self.open.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(super) async fn up(&mut self) {
        self.arm(Cut::Nothing);
        self.tasks.reopen();
        self.open = CancellationToken::new();
        let listener = TcpListener::bind(self.near).await.unwrap();
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let (server, next) = (self.server, self.next.clone());
        let (tasks, open) = (self.tasks.clone(), self.open.clone());
        let serve = async move {
            while let Ok((near, _)) = listener.accept().await {
                let line = carry(near, server, next.clone());
                tasks.spawn(open.clone().run_until_cancelled_owned(line));
            }
        };
        self.tasks.spawn(self.open.clone().run_until_cancelled_owned(serve));
    }
}

/// Carries one connection until either side, or a cut, ends it.
async fn carry(mut near: TcpStream, server: SocketAddr, next: Arc<AtomicU8>) {
    let Ok(mut far) = TcpStream::connect(server).await else { return };
    let (mut up, mut down) = ([0; 65_536], [0; 65_536]);
    loop {
        tokio::select! {
            read = near.read(&mut up) => {
                let Ok(sent @ 1..) = read else { return };
                let cut = CUTS[usize::from(next.load(Ordering::Acquire))];
                if cut == Cut::Silence {
                    return std::future::pending().await;
                }
                let commits = up[..sent].windows(6).any(|word| word == b"COMMIT");
                if commits && cut == Cut::Commit {
                    return;
                }
                if far.write_all(&up[..sent]).await.is_err() {
                    return;
                }
                if commits && cut == Cut::Answer {
                    // It is done once the server has answered.
                    let _ = far.read(&mut down).await;
                    return;
                }
            }
            read = far.read(&mut down) => {
                let Ok(sent @ 1..) = read else { return };
                if near.write_all(&down[..sent]).await.is_err() {
                    return;
                }
            }
        }
    }
}
