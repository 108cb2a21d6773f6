//! One person who talks to the model.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Result, bail};
use futures::StreamExt;
use magpie_candle::CandleEngine;
use magpie_core::cancel::CancelToken;
use magpie_core::engine::{Delta, Engine, EngineError, Finish, Prompt, PromptMessage, ResponseFormat, Role, Sampling};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const WORDS: [&str; 12] =
    ["how", "do", "I", "connect", "DingTalk", "and", "飞书", "机器人", "怎么", "reset", "memory", "hello"];

/// What all of them have seen.
#[derive(Default)]
pub struct Counts {
    answers: AtomicU64,
    tokens: AtomicU64,
    cancelled: AtomicU64,
    broken_off: AtomicU64,
    too_long: AtomicU64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, tokens, cancelled, broken_off, too_long } = self;
        let [answers, tokens, cancelled, broken_off, too_long] =
            [answers, tokens, cancelled, broken_off, too_long].map(|count| count.load(Relaxed));
        write!(
            f,
            "{answers} answers of {tokens} tokens, {cancelled} cancelled, {broken_off} broken off, \
             {too_long} prompts too long"
        )
    }
}

pub struct Talker {
    dice: StdRng,
    pause_ms: u64,
    engine: Arc<CandleEngine>,
    counts: Arc<Counts>,
    history: Vec<PromptMessage>,
}

impl Talker {
    /// `pause_ms`: between an answer and the next question, at most.
    pub fn new(seed: u64, pause_ms: u64, engine: Arc<CandleEngine>, counts: Arc<Counts>) -> Self {
        Self { dice: StdRng::seed_from_u64(seed), pause_ms, engine, counts, history: Vec::new() }
    }

    /// Asks until `stop`. Fails if the engine does, for another reason than that a chat has grown too long.
    pub async fn talk(mut self, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Relaxed) {
            if self.history.is_empty() || self.dice.random_bool(0.15) {
                let system = format!("You are assistant number {}.", self.dice.random_range(0..4));
                self.history = vec![PromptMessage { role: Role::System, text: system }];
            }
            self.ask().await?;
            tokio::time::sleep(Duration::from_millis(self.dice.random_range(0..=self.pause_ms))).await;
        }
        Ok(())
    }

    async fn ask(&mut self) -> Result<()> {
        let words = self.dice.random_range(1..40);
        let question: Vec<&str> = (0..words).map(|_| WORDS[self.dice.random_range(0..WORDS.len())]).collect();
        self.history.push(PromptMessage { role: Role::User, text: question.join(" ") });
        let cancel_after = self.dice.random_bool(0.15).then(|| self.dice.random_range(0..40));
        let leave_after = self.dice.random_bool(0.1).then(|| self.dice.random_range(0..40));
        let prompt = Prompt {
            messages: self.history.clone(),
            sampling: self.sampling(),
            images: Vec::new(),
            conversation: None,
        };
        let cancel = CancelToken::new();
        let mut deltas = self.engine.generate(prompt, cancel.clone());
        let mut answer = String::new();
        for number in 0.. {
            if cancel_after.is_some_and(|after| number >= after) {
                cancel.cancel();
            }
            if leave_after == Some(number) {
                self.counts.broken_off.fetch_add(1, Relaxed);
                self.history.clear();
                return Ok(());
            }
            match deltas.next().await {
                Some(Ok(Delta::Text(text))) => answer.push_str(&text),
                Some(Ok(Delta::Done(end))) => {
                    let ended =
                        if end.finish == Finish::Cancelled { &self.counts.cancelled } else { &self.counts.answers };
                    ended.fetch_add(1, Relaxed);
                    self.counts.tokens.fetch_add(u64::from(end.completion_tokens), Relaxed);
                    break;
                }
                Some(Ok(_)) => {}
                Some(Err(EngineError::Rejected { .. })) => {
                    self.counts.too_long.fetch_add(1, Relaxed);
                    self.history.clear();
                    return Ok(());
                }
                Some(Err(error)) => return Err(error.into()),
                None => bail!("an answer ended without saying so"),
            }
        }
        self.history.push(PromptMessage { role: Role::Assistant, text: answer });
        Ok(())
    }

    fn sampling(&mut self) -> Sampling {
        let dice = &mut self.dice;
        Sampling {
            max_tokens: Some(dice.random_range(1..120)),
            temperature: Some([0.0, 0.7, 1.5][dice.random_range(0..3)]),
            top_k: dice.random_bool(0.3).then_some(20),
            repetition_penalty: dice.random_bool(0.3).then_some(1.1),
            seed: Some(dice.random()),
            response_format: if dice.random_bool(0.1) { ResponseFormat::Json } else { ResponseFormat::Text },
            ..Sampling::default()
        }
    }
}
