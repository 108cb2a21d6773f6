//! A web server for tests that serves files and misbehaves as told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A file on the server.
#[derive(Clone, Default)]
pub(super) struct Served {
    pub body: Vec<u8>,
    pub etag: Option<String>,
    /// Answers everything from the beginning.
    pub ignores_ranges: bool,
    pub redirect: Option<String>,
}

/// What happens to one request instead of the answer.
#[derive(Clone)]
pub(super) enum Mishap {
    /// The connection ends after this many bytes of the body.
    CutAfter(usize),
    Status(u16),
    /// The connection stays open and nothing comes.
    Silence,
}

#[derive(Clone)]
pub(super) struct Request {
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Served>,
    mishaps: Vec<Mishap>,
    requests: Vec<Request>,
}

#[derive(Clone)]
pub(super) struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Served {
    pub(super) fn new(body: &[u8]) -> Self {
        Self { body: body.to_vec(), etag: Some("\"one\"".to_owned()), ..Self::default() }
    }

    pub(super) fn redirect(to: &str) -> Self {
        Self { redirect: Some(to.to_owned()), ..Self::default() }
    }
}

impl Server {
    /// Serves until the test's runtime ends.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.answer(connection).await });
            }
        });
        server
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn serve(&self, path: &str, file: Served) {
        self.state.lock().unwrap().files.insert(path.to_owned(), file);
    }

    /// The next requests go wrong, in this order.
    pub(super) fn misbehave(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        self.state.lock().unwrap().mishaps = mishaps.into_iter().collect();
    }

    /// The requests so far, which are then forgotten.
    pub(super) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    async fn answer(&self, mut connection: TcpStream) {
        let Some(request) = read(&mut connection).await else { return };
        let (file, mishap) = {
            let mut state = self.state.lock().unwrap();
            state.requests.push(request.clone());
            let mishap = if state.mishaps.is_empty() { None } else { Some(state.mishaps.remove(0)) };
            (state.files.get(&request.path).cloned(), mishap)
        };
        let (head, mut body) = match (file, &mishap) {
            (_, Some(Mishap::Silence)) => std::future::pending().await,
            (_, Some(Mishap::Status(status))) => (head(*status, 0, &[]), Vec::new()),
            (None, _) => (head(404, 0, &[]), Vec::new()),
            (Some(file), _) => respond(&file, &request),
        };
        if let Some(Mishap::CutAfter(bytes)) = mishap {
            body.truncate(bytes);
        }
        // The other side may have gone.
        connection.write_all(head.as_bytes()).await.ok();
        connection.write_all(&body).await.ok();
        connection.shutdown().await.ok();
    }
}

async fn read(connection: &mut TcpStream) -> Option<Request> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(connection.read_u8().await.ok()?);
    }
    let text = String::from_utf8(text).ok()?;
    let mut lines = text.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Some(Request { path, headers })
}

fn respond(file: &Served, request: &Request) -> (String, Vec<u8>) {
    if let Some(to) = &file.redirect {
        return (head(302, 0, &[("location", to.clone())]), Vec::new());
    }
    let mut headers: Vec<_> = file.etag.iter().map(|etag| ("etag", etag.clone())).collect();
    let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let same = request.headers.get("if-range") == file.etag.as_ref();
    match range.and_then(|from| from.parse::<usize>().ok()) {
        Some(from) if same && !file.ignores_ranges && from < file.body.len() => {
            let total = file.body.len();
            headers.push(("content-range", format!("bytes {from}-{}/{total}", total - 1)));
            (head(206, total - from, &headers), file.body[from..].to_vec())
        }
        Some(_) if same && !file.ignores_ranges => (head(416, 0, &headers), Vec::new()),
        _ => (head(200, file.body.len(), &headers), file.body.clone()),
    }
}

fn head(status: u16, length: usize, headers: &[(&str, String)]) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} said\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n")
}
