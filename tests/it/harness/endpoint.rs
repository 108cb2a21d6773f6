//! A scripted OpenAI-compatible endpoint on loopback. It lives in the test, so it survives the service.
//!
//! Plain sockets, so that a test decides about every byte and sees when the other side hangs up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::script::{Script, Step};
use super::wait::eventually;

/// What to do with a request that nothing was scripted for, made from its question.
type Usual = dyn Fn(&str) -> Script + Send + Sync;

/// A running endpoint. Clones are the same one; it serves for as long as the test's runtime lives.
#[derive(Clone)]
pub struct Endpoint {
    pub base_url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Each for the first question that contains the text.
    scripted: Vec<(String, Script)>,
    usual: Option<Arc<Usual>>,
    prompts: Vec<Prompt>,
    /// What is said in every recording; without it they are refused.
    spoken: Option<String>,
    /// The bytes of each form that came with a recording.
    recordings: Vec<Vec<u8>>,
    running: usize,
    most_running: usize,
    hung_up: usize,
}

/// What the service asked.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Role and text.
    pub messages: Vec<(String, String)>,
    /// Addresses of the pictures in all messages.
    pub images: Vec<String>,
}

impl Prompt {
    /// The last message.
    pub fn question(&self) -> &str {
        self.messages.last().map(|(_, text)| text.as_str()).unwrap_or_default()
    }

    /// Whether any message but the last says this.
    pub fn remembers(&self, text: &str) -> bool {
        let earlier = self.messages.split_last().map(|(_, earlier)| earlier).unwrap_or_default();
        earlier.iter().any(|(_, said)| said.contains(text))
    }
}

impl Endpoint {
    /// Answers every question with `usual_answer` unless told otherwise.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let endpoint = Self { base_url: format!("http://{address}/v1"), state: Arc::default() };
        let serving = endpoint.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(socket).await });
            }
        });
        endpoint
    }

    /// The next request that has no script yet gets this one.
    pub fn next(&self, script: Script) {
        self.when("", script);
    }

    /// The next request whose question contains `part` gets this script.
    pub fn when(&self, part: &str, script: Script) {
        self.state().scripted.push((part.to_owned(), script));
    }

    /// From now on requests without a script of their own get what this makes of their question.
    pub fn usually(&self, usual: impl Fn(&str) -> Script + Send + Sync + 'static) {
        self.state().usual = Some(Arc::new(usual));
    }

    /// From now on `text` is what is said in every recording.
    pub fn hears(&self, text: &str) {
        self.state().spoken = Some(text.to_owned());
    }

    /// The forms of all recordings so far, as bytes.
    pub fn recordings(&self) -> Vec<Vec<u8>> {
        self.state().recordings.clone()
    }

    /// Every prompt so far.
    pub fn prompts(&self) -> Vec<Prompt> {
        self.state().prompts.clone()
    }

    /// The most requests that ran at once.
    pub fn most_running(&self) -> usize {
        self.state().most_running
    }

    /// How often the service closed the connection before the script's end.
    pub fn hung_up(&self) -> usize {
        self.state().hung_up
    }

    /// Waits for a prompt whose question contains `part`.
    pub async fn asked(&self, part: &str) -> Prompt {
        eventually(&format!("a prompt that asks {part:?}"), async || {
            let found = self.prompts().into_iter().rfind(|prompt| prompt.question().contains(part));
            found.ok_or_else(|| format!("{} prompts", self.prompts().len()))
        })
        .await
    }

    async fn serve(&self, mut socket: TcpStream) {
        socket.set_nodelay(true).expect("a TCP socket has this option");
        let Some((head, body)) = read_request(&mut socket).await else { return };
        if head.starts_with("post /v1/audio/transcriptions ") {
            return self.transcribe(&mut socket, body).await;
        }
        let Some(prompt) = serde_json::from_slice(&body).ok().and_then(|body| prompt_of(&body)) else { return };
        let script = {
            let mut state = self.state();
            let scripted = state.scripted.iter().position(|(part, _)| prompt.question().contains(part.as_str()));
            let script = match (scripted, &state.usual) {
                (Some(at), _) => state.scripted.remove(at).1,
                (None, Some(usual)) => usual(prompt.question()),
                (None, None) => Script::answer(&usual_answer(prompt.question())),
            };
            state.prompts.push(prompt);
            state.running += 1;
            state.most_running = state.most_running.max(state.running);
            script
        };
        let (mut reading, mut writing) = socket.split();
        let mut rest = [0; 16];
        let played = tokio::select! {
            played = play(&mut writing, script) => played,
            _ = reading.read(&mut rest) => false,
        };
        let mut state = self.state();
        state.running -= 1;
        state.hung_up += usize::from(!played);
    }

    async fn transcribe(&self, socket: &mut TcpStream, form: Vec<u8>) {
        let spoken = {
            let mut state = self.state();
            state.recordings.push(form);
            state.spoken.clone()
        };
        let answer =
            spoken.map_or_else(|| Script::status("400 Bad Request"), |text| Script::json(&json!({"text": text})));
        play(socket, answer).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is answered where a test does not care.
pub fn usual_answer(question: &str) -> String {
    format!("The answer to «{question}» is here.")
}

/// Whether all of it could be sent.
async fn play(writing: &mut (impl AsyncWriteExt + Unpin), script: Script) -> bool {
    for step in script.0 {
        match step {
            Step::Bytes(bytes) => {
                if writing.write_all(bytes.as_bytes()).await.is_err() {
                    return false;
                }
            }
            Step::Gate(gate) => gate.passed().await,
            Step::Pause(pause) => tokio::time::sleep(pause).await,
            Step::Hold => std::future::pending().await,
        }
    }
    // The other side may have read all it wanted and be gone.
    writing.shutdown().await.ok();
    true
}

/// Head in lower case, and body.
async fn read_request(socket: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 8192];
        let read = socket.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        let Some(head_length) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..head_length]).to_ascii_lowercase();
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()?;
        let body = &bytes[head_length + 4..];
        if body.len() >= length {
            return Some((head, body.to_vec()));
        }
    }
}

fn prompt_of(body: &Value) -> Option<Prompt> {
    let mut images = Vec::new();
    let mut messages = Vec::new();
    for message in body["messages"].as_array()? {
        let mut text = message["content"].as_str().unwrap_or_default().to_owned();
        for part in message["content"].as_array().into_iter().flatten() {
            text.push_str(part["text"].as_str().unwrap_or_default());
            images.extend(part["image_url"]["url"].as_str().map(str::to_owned));
        }
        messages.push((message["role"].as_str().unwrap_or_default().to_owned(), text));
    }
    Some(Prompt { messages, images })
}
