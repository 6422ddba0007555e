//! The client against a server of a few lines that speaks exactly what each case needs.
use super::*;
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(10);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Serves one list of answers a connection, closing each after its last; joins to what it was
/// asked.
async fn serve(connections: Vec<Vec<&'static str>>) -> (SocketAddr, JoinSet<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut asked = Vec::new();
        for answers in connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                let mut bytes = vec![0; 4096];
                let read = stream.read(&mut bytes).await.unwrap();
                asked.push(String::from_utf8_lossy(&bytes[..read]).into_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
        asked
    });
    (address, server)
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let (address, server) = serve(vec![vec![OK, OK]]).await;
    let pool = Pool::new(address, "tide:1", 1);
    for _ in 0..2 {
        let answer = pool.send(&Request::get("/a"), PATIENCE).await.unwrap();
        assert_eq!((answer.status, answer.body()), (200, b"ok".as_slice()));
    }
    assert_eq!(pool.opened(), 1);
    let asked = server.join_all().await.remove(0);
    assert_eq!(asked, ["GET /a HTTP/1.1\r\nhost: tide:1\r\n\r\n"; 2]);
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_a_new_one_not_an_error() {
    let (address, server) = serve(vec![vec![OK], vec![OK]]).await;
    let pool = Pool::new(address, "tide:1", 1);
    let request = Request::post("/b", &json!({"x": 1})).login("t").keyed("k");
    for _ in 0..2 {
        assert_eq!(pool.send(&request, PATIENCE).await.unwrap().status, 200);
    }
    assert_eq!(pool.opened(), 2);
    let asked = server.join_all().await.remove(0);
    let expected = "POST /b HTTP/1.1\r\nhost: tide:1\r\ncontent-type: application/json\r\n\
        authorization: Bearer t\r\nidempotency-key: k\r\ncontent-length: 7\r\n\r\n{\"x\":1}";
    assert_eq!(asked, [expected; 2]);
}

#[tokio::test]
async fn problems_and_empty_answers_are_read() {
    let problem = "HTTP/1.1 409 Conflict\r\ncontent-type: application/problem+json\r\n\
        retry-after: 3\r\ncontent-length: 24\r\n\r\n{\"code\":\"seat_taken\"   }";
    let gone = "HTTP/1.1 204 No Content\r\n\r\n";
    let (address, _server) = serve(vec![vec![problem, gone]]).await;
    let pool = Pool::new(address, "tide:1", 1);
    let answer = pool.send(&Request::get("/c"), PATIENCE).await.unwrap();
    assert_eq!((answer.summary().as_str(), answer.retry_after()), ("409 seat_taken", Some(3)));
    let answer = pool.send(&Request::delete("/c"), PATIENCE).await.unwrap();
    assert_eq!((answer.summary().as_str(), answer.body()), ("204", b"".as_slice()));
}

#[tokio::test]
async fn an_answer_cut_short_is_lost() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let (address, _server) = serve(vec![vec![cut]]).await;
    let pool = Pool::new(address, "tide:1", 1);
    assert!(matches!(pool.send(&Request::get("/d"), PATIENCE).await, Err(Lost::Talk(_))));
}

#[test]
fn headers_are_found_whatever_their_case() {
    let head = b"HTTP/1.1 200 OK\r\nETag:  \"x\"\r\nContent-Length: 5\r\n\r\n";
    for (name, expected) in
        [("etag", Some("\"x\"")), ("content-length", Some("5")), ("tag", None), ("age", None)]
    {
        assert_eq!(header(head, name), expected, "{name}");
    }
}
