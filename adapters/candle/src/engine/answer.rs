//! One answer as its reader sees it: a model is waited for, the prompt prepared and handed over, the deltas passed on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use magpie_core::cancel::CancelToken;
use magpie_core::engine::{Completion, Delta, EngineError, Finish, Prompt};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::{NAME, unavailable};
use crate::phase::{Phase, Running, State};
use crate::scheduler::{Item, Request};

/// How long a prompt waits for a model that is still loading. Long enough that a restart does not fail the answers it
/// takes up again; short enough that with a larger model the next engine is asked soon.
const LOADING_PATIENCE: Duration = Duration::from_secs(10);

/// The reading end of one answer.
pub(super) struct Answer {
    stage: Stage,
    stop: CancelToken,
}

enum Stage {
    Asked(Box<Question>),
    Begun(mpsc::UnboundedReceiver<Item>),
    Ended,
}

/// A prompt that has a place in the queue.
pub(super) struct Question {
    pub prompt: Prompt,
    pub place: OwnedSemaphorePermit,
    pub state: watch::Receiver<State>,
    pub asked: Instant,
}

impl Answer {
    pub(super) fn new(question: Question, stop: CancelToken) -> Self {
        Self { stage: Stage::Asked(Box::new(question)), stop }
    }

    pub(super) async fn next(&mut self) -> Option<Item> {
        let stop = self.stop.clone();
        let mut items = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Ended => return None,
            Stage::Begun(items) => return Some(self.read(items).await),
            Stage::Asked(question) => tokio::select! {
                biased;
                () = stop.cancelled() => return Some(Ok(cancelled())),
                handed = question.hand_over(&stop) => match handed {
                    Ok(items) => items,
                    Err(error) => return Some(Err(error)),
                }
            },
        };
        tokio::select! {
            biased;
            item = items.recv() => Some(self.note(item, items)),
            // Perhaps it still waits for its turn: nobody has to wait for the others to be told so.
            () = stop.cancelled() => Some(Ok(cancelled())),
        }
    }

    /// The next item; after a cancellation only the last one, whatever the thread has said until it noticed.
    async fn read(&mut self, mut items: mpsc::UnboundedReceiver<Item>) -> Item {
        let mut skipped = false;
        loop {
            match items.recv().await {
                Some(Ok(Delta::Text(_) | Delta::Reasoning(_))) if self.stop.is_cancelled() => skipped = true,
                Some(Ok(Delta::Done(done))) if skipped => {
                    return Ok(Delta::Done(Completion { finish: Finish::Cancelled, ..done }));
                }
                item => return self.note(item, items),
            }
        }
    }

    fn note(&mut self, item: Option<Item>, items: mpsc::UnboundedReceiver<Item>) -> Item {
        let item = item.unwrap_or_else(|| {
            let what = "the engine thread has ended".to_owned();
            Err(EngineError::Interrupted { engine: NAME.to_owned(), what, source: None })
        });
        if !matches!(item, Ok(Delta::Done(_)) | Err(_)) {
            self.stage = Stage::Begun(items);
        }
        item
    }
}

impl Question {
    /// Prepares the prompt for the model that is there by then, and gives it to that model's thread.
    async fn hand_over(mut self, stop: &CancelToken) -> Result<mpsc::UnboundedReceiver<Item>, EngineError> {
        let running = model(&mut self.state).await?;
        let (language, prompt) = (Arc::clone(&running.language), self.prompt);
        let conversation = prompt.conversation;
        let prepared = tokio::task::spawn_blocking(move || language.prepare(&prompt)).await;
        let prepared =
            prepared.map_err(|error| unavailable(format!("the prompt could not be prepared: {error}")))??;
        let (deltas, items) = mpsc::unbounded_channel();
        let request = Request {
            prompt: prepared.tokens,
            answer_tokens: prepared.answer_tokens,
            conversation,
            sampler: prepared.sampler,
            decoder: prepared.decoder,
            stop: stop.clone(),
            deltas,
            place: Some(self.place),
            asked: self.asked,
        };
        running.requests.send(request).map_err(|_| unavailable("the engine thread has ended".to_owned()))?;
        Ok(items)
    }
}

/// The model, once it is there.
async fn model(state: &mut watch::Receiver<State>) -> Result<Arc<Running>, EngineError> {
    let settled = state.wait_for(|state| !matches!(state.phase, Phase::Loading));
    let gone = || unavailable("it was shut down".to_owned());
    let phase = match tokio::time::timeout(LOADING_PATIENCE, settled).await {
        Ok(state) => state.map_err(|_| gone())?.phase.clone(),
        Err(_) => return Err(unavailable("the model is still loading".to_owned())),
    };
    match phase {
        Phase::Ready(running) => Ok(running),
        Phase::Failed(reason) => Err(unavailable(reason)),
        Phase::Unloaded => Err(unavailable("the model is unloaded".to_owned())),
        Phase::Loading => Err(unavailable("the model is still loading".to_owned())),
    }
}

fn cancelled() -> Delta {
    Delta::Done(Completion { prompt_tokens: 0, completion_tokens: 0, finish: Finish::Cancelled })
}
