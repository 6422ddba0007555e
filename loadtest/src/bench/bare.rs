//! The bare server: hyper and nothing else, on the runtime that Tidegate runs on.
use crate::say;
use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// What the first line on stdout begins with.
pub(super) const READY: &str = "bare ready: ";

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("answer").required(true))]
pub(crate) struct BareFlags {
    /// Answer every GET with the bytes of this file.
    #[arg(long, value_name = "FILE", group = "answer")]
    body: Option<PathBuf>,
    /// Answer every POST with its own body.
    #[arg(long, group = "answer")]
    echo: bool,
    /// No HTTP at all: the bytes of this file for every read, to find the generator's ceiling.
    #[arg(long, value_name = "FILE", group = "answer")]
    canned: Option<PathBuf>,
    /// A header of every answer.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
}

/// What every connection is answered with.
enum Answers {
    Body(Bytes, HeaderMap),
    Echo,
    Canned(Bytes),
}

/// Serves until killed; says where on its first line.
pub(crate) fn bare(flags: &BareFlags) -> anyhow::Result<()> {
    let answers = Arc::new(Answers::new(flags)?);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().build().context("starting the runtime")?.block_on(serve(answers))
}

async fn serve(answers: Arc<Answers>) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
    let address = listener.local_addr().context("listening")?;
    say(&format!("{READY}http://{address}\n"))?;
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await.context("accepting")?;
        stream.set_nodelay(true).context("accepting")?;
        connections.spawn(talk(stream, answers.clone()));
    }
}

async fn talk(stream: TcpStream, answers: Arc<Answers>) {
    if let Answers::Canned(bytes) = &*answers {
        return repeat(stream, bytes).await;
    }
    let service = service_fn(move |request| answer(request, answers.clone()));
    let connection = hyper::server::conn::http1::Builder::new();
    // A connection that breaks is its client's business.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    answers: Arc<Answers>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match &*answers {
        Answers::Body(body, _) => (StatusCode::OK, body.clone()),
        Answers::Echo => {
            let body = request.into_body().collect().await;
            (StatusCode::CREATED, body.map(|body| body.to_bytes()).unwrap_or_default())
        }
        Answers::Canned(bytes) => (StatusCode::OK, bytes.clone()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    if let Answers::Body(_, headers) = &*answers {
        response.headers_mut().clone_from(headers);
    }
    Ok(response)
}

/// One answer for whatever was read: only for clients that send a request at a time.
async fn repeat(mut stream: TcpStream, bytes: &[u8]) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {
        if stream.write_all(bytes).await.is_err() {
            return;
        }
    }
}

impl Answers {
    fn new(flags: &BareFlags) -> anyhow::Result<Self> {
        let read = |path: &PathBuf| {
            let bytes = std::fs::read(path);
            bytes.map(Bytes::from).with_context(|| format!("reading {}", path.display()))
        };
        if let Some(path) = &flags.canned {
            return Ok(Self::Canned(read(path)?));
        }
        let Some(path) = &flags.body else { return Ok(Self::Echo) };
        let mut headers = HeaderMap::new();
        for header in &flags.header {
            let (name, value) = header.split_once(':').context("a header has a colon")?;
            let name = HeaderName::from_bytes(name.trim().as_bytes()).context("a header's name")?;
            headers.append(name, HeaderValue::from_str(value.trim()).context("a header's value")?);
        }
        Ok(Self::Body(read(path)?, headers))
    }
}
