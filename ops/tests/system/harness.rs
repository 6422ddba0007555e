//! A real `tidegate serve` on a folder of its own, and a visitor's HTTP client for it.
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Far more than anything here takes; a wait that long is a failure, never a measurement.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) const ADMIN: (&str, &str) = ("admin", "an admin's long password");
pub(crate) const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

/// A running node.
pub(crate) struct Node {
    child: Child,
    /// What it writes on stderr: a file, so that it never waits for a reader.
    said: std::fs::File,
    pub(crate) base: String,
    pub(crate) admin: String,
}

/// The command with nothing of this process's environment but the path.
pub(crate) fn tidegate(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(TIDEGATE);
    command.args(arguments).arg("--data").arg(data).env_clear();
    command.env("TIDEGATE_ADMIN_USERNAME", ADMIN.0).env("TIDEGATE_ADMIN_PASSWORD", ADMIN.1);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs `serve`, which must end by itself with this exit code and these words on stderr.
pub(crate) async fn serve_refuses(
    data: &Path,
    arguments: &[&str],
    env: &[(&str, &str)],
    code: i32,
    words: &str,
) {
    let mut all = vec!["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    all.extend(arguments);
    let mut command = tidegate(data, &all);
    command.envs(env.iter().copied());
    let output = timeout(PATIENCE, command.output()).await.expect("serve ends").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.contains(words), "{errors}");
    assert!(output.stdout.is_empty(), "it never said that it was ready");
}

/// Runs a verb to its end.
pub(crate) async fn verb(data: &Path, arguments: &[&str]) -> Output {
    let running = tidegate(data, arguments).output();
    timeout(PATIENCE, running).await.expect("the verb ends").expect("the verb starts")
}

/// The audit must hold, and must have looked at something.
pub(crate) async fn assert_audit_holds(data: &Path) {
    assert_held(&verb(data, &["audit"]).await);
}

/// What an audit of a queue in which nothing was sold must have looked at.
const QUEUE_INVARIANTS: [&str; 4] =
    ["numbers-given-once", "admission-rate-holds", "capacity-holds", "history-only-grows"];

/// As [`assert_audit_holds`], for a folder in which people were admitted and nothing was sold.
pub(crate) async fn assert_queue_audit_holds(data: &Path) {
    assert_queue_held(&verb(data, &["audit"]).await);
}

/// As [`assert_held`], where people were admitted and nothing was sold.
pub(crate) fn assert_queue_held(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for name in QUEUE_INVARIANTS {
        let held = |line: &str| line.contains(&format!(" {name} held "));
        assert!(text.lines().any(held), "{name} was not held: {text}");
    }
}

/// What an audit printed must hold, and it must have looked at something.
pub(crate) fn assert_held(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.lines().filter(|line| line.contains(" held ")).count() >= 10, "{text}");
}

impl Node {
    /// Starts `serve` with free ports and waits until it is ready.
    pub(crate) async fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_at(data, "127.0.0.1:0", more).await
    }

    /// Starts `serve` at an address.
    pub(crate) async fn start_at(data: &Path, listen: &str, more: &[&str]) -> Self {
        let mut arguments = vec!["serve", "--listen", listen, "--admin-listen", "127.0.0.1:0"];
        arguments.extend(more);
        Self::run(tidegate(data, &arguments)).await
    }

    /// Starts a prepared `serve` command and waits until it is ready.
    pub(crate) async fn run(mut command: Command) -> Self {
        let said = tempfile::tempfile().expect("a temporary file");
        command.stdout(Stdio::piped()).stderr(said.try_clone().expect("a second handle"));
        let mut child = command.spawn().expect("serve starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("serve says it is ready");
        let Some(line) = line.expect("stdout is readable") else {
            panic!("serve ended before it was ready: {}", text_of(said));
        };
        let words: Vec<&str> = line.split(' ').collect();
        let ["tidegate", "ready:", base, "admin", admin] = words[..] else {
            panic!("not the ready line: {line}");
        };
        let (base, admin) = (base.to_owned(), admin.to_owned());
        Self { child, said, base, admin }
    }

    /// Where another process of ours can read what it writes on stderr.
    pub(crate) fn log(&self) -> PathBuf {
        let file = self.said.as_raw_fd();
        PathBuf::from(format!("/proc/{}/fd/{file}", std::process::id()))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.base)
    }

    /// kill -9, at whatever it is doing.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the node can be killed");
    }

    /// SIGTERM, and waits for the drain.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        let pid = self.child.id().expect("the node runs");
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid is positive");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be told");
        timeout(PATIENCE, self.child.wait()).await.expect("it drains").expect("it ends")
    }

    /// SIGTERM, and everything it wrote on stderr.
    pub(crate) async fn stop_and_read(self) -> String {
        let said = self.said.try_clone().expect("a second handle");
        self.stop().await;
        text_of(said)
    }

    /// Waits until it ends by itself; how, and what it wrote on stderr.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let said = self.said.try_clone().expect("a second handle");
        (ended.expect("it ends by itself").expect("it can be waited for"), text_of(said))
    }
}

impl Drop for Node {
    /// What a node said is worth reading when its test fails.
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(said) = self.said.try_clone()
        {
            eprintln!("--- {} said:\n{}", self.base, text_of(said));
        }
    }
}

fn text_of(mut file: std::fs::File) -> String {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("stderr is text");
    text
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The JSON, if the status is the expected one.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{body}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The text, if the status is the expected one.
    #[track_caller]
    pub(crate) fn expect_text(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status);
        String::from_utf8(self.body.to_vec()).expect("text")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Speaks to one node; clones share its connections.
#[derive(Clone)]
pub(crate) struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    base: String,
    /// Sent with every request.
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let http = Http::builder(TokioExecutor::new()).build_http();
        Self { http, base: base.to_owned(), headers: Vec::new() }
    }

    #[must_use]
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// The same visitor, at another node.
    #[must_use]
    pub(crate) fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    #[must_use]
    pub(crate) fn logged_in(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// One request; an error when the node died under it.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let bytes = body.as_ref().map_or_else(Bytes::new, |body| body.to_string().into());
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(bytes)).expect("a sound request");
        let exchange = async {
            let response = self.http.request(request).await.map_err(|e| e.to_string())?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        timeout(PATIENCE, exchange).await.map_err(|_| "no answer".to_owned())?
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.try_send(Method::GET, path, None).await.expect("an answer")
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.try_send(Method::POST, path, Some(body)).await.expect("an answer")
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.try_send(Method::PATCH, path, Some(body)).await.expect("an answer")
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.try_send(Method::DELETE, path, None).await.expect("an answer")
    }

    /// Logs in and speaks as that account from now on.
    pub(crate) async fn login(&self, username: &str, password: &str) -> Self {
        let body = json!({"username": username, "password": password});
        let answer = self.post("/api/auth/login", body).await.expect(200);
        self.logged_in(answer["token"].as_str().expect("a token"))
    }

    /// Registers and logs in.
    pub(crate) async fn register(&self, username: &str) -> Self {
        let body = json!({"username": username, "password": "correct horse"});
        self.post("/api/auth/register", body).await.expect(201);
        self.login(username, "correct horse").await
    }

    pub(crate) async fn as_admin(&self) -> Self {
        self.login(ADMIN.0, ADMIN.1).await
    }

    /// Makes an event and gives back its id.
    pub(crate) async fn event(&self, body: Value) -> String {
        let event = self.as_admin().await.post("/api/events", body).await.expect(201);
        event["id"].as_str().expect("an id").to_owned()
    }

    /// Polls a booking until it is terminal, by long polls.
    pub(crate) async fn settled(&self, booking: &str) -> Value {
        let path = format!("/api/bookings/{booking}?wait=20");
        let ask = async {
            loop {
                let booking = self.get(&path).await.expect(200);
                if !matches!(booking["status"].as_str(), Some("processing" | "refund_pending")) {
                    return booking;
                }
            }
        };
        timeout(PATIENCE, ask).await.expect("the booking becomes terminal")
    }
}

/// `count` login tokens, minted beside the live node.
pub(crate) async fn mint(data: &Path, count: usize) -> Vec<String> {
    minted(&verb(data, &["account", "mint", "--count", &count.to_string()]).await, count)
}

/// The tokens that `account mint` printed.
pub(crate) fn minted(output: &Output, count: usize) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tokens: Vec<String> =
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!(tokens.len(), count);
    tokens
}

/// The loadtest executable, which is built beside this one.
pub(crate) fn loadtest() -> PathBuf {
    let path = Path::new(TIDEGATE).with_file_name("loadtest");
    assert!(path.exists(), "build it first: cargo build --workspace --bins");
    path
}
