//! Showing an answer as it comes.

use std::io::{IsTerminal as _, Write as _};

use magpie_core::engine::{Completion, Finish};
use tokio::time::Instant;

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Standard output for the answer, standard error for what is said about it.
pub struct Screen {
    is_terminal: bool,
    begun: Instant,
    first: Option<Instant>,
    in_reasoning: bool,
}

impl Screen {
    pub fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        Self { is_terminal, begun: Instant::now(), first: None, in_reasoning: false }
    }

    pub fn begin(&mut self) {
        self.begun = Instant::now();
        self.first = None;
        self.in_reasoning = false;
    }

    pub fn text(&mut self, text: &str) {
        self.first.get_or_insert_with(Instant::now);
        if std::mem::take(&mut self.in_reasoning) {
            show(&format!("{PLAIN}\n\n"));
        }
        show(text);
    }

    /// Only where a person sees it: who reads a pipe wants answers.
    pub fn reasoning(&mut self, text: &str) {
        self.first.get_or_insert_with(Instant::now);
        if self.is_terminal {
            if !std::mem::replace(&mut self.in_reasoning, true) {
                show(DIM);
            }
            show(text);
        }
    }

    /// Ends the answer and says how fast it came; `None`: it broke off.
    pub fn end(&mut self, completion: Option<Completion>) {
        show(if self.in_reasoning { "\x1b[0m\n" } else { "\n" });
        let Some(completion) = completion else { return };
        let first = self.first.unwrap_or(self.begun);
        // The first token ends the wait for the prompt; the others are what the speed is about.
        let later = completion.completion_tokens.saturating_sub(1);
        let speed = f64::from(later) / first.elapsed().as_secs_f64().max(1e-6);
        let ending = match completion.finish {
            Finish::Stop => "",
            Finish::Length => ", cut off at the longest allowed",
            Finish::Cancelled => ", stopped",
        };
        let told = format!(
            "[{} tokens, {speed:.1} tokens/s, the first after {:.2} s{ending}]",
            completion.completion_tokens,
            (first - self.begun).as_secs_f64()
        );
        if std::io::stderr().is_terminal() { eprintln!("{DIM}{told}{PLAIN}\n") } else { eprintln!("{told}") }
    }
}

/// A reader that is gone is no reason to stop: the next line will find out.
fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}
