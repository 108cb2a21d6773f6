//! One answer, over as many engines as it takes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use metrics::counter;
use tokio::time::{Instant, timeout_at};

use super::RouterSettings;
use super::breaker::Pass;
use super::gate::{Full, Gate, Permit};
use super::slot::Slot;
use crate::cancel::CancelToken;
use crate::conversation::window;
use crate::engine::{Choice, Completion, Delta, Engine, EngineError, Fallback, Finish, Prompt, estimate_tokens};

/// How long a cancelled engine may take for its last word, before its figures are estimated.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// Names the router in its own errors.
const ROUTER: &str = "router";

type Item = Result<Delta, EngineError>;

/// What all answers share.
pub(super) struct Resources {
    pub settings: Arc<RouterSettings>,
    pub gate: Arc<Gate>,
}

/// The state of one answer between two items.
pub(super) struct Run {
    shared: Resources,
    candidates: VecDeque<Arc<Slot>>,
    prompt: Prompt,
    stop: CancelToken,
    permit: Option<Permit>,
    current: Option<Current>,
    /// Items to give out before anything else is done.
    ready: VecDeque<Item>,
    /// Why the engine before the current one did not answer.
    fallback: Option<Fallback>,
    last_error: Option<EngineError>,
    /// An engine has said something, so that the next one has to take it back.
    shown: bool,
    cancel_seen: bool,
    /// Set at the first call.
    total_deadline: Option<Instant>,
    ended: bool,
}

/// The engine that is being read.
struct Current {
    slot: Arc<Slot>,
    pass: Pass,
    deltas: BoxStream<'static, Item>,
    deadline: Instant,
    begun: bool,
    estimated_tokens: usize,
}

impl Run {
    pub(super) fn new(
        shared: Resources,
        candidates: VecDeque<Arc<Slot>>,
        fallback: Option<Fallback>,
        prompt: Prompt,
        stop: CancelToken,
    ) -> Self {
        Self {
            shared,
            candidates,
            prompt,
            stop,
            permit: None,
            current: None,
            ready: VecDeque::new(),
            fallback,
            last_error: None,
            shown: false,
            cancel_seen: false,
            total_deadline: None,
            ended: false,
        }
    }

    pub(super) async fn next(&mut self) -> Option<Item> {
        let total = self.shared.settings.total_timeout;
        let total_deadline = *self.total_deadline.get_or_insert_with(|| Instant::now() + total);
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if self.ended {
                return None;
            }
            if self.permit.is_none() {
                self.wait_for_permit(total_deadline).await;
            } else if self.current.is_some() {
                self.read(total_deadline).await;
            } else {
                self.ask_next();
            }
        }
    }

    async fn wait_for_permit(&mut self, total_deadline: Instant) {
        let gate = Arc::clone(&self.shared.gate);
        let stop = self.stop.clone();
        let entered = tokio::select! {
            biased;
            () = stop.cancelled() => {
                let tokens = Completion { prompt_tokens: 0, completion_tokens: 0, finish: Finish::Cancelled };
                return self.end(Ok(Delta::Done(tokens)));
            }
            entered = timeout_at(total_deadline, gate.enter()) => entered,
        };
        match entered {
            Ok(Ok(permit)) => self.permit = Some(permit),
            Ok(Err(Full)) | Err(_) => {
                self.end(Err(EngineError::Overloaded { engine: ROUTER.to_owned(), retry_after: None }));
            }
        }
    }

    /// Begins with the next engine, or ends with the last error.
    fn ask_next(&mut self) {
        let Some(slot) = self.candidates.pop_front() else {
            let nobody = || EngineError::Unavailable {
                engine: ROUTER.to_owned(),
                what: "no engine is configured for this".to_owned(),
                source: None,
            };
            let error = self.last_error.take().unwrap_or_else(nobody);
            return self.end(Err(error));
        };
        if let Some(wait) = self.too_long_a_wait(&slot) {
            let error = EngineError::Overloaded { engine: slot.name.clone(), retry_after: Some(wait) };
            return self.move_on(&slot, error, "overloaded");
        }
        let pass = match slot.pass() {
            Ok(pass) => pass,
            Err(error) => return self.move_on(&slot, error, "breaker_open"),
        };
        let prompt = match fitted(&self.prompt, slot.engine.as_ref()) {
            Ok(prompt) => prompt,
            Err(error) => return self.move_on(&slot, error, "rejected"),
        };
        if let Some(Fallback { from, reason }) = &self.fallback {
            let to = slot.name.clone();
            counter!("magpie_fallback_total", "from" => from.clone(), "to" => to, "reason" => reason.clone())
                .increment(1);
        }
        let deltas = slot.engine.generate(prompt, self.stop.clone());
        let deadline = Instant::now() + self.shared.settings.first_token_timeout;
        self.current = Some(Current { slot, pass, deltas, deadline, begun: false, estimated_tokens: 0 });
    }

    /// How long this engine would keep the prompt waiting, if that is beyond the deadline and there is another to ask.
    fn too_long_a_wait(&self, slot: &Slot) -> Option<Duration> {
        let others = self.candidates.iter().any(|other| other.is_asked());
        slot.wait_beyond(self.shared.settings.first_token_timeout).filter(|_| others)
    }

    async fn read(&mut self, total_deadline: Instant) {
        let Some(current) = &mut self.current else { return };
        let deadline = current.deadline.min(total_deadline);
        let stop = self.stop.clone();
        let item = tokio::select! {
            biased;
            () = stop.cancelled(), if !self.cancel_seen => {
                self.cancel_seen = true;
                current.deadline = Instant::now() + CANCEL_GRACE;
                return;
            }
            item = timeout_at(deadline, current.deltas.next()) => item,
        };
        match item {
            Ok(Some(Ok(delta))) => self.take(delta),
            Ok(Some(Err(error))) => self.lose(error),
            Ok(None) => {
                let error = EngineError::Interrupted {
                    engine: self.current_name(),
                    what: "it ended without a last word".to_owned(),
                    source: None,
                };
                self.lose(error);
            }
            Err(_) => self.out_of_time(total_deadline),
        }
    }

    fn take(&mut self, delta: Delta) {
        let Some(current) = &mut self.current else { return };
        current.slot.spoke(&mut current.pass);
        if !self.cancel_seen {
            current.deadline = Instant::now() + self.shared.settings.between_tokens_timeout;
        }
        if !std::mem::replace(&mut current.begun, true) {
            if std::mem::replace(&mut self.shown, true) {
                self.ready.push_back(Ok(Delta::Restart));
            }
            let choice = Choice { engine: current.slot.info(), fallback: self.fallback.clone() };
            self.ready.push_back(Ok(Delta::Engine(choice)));
        }
        match delta {
            Delta::Done(completion) => {
                current.slot.count_tokens(completion);
                self.end(Ok(Delta::Done(completion)));
            }
            Delta::Text(ref text) | Delta::Reasoning(ref text) => {
                current.estimated_tokens += estimate_tokens(text);
                self.ready.push_back(Ok(delta));
            }
            // Engines do not send these.
            Delta::Engine(_) | Delta::Restart => {}
        }
    }

    fn out_of_time(&mut self, total_deadline: Instant) {
        let settings = Arc::clone(&self.shared.settings);
        let engine = self.current_name();
        let begun = self.current.as_ref().is_some_and(|current| current.begun);
        let timeout = |awaited, waited| EngineError::Timeout { engine, awaited, waited };
        if self.cancel_seen {
            self.end_cancelled();
        } else if Instant::now() >= total_deadline {
            self.end(Err(timeout("end of the answer", settings.total_timeout)));
        } else if begun {
            self.lose(timeout("further token", settings.between_tokens_timeout));
        } else {
            self.lose(timeout("first token", settings.first_token_timeout));
        }
    }

    /// The current engine failed.
    fn lose(&mut self, error: EngineError) {
        if self.cancel_seen || self.stop.is_cancelled() {
            return self.end_cancelled();
        }
        let Some(mut current) = self.current.take() else { return };
        current.slot.failed(&mut current.pass, &error);
        let reason = error.reason();
        self.move_on(&current.slot, error, reason);
    }

    fn move_on(&mut self, from: &Slot, error: EngineError, reason: &'static str) {
        let from = from.name.clone();
        tracing::warn!(engine.name = from, reason, error = %error, "engine did not answer");
        self.fallback = Some(Fallback { from, reason: reason.to_owned() });
        self.last_error = Some(error);
    }

    /// Ends for an engine that did not react to the cancellation in time.
    fn end_cancelled(&mut self) {
        let estimated = self.current.as_ref().map_or(0, |current| current.estimated_tokens);
        let prompt: usize = self.prompt.messages.iter().map(|message| estimate_tokens(&message.text)).sum();
        let tokens = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        self.end(Ok(Delta::Done(Completion {
            prompt_tokens: tokens(prompt),
            completion_tokens: tokens(estimated),
            finish: Finish::Cancelled,
        })));
    }

    /// Gives back everything and lets `last` be the last item.
    fn end(&mut self, last: Item) {
        self.ready.push_back(last);
        self.current = None;
        self.permit = None;
        self.ended = true;
    }

    fn current_name(&self) -> String {
        self.current.as_ref().map_or_else(|| ROUTER.to_owned(), |current| current.slot.name.clone())
    }
}

/// The prompt as long as this engine can read it, with a quarter of its context left for the answer.
fn fitted(prompt: &Prompt, engine: &dyn Engine) -> Result<Prompt, EngineError> {
    let info = engine.info();
    let Some(context_tokens) = info.context_tokens else { return Ok(prompt.clone()) };
    let asked = prompt.sampling.max_tokens.and_then(|tokens| usize::try_from(tokens).ok());
    let answer_tokens = asked.unwrap_or(usize::MAX).min(context_tokens / 4);
    window::fit(prompt, context_tokens - answer_tokens, |text| engine.count_tokens(text)).map_err(|too_long| {
        let what = format!("the question takes {} tokens of {}", too_long.tokens, too_long.budget_tokens);
        EngineError::Rejected { engine: info.name, what }
    })
}
