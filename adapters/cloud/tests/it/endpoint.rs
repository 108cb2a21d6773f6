//! A scripted endpoint on loopback: raw HTTP, so that a test decides about every byte and sees connections close.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What the endpoint does with one connection; the connection is closed after the last act.
#[derive(Debug, Clone)]
pub enum Act {
    Send(String),
    /// Each byte in a write of its own.
    SendBytewise(String),
    /// Nothing until the client closes the connection, which is then reported.
    Hold,
}

/// A request as it came.
#[derive(Debug)]
pub struct Seen {
    pub head: String,
    /// As JSON if it is that, else as a JSON string.
    pub body: Value,
}

pub struct Endpoint {
    pub base_url: String,
    pub requests: mpsc::UnboundedReceiver<Seen>,
    /// One item for each held connection that the client closed.
    pub closed: mpsc::UnboundedReceiver<()>,
}

impl Endpoint {
    /// Plays one script a connection, the last one again and again.
    pub async fn start(scripts: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (seen, requests) = mpsc::unbounded_channel();
        let (report_closed, closed) = mpsc::unbounded_channel();
        let scripts = Arc::new(Mutex::new(VecDeque::from(scripts)));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let mut scripts = scripts.lock().expect("no test panics here");
                let script = if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() };
                let script = script.expect("a test gives at least one script");
                tokio::spawn(serve(socket, script, seen.clone(), report_closed.clone()));
            }
        });
        Self { base_url: format!("http://{address}/v1"), requests, closed }
    }
}

async fn serve(
    mut socket: TcpStream,
    script: Vec<Act>,
    seen: mpsc::UnboundedSender<Seen>,
    report_closed: mpsc::UnboundedSender<()>,
) {
    socket.set_nodelay(true).expect("a TCP socket has this option");
    let Some(request) = read_request(&mut socket).await else { return };
    seen.send(request).ok();
    for act in script {
        match act {
            Act::Send(text) => socket.write_all(text.as_bytes()).await.unwrap_or_default(),
            Act::SendBytewise(text) => {
                for byte in text.bytes() {
                    socket.write_all(&[byte]).await.unwrap_or_default();
                    tokio::task::yield_now().await;
                }
            }
            Act::Hold => {
                let mut rest = [0; 64];
                while matches!(socket.read(&mut rest).await, Ok(read) if read > 0) {}
                report_closed.send(()).ok();
            }
        }
    }
    socket.shutdown().await.ok();
}

async fn read_request(socket: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = socket.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length: usize = head.split_once("content-length: ")?.1.split("\r\n").next()?.parse().ok()?;
        if body.len() >= length {
            let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
            return Some(Seen { body, head });
        }
    }
}

/// The head of a streamed answer that lasts until the connection closes.
pub fn stream_head() -> Act {
    Act::Send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".into())
}

/// A whole response with an error status; `headers` are lines without their endings.
pub fn refusal(status: &str, headers: &[&str], body: &str) -> Vec<Act> {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    vec![Act::Send(format!("{head}\r\n{body}"))]
}

/// An event with a piece of text.
pub fn text_event(text: &str) -> String {
    format!("data: {}\n\n", serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]}))
}

/// The events at the end of a complete answer, with usage 11 and 7.
pub fn closing_events(finish_reason: &str) -> String {
    let finish = serde_json::json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]});
    let usage = serde_json::json!({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}});
    format!("data: {finish}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// A complete, successful answer.
pub fn answer(texts: &[&str]) -> Vec<Act> {
    let body: String = texts.iter().map(|text| text_event(text)).collect();
    vec![stream_head(), Act::Send(body + &closing_events("stop"))]
}
