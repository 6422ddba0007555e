//! A Redis of a test's own: it may be flushed, killed and started again.
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A server on a port of its own that keeps nothing on disk. It ends with the test.
pub struct PrivateRedis {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl PrivateRedis {
    /// Starts one, and waits until it takes connections.
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut server = Self { folder, port, process: None };
        server.up().await;
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends the process at once; everything in it is lost.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the process can be killed");
            process.wait().expect("the process ends");
        }
    }

    /// Starts it again, on the same port.
    pub async fn up(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]);
        command.current_dir(self.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("these tests need the program redis-server: `ops/dev/up redis` ({error})")
        });
        self.process = Some(process);
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok()?);
            assert!(ended.is_none(), "redis-server ended at once: {ended:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        self.kill();
    }
}
