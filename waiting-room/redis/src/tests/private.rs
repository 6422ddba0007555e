//! A Redis of our own, without persistence, that tests may wipe, restart and kill.
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// `redis-server` on a free port; it ends with this.
pub(super) struct Private {
    port: u16,
    folder: tempfile::TempDir,
    server: Child,
}

impl Private {
    pub(super) async fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().await;
        let server = launch(port, folder.path(), more);
        let private = Self { port, folder, server };
        private.answers().await;
        private
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// As after a crash: another process, and nothing in it.
    pub(super) async fn restart(&mut self) {
        self.stop();
        self.server = launch(self.port, self.folder.path(), &[]);
        self.answers().await;
    }

    pub(super) fn stop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Sends a command of plain words and reads the first bytes of what comes.
    pub(super) async fn tell(&self, words: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(format!("{words}\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 256];
        let count = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..count]).into_owned()
    }

    async fn answers(&self) {
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while !self.tell("PING").await.starts_with("+PONG") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

fn launch(port: u16, folder: &std::path::Path, more: &[&str]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(folder)
        .args(more)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed, as `ops/dev/up redis` does")
}

/// Stands between a store and its server, and loses answers when it is told to.
pub(super) struct Wiretap {
    pub(super) port: u16,
    lose: tokio::sync::watch::Sender<bool>,
    _relays: tokio::task::JoinSet<()>,
}

impl Wiretap {
    pub(super) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (lose, losing) = tokio::sync::watch::channel(false);
        let mut relays = tokio::task::JoinSet::new();
        let stop = lose.clone();
        relays.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).await;
                let (losing, stop) = (losing.clone(), stop.clone());
                if let Ok(server) = server {
                    relay(client, server, losing, stop).await;
                }
            }
        });
        Self { port, lose, _relays: relays }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The next answer is lost with its connection; what was asked has happened.
    pub(super) fn lose_next(&self) {
        self.lose.send_replace(true);
    }
}

/// Carries bytes both ways until one side ends, or an answer is to be lost.
async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    losing: tokio::sync::watch::Receiver<bool>,
    stop: tokio::sync::watch::Sender<bool>,
) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => match count {
                Ok(count) if count > 0 => server.write_all(&asked[..count]).await.unwrap(),
                Ok(_) | Err(_) => return,
            },
            count = server.read(&mut answered) => match count {
                Ok(count) if count > 0 => {
                    if *losing.borrow() {
                        stop.send_replace(false);
                        return;
                    }
                    client.write_all(&answered[..count]).await.unwrap();
                }
                Ok(_) | Err(_) => return,
            },
        }
    }
}
