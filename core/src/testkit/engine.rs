//! An engine that does what a test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::time::sleep;

use crate::cancel::CancelToken;
use crate::engine::{Backlog, Completion, Delta, Engine, EngineError, EngineInfo, EngineKind, Finish, Prompt};
use crate::platform::Health;

/// One thing a scripted engine does in an answer.
#[derive(Debug, Clone)]
pub enum Step {
    Text(String),
    Reasoning(String),
    /// Silence for this long.
    Wait(Duration),
    /// Silence until the caller cancels or goes away.
    Hang,
    Fail(Failure),
    /// The stream ends without a last word, which no engine may do.
    Break,
    /// A complete answer, with 11 prompt tokens and one token for each text so far.
    Done,
}

impl Step {
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The errors of an engine without their details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    Overloaded,
    Unavailable,
    Timeout,
    Interrupted,
    Rejected,
    Misconfigured,
}

impl Failure {
    pub const ALL: [Self; 6] =
        [Self::Overloaded, Self::Unavailable, Self::Timeout, Self::Interrupted, Self::Rejected, Self::Misconfigured];

    #[must_use]
    pub fn error(self, engine: &str) -> EngineError {
        let (engine, what) = (engine.to_owned(), "as the script says".to_owned());
        match self {
            Self::Overloaded => EngineError::Overloaded { engine, retry_after: None },
            Self::Unavailable => EngineError::Unavailable { engine, what, source: None },
            Self::Timeout => EngineError::Timeout { engine, awaited: "first token", waited: Duration::ZERO },
            Self::Interrupted => EngineError::Interrupted { engine, what, source: None },
            Self::Rejected => EngineError::Rejected { engine, what },
            Self::Misconfigured => EngineError::Misconfigured { engine, what },
        }
    }
}

/// Plays one script an answer, the last one again and again.
pub struct ScriptedEngine {
    info: Mutex<EngineInfo>,
    scripts: Mutex<VecDeque<Vec<Step>>>,
    prompts: Mutex<Vec<Prompt>>,
    health: Mutex<Health>,
    backlog: Mutex<Backlog>,
}

impl ScriptedEngine {
    #[must_use]
    pub fn new(name: &str, kind: EngineKind, scripts: Vec<Vec<Step>>) -> Arc<Self> {
        let info = EngineInfo {
            name: name.to_owned(),
            kind,
            model: format!("{name}-model"),
            context_tokens: Some(4096),
            vision: false,
        };
        Arc::new(Self {
            info: Mutex::new(info),
            scripts: Mutex::new(scripts.into()),
            prompts: Mutex::default(),
            health: Mutex::new(Health::Ok),
            backlog: Mutex::default(),
        })
    }

    /// An engine called `local` or `cloud` that answers every prompt with these texts.
    #[must_use]
    pub fn answering(kind: EngineKind, texts: &[&str]) -> Arc<Self> {
        let script = texts.iter().map(|text| Step::text(text)).chain([Step::Done]).collect();
        Self::new(kind.as_str(), kind, vec![script])
    }

    /// The prompts so far, in order.
    #[must_use]
    pub fn prompts(&self) -> Vec<Prompt> {
        self.prompts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what the next answers will be.
    pub fn script(&self, scripts: Vec<Vec<Step>>) {
        *self.scripts.lock().unwrap_or_else(PoisonError::into_inner) = scripts.into();
    }

    pub fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// Replaces what it says is before a new prompt.
    pub fn set_backlog(&self, backlog: Backlog) {
        *self.backlog.lock().unwrap_or_else(PoisonError::into_inner) = backlog;
    }

    /// Replaces the length of its context.
    pub fn set_context(&self, context_tokens: Option<usize>) {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).context_tokens = context_tokens;
    }

    /// Replaces whether it understands images.
    pub fn set_vision(&self, vision: bool) {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).vision = vision;
    }

    fn next_script(&self) -> Vec<Step> {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() }.unwrap_or_default()
    }
}

impl Engine for ScriptedEngine {
    fn info(&self) -> EngineInfo {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn generate(&self, prompt: Prompt, stop: CancelToken) -> BoxStream<'static, Result<Delta, EngineError>> {
        self.prompts.lock().unwrap_or_else(PoisonError::into_inner).push(prompt);
        let play = Play { engine: self.info().name, stop, steps: self.next_script().into(), tokens: 0 };
        stream::unfold(play, |mut play| async move { play.next().await.map(|item| (item, play)) }).boxed()
    }

    fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn backlog(&self) -> Backlog {
        *self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Play {
    engine: String,
    stop: CancelToken,
    steps: VecDeque<Step>,
    tokens: u32,
}

impl Play {
    async fn next(&mut self) -> Option<Result<Delta, EngineError>> {
        while let Some(step) = self.steps.pop_front() {
            if self.stop.is_cancelled() {
                return Some(Ok(self.end(Finish::Cancelled)));
            }
            match step {
                Step::Text(text) => {
                    self.tokens += 1;
                    return Some(Ok(Delta::Text(text)));
                }
                Step::Reasoning(text) => return Some(Ok(Delta::Reasoning(text))),
                Step::Wait(time) => {
                    let stop = self.stop.clone();
                    tokio::select! {
                        () = stop.cancelled() => return Some(Ok(self.end(Finish::Cancelled))),
                        () = sleep(time) => {}
                    }
                }
                Step::Hang => {
                    self.stop.cancelled().await;
                    return Some(Ok(self.end(Finish::Cancelled)));
                }
                Step::Fail(failure) => {
                    self.steps.clear();
                    return Some(Err(failure.error(&self.engine)));
                }
                Step::Break => self.steps.clear(),
                Step::Done => return Some(Ok(self.end(Finish::Stop))),
            }
        }
        None
    }

    fn end(&mut self, finish: Finish) -> Delta {
        self.steps.clear();
        Delta::Done(Completion { prompt_tokens: 11, completion_tokens: self.tokens, finish })
    }
}
