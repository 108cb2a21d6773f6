//! How fast the engine is, measured while it works, and how long a newcomer will wait by that.

use std::time::Duration;

use super::warm_up::FirstSteps;

/// Weight of the newest measurement in a running mean.
const NEWEST: f64 = 0.2;

/// Steps with fewer rows of prompts say little about the time of one such row.
pub(super) const TELLING_ROWS: usize = 16;

/// Length of an answer while none has ended: a few paragraphs, as chats have them.
const USUAL_ANSWER_TOKENS: u32 = 256;

/// Rows of a prompt while none has begun: a system prompt and a question.
const USUAL_PROMPT_ROWS: f64 = 256.0;

/// Running means, in seconds and tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Rates {
    /// One row of a prompt, in a step with many.
    prompt_row: Mean,
    /// A step that goes on with answers only.
    decode_step: Mean,
    /// Length of an answer.
    answer_tokens: Mean,
    /// What was to be computed of a prompt.
    prompt_rows: Mean,
}

/// A running mean.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Mean {
    #[default]
    Unknown,
    /// Better than nothing, and no more: the first measurement takes its place.
    Rough(f64),
    Measured(f64),
}

/// What is to be done before a newcomer's turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Outlook {
    pub rates: Rates,
    pub running: usize,
    pub waiting: usize,
    pub max_batch_size: usize,
    /// Rows of prompts, of those that run and those that wait.
    pub rows_ahead: usize,
}

impl Mean {
    fn get(self) -> Option<f64> {
        match self {
            Self::Unknown => None,
            Self::Rough(value) | Self::Measured(value) => Some(value),
        }
    }

    fn take_in(&mut self, newest: f64) {
        *self = Self::Measured(match *self {
            Self::Measured(mean) => mean + NEWEST * (newest - mean),
            Self::Unknown | Self::Rough(_) => newest,
        });
    }
}

impl Rates {
    /// What a network's first steps let expect, before there was any work. `longest_answer`: in tokens, of prompts that
    /// name no limit.
    pub(crate) fn rough(first: &FirstSteps, longest_answer: u32) -> Self {
        if first.prompt_rows == 0 {
            return Self::default();
        }
        Self {
            prompt_row: Mean::Rough(first.prompt.as_secs_f64() / float(first.prompt_rows)),
            decode_step: Mean::Rough(first.decode.as_secs_f64()),
            answer_tokens: Mean::Rough(USUAL_ANSWER_TOKENS.min(longest_answer).into()),
            prompt_rows: Mean::Rough(USUAL_PROMPT_ROWS),
        }
    }

    /// Takes in a step of so many rows.
    pub(crate) fn stepped(&mut self, answer_rows: usize, prompt_rows: usize, took: Duration) {
        let seconds = took.as_secs_f64();
        if prompt_rows == 0 {
            self.decode_step.take_in(seconds);
        } else if prompt_rows >= TELLING_ROWS {
            let rows = u32::try_from(answer_rows + prompt_rows).unwrap_or(u32::MAX);
            self.prompt_row.take_in(seconds / f64::from(rows));
        }
    }

    /// Takes in the length of a finished answer.
    pub(crate) fn answered(&mut self, tokens: usize) {
        self.answer_tokens.take_in(float(tokens));
    }

    /// Takes in what has to be computed of a prompt that begins to run.
    pub(crate) fn began(&mut self, rows: usize) {
        self.prompt_rows.take_in(float(rows));
    }

    /// How many rows of prompts take about so long; `None` before anything was measured.
    pub(crate) fn prompt_rows_in(&self, time: Duration) -> Option<usize> {
        let rows = time.as_secs_f64() / self.prompt_row.get()?.max(f64::EPSILON);
        // Cut off at the top by the cast, which saturates.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
        Some(rows as usize)
    }
}

impl Outlook {
    /// How long the first token of a prompt will take that comes after `unseen` others of which nothing is known yet.
    /// `None` while too little was measured to say.
    pub(crate) fn expected_wait(&self, unseen: usize) -> Option<Duration> {
        let ahead = self.waiting + unseen;
        if self.running == 0 && ahead == 0 {
            return Some(Duration::ZERO);
        }
        let own_rows = self.rates.prompt_rows.get()?;
        let rows = float(self.rows_ahead) + float(unseen + 1) * own_rows;
        let prompts = rows * self.rates.prompt_row.get()?;
        let free = self.max_batch_size.saturating_sub(self.running);
        let endings = (ahead + 1).saturating_sub(free);
        let slots = if endings == 0 { 0.0 } else { float(endings) * self.seconds_per_ending()? };
        Duration::try_from_secs_f64(prompts + slots).ok()
    }

    /// Mean time between two answers that end, with the batch full.
    fn seconds_per_ending(&self) -> Option<f64> {
        let answer_seconds = self.rates.answer_tokens.get()? * self.rates.decode_step.get()?;
        Some(answer_seconds / float(self.max_batch_size.max(1)))
    }
}

fn float(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn measured() -> Rates {
        let mut rates = Rates::default();
        rates.stepped(0, 500, 500 * MILLISECOND);
        rates.stepped(4, 0, 20 * MILLISECOND);
        rates.answered(100);
        rates.began(200);
        rates
    }

    #[test]
    fn nobody_waits_for_an_idle_engine_and_nothing_is_promised_unmeasured() {
        let idle = Outlook { max_batch_size: 4, ..Outlook::default() };
        assert_eq!(idle.expected_wait(0), Some(Duration::ZERO));
        assert_eq!(Outlook { running: 1, ..idle }.expected_wait(0), None);
    }

    #[test]
    fn with_a_place_free_the_wait_is_the_prompts_before_and_ones_own() {
        let outlook = Outlook { rates: measured(), running: 2, waiting: 0, max_batch_size: 4, rows_ahead: 300 };
        assert_eq!(outlook.expected_wait(0), Some(500 * MILLISECOND));
        assert_eq!(outlook.expected_wait(1), Some(700 * MILLISECOND));
    }

    #[test]
    fn with_the_batch_full_answers_have_to_end_first() {
        let outlook = Outlook { rates: measured(), running: 4, waiting: 3, max_batch_size: 4, rows_ahead: 600 };
        // 0.8 s of prompts, and four endings, each half a second after the other.
        let wait = outlook.expected_wait(0).unwrap();
        assert!((2799..=2801).contains(&wait.as_millis()), "{wait:?}");
    }

    #[test]
    fn means_follow_the_newest_measurements_slowly() {
        let mut rates = measured();
        assert_eq!(rates.prompt_rows_in(100 * MILLISECOND), Some(100));
        rates.stepped(0, 100, 600 * MILLISECOND);
        assert_eq!(rates.prompt_rows_in(100 * MILLISECOND), Some(50));
        rates.stepped(1, 3, Duration::from_secs(9));
        assert_eq!(rates.prompt_rows_in(100 * MILLISECOND), Some(50), "too few rows to tell");
    }

    #[test]
    fn a_rough_figure_is_enough_to_say_something_until_the_first_measurement() {
        let first = FirstSteps { prompt_rows: 10, prompt: 100 * MILLISECOND, decode: 20 * MILLISECOND };
        let mut rates = Rates::rough(&first, 100);
        let full = |rates| Outlook { rates, running: 2, waiting: 0, max_batch_size: 2, rows_ahead: 0 };
        // 256 rows at 10 ms, and half of an answer of 100 tokens at 20 ms.
        assert_eq!(full(rates).expected_wait(0), Some(3560 * MILLISECOND));
        rates.stepped(0, 500, 500 * MILLISECOND);
        assert_eq!(full(rates).expected_wait(0), Some(1256 * MILLISECOND));
        rates.began(100);
        assert_eq!(full(rates).expected_wait(0), Some(1100 * MILLISECOND));
        rates.stepped(2, 0, 40 * MILLISECOND);
        rates.answered(50);
        assert_eq!(full(rates).expected_wait(0), Some(1100 * MILLISECOND));
        assert_eq!(Rates::rough(&FirstSteps::default(), 100), Rates::default(), "nothing was computed");
    }
}
