//! One answer, from its prompt to its last token.

use std::time::Instant;

use magpie_core::cancel::CancelToken;
use magpie_core::engine::{Completion, Delta, EngineError, Finish};
use magpie_core::ids::ConversationId;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::measure;
use crate::cache::PageTable;
use crate::decode::Decoder;
use crate::sampling::Sampler;
use crate::tokenizer::Tokenizer;

pub(crate) type Item = Result<Delta, EngineError>;

/// A prompt in tokens, with all that its answer needs.
pub(crate) struct Request {
    /// At least one token.
    pub prompt: Vec<u32>,
    /// Longest answer in tokens.
    pub answer_tokens: usize,
    pub conversation: Option<ConversationId>,
    pub sampler: Sampler,
    pub decoder: Decoder,
    pub stop: CancelToken,
    /// Unbounded, so that a slow reader does not hold up the others; an answer's length is limited anyway.
    pub deltas: mpsc::UnboundedSender<Item>,
    /// Its place among those that the engine takes at once, given back when it ends.
    pub place: Option<OwnedSemaphorePermit>,
    /// When it was asked.
    pub asked: Instant,
}

/// A request on its way through the scheduler.
pub(super) struct Sequence {
    /// Order of arrival.
    pub ticket: u64,
    /// Prompt and answer so far.
    pub tokens: Vec<u32>,
    pub prompt_tokens: usize,
    /// Holds pages only while it runs.
    pub table: PageTable,
    /// Tokens computed since it last began to run, but for the answer's.
    pub work: usize,
    /// Another sequence is computing a beginning that this one shares.
    pub awaits: Option<Awaited>,
    /// It ran before and had to give its pages back.
    pub preempted: bool,
    request: Request,
    last_token: Option<Instant>,
}

/// The first tokens of another sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Awaited {
    pub ticket: u64,
    pub tokens: usize,
}

/// What comes of a computed token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    GoesOn,
    Ends(Finish),
    /// Its format allows none, or choosing one failed.
    NoToken,
    /// The network gave no numbers to choose by.
    NotNumbers,
}

impl Sequence {
    pub(super) fn new(ticket: u64, mut request: Request) -> Self {
        let tokens = std::mem::take(&mut request.prompt);
        Self {
            ticket,
            prompt_tokens: tokens.len(),
            tokens,
            table: PageTable::default(),
            work: 0,
            awaits: None,
            preempted: false,
            request,
            last_token: None,
        }
    }

    pub(super) fn conversation(&self) -> Option<ConversationId> {
        self.request.conversation
    }

    /// Whether somebody waits for more of it.
    pub(super) fn is_wanted(&self) -> bool {
        !self.request.stop.is_cancelled() && !self.request.deltas.is_closed()
    }

    /// Tokens that have to be computed before the next one can be chosen; at least one.
    pub(super) fn due(&self) -> usize {
        self.tokens.len() - self.table.tokens()
    }

    /// Whether one token is all that is due: the last one of the answer, or a prompt that is cached but for its end.
    pub(super) fn is_decoding(&self) -> bool {
        self.due() == 1
    }

    pub(super) fn answered_tokens(&self) -> usize {
        self.tokens.len() - self.prompt_tokens
    }

    /// Why it ends before another token is chosen, if it does.
    pub(super) fn limit_reached(&self) -> Option<Finish> {
        (self.answered_tokens() >= self.request.answer_tokens).then_some(Finish::Length)
    }

    /// Chooses the next token by the logits after the last one and tells what it says.
    pub(super) fn go_on(&mut self, logits: &mut [f32], tokenizer: &Tokenizer, now: Instant) -> Step {
        if !logits.iter().any(|logit| logit.is_finite()) {
            return Step::NotNumbers;
        }
        let Some(token) = self.request.sampler.choose(logits) else { return Step::NoToken };
        self.tokens.push(token);
        match self.last_token.replace(now) {
            None => measure::first_token(now - self.request.asked),
            Some(last) => measure::next_token(now - last),
        }
        let mut deltas = Vec::new();
        let mut finish = None;
        if tokenizer.is_stop(token) {
            finish = Some(Finish::Stop);
        } else if !self.request.sampler.accept(token) {
            return Step::NoToken;
        } else if self.request.decoder.push(tokenizer.bytes_of(token), &mut deltas) {
            self.tell(deltas);
            return Step::Ends(Finish::Stop);
        }
        let finish = finish.or_else(|| self.limit_reached());
        if finish.is_some() {
            self.request.decoder.finish(&mut deltas);
        }
        self.tell(deltas);
        finish.map_or(Step::GoesOn, Step::Ends)
    }

    /// The last word.
    pub(super) fn end(mut self, end: Result<Finish, EngineError>) {
        // Before anybody can know of the end, so that whoever does finds the place free.
        drop(self.request.place.take());
        let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
        let (prompt_tokens, completion_tokens) = (count(self.prompt_tokens), count(self.answered_tokens()));
        let last = end.map(|finish| Delta::Done(Completion { prompt_tokens, completion_tokens, finish }));
        self.request.deltas.send(last).ok();
    }

    fn tell(&self, deltas: Vec<Delta>) {
        for delta in deltas {
            // Nobody listens any more: then nobody needs to know.
            self.request.deltas.send(Ok(delta)).ok();
        }
    }
}
