//! A response body as deltas.

use std::collections::VecDeque;

use magpie_core::engine::{Completion, Delta, EngineError, Finish, estimate_tokens};
use reqwest::Response;

use crate::fault;
use crate::sse::SseParser;
use crate::wire::{Chunk, ChunkChoice, ChunkDelta, END_OF_STREAM, Ending, Usage};

/// Reads one answer. Dropping it closes the connection.
pub(crate) struct AnswerReader {
    engine: String,
    response: Response,
    parser: SseParser,
    ready: VecDeque<Delta>,
    tally: Tally,
    finish: Option<Finish>,
    /// Something of an answer came: text or reasoning.
    begun: bool,
    ended: bool,
}

/// Tokens of an answer: the endpoint's own figures if it sends them, else an estimate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    estimated_prompt: usize,
    estimated_completion: usize,
    usage: Option<Usage>,
}

impl Tally {
    pub(crate) fn new(estimated_prompt: usize) -> Self {
        Self { estimated_prompt, ..Self::default() }
    }

    pub(crate) fn completion(&self, finish: Finish) -> Completion {
        let usage = self.usage.unwrap_or_default();
        let or_estimate =
            |told: Option<u32>, estimate: usize| told.unwrap_or_else(|| u32::try_from(estimate).unwrap_or(u32::MAX));
        Completion {
            prompt_tokens: or_estimate(usage.prompt_tokens, self.estimated_prompt),
            completion_tokens: or_estimate(usage.completion_tokens, self.estimated_completion),
            finish,
        }
    }
}

impl AnswerReader {
    pub(crate) fn new(engine: &str, response: Response, tally: Tally) -> Self {
        Self {
            engine: engine.to_owned(),
            response,
            parser: SseParser::default(),
            ready: VecDeque::new(),
            tally,
            finish: None,
            begun: false,
            ended: false,
        }
    }

    /// The next delta; [`Delta::Done`] is the last.
    pub(crate) async fn next(&mut self) -> Result<Delta, EngineError> {
        loop {
            if let Some(delta) = self.ready.pop_front() {
                return Ok(delta);
            }
            if self.ended {
                // An empty answer helps nobody; another engine may have a better one.
                let completion = self.completion().ok_or_else(|| self.broken("it ended without a word", None));
                return completion.map(Delta::Done);
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.take(&bytes)?,
                // The answer was complete; that the connection ends without a farewell is no matter.
                Ok(None) | Err(_) if self.finish.is_some() => self.ended = true,
                Ok(None) => return Err(self.broken("the connection ended before the answer", None)),
                Err(source) => return Err(self.broken("the connection was lost", Some(source))),
            }
        }
    }

    /// What the answer amounts to, once the endpoint said that it is complete. Usage may still follow.
    pub(crate) fn completion(&self) -> Option<Completion> {
        self.finish.filter(|_| self.begun).map(|finish| self.tally.completion(finish))
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        let mut events = Vec::new();
        let parsed = self.parser.feed(bytes, &mut events);
        for event in events {
            if self.ended {
                return Ok(());
            }
            self.take_event(&event.data)?;
        }
        if self.ended {
            return Ok(());
        }
        parsed.map_err(|error| EngineError::Interrupted {
            engine: self.engine.clone(),
            what: "what it sent is not an event stream".into(),
            source: Some(Box::new(error)),
        })
    }

    fn take_event(&mut self, data: &str) -> Result<(), EngineError> {
        if data.trim() == END_OF_STREAM {
            // An endpoint that never names a reason still says here that it is done.
            self.finish.get_or_insert(Finish::Stop);
            self.ended = true;
            return Ok(());
        }
        // serde's message may quote the text, so it is not kept.
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| self.broken("an event is not valid JSON", None))?;
        if let Some(error) = &chunk.error {
            return Err(fault::in_stream(&self.engine, error));
        }
        self.tally.usage = chunk.usage.or(self.tally.usage);
        for choice in chunk.choices.unwrap_or_default() {
            self.take_choice(choice)?;
        }
        Ok(())
    }

    fn take_choice(&mut self, choice: ChunkChoice) -> Result<(), EngineError> {
        // One answer was asked for; further ones are not ours.
        if choice.index != 0 {
            return Ok(());
        }
        let ChunkDelta { content, reasoning_content, reasoning } = choice.delta.unwrap_or_default();
        if let Some(text) = reasoning_content.or(reasoning).filter(|text| !text.is_empty()) {
            self.tally.estimated_completion += estimate_tokens(&text);
            self.begun = true;
            self.ready.push_back(Delta::Reasoning(text));
        }
        if let Some(text) = content.filter(|text| !text.is_empty()) {
            self.tally.estimated_completion += estimate_tokens(&text);
            self.begun = true;
            self.ready.push_back(Delta::Text(text));
        }
        match choice.finish_reason.as_deref().filter(|reason| !reason.is_empty()).map(Ending::from_reason) {
            Some(Ending::Finished(finish)) => self.finish = Some(finish),
            Some(Ending::Filtered) => {
                let what = "its content filter took the answer away".into();
                return Err(EngineError::Rejected { engine: self.engine.clone(), what });
            }
            None => {}
        }
        Ok(())
    }

    fn broken(&self, what: &str, source: Option<reqwest::Error>) -> EngineError {
        EngineError::Interrupted {
            engine: self.engine.clone(),
            what: what.to_owned(),
            source: source.map(|source| Box::new(source.without_url()).into()),
        }
    }
}
