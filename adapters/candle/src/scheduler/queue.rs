//! Who waits, in turn.
//!
//! Every conversation has a line of its own, and the lines take turns, so that somebody who asks ten things at once
//! does not keep others waiting for all ten. A prompt without a conversation is a line by itself.

use std::collections::VecDeque;

use magpie_core::ids::ConversationId;

use super::sequence::Sequence;

#[derive(Default)]
pub(super) struct Queue {
    /// Never empty ones; the front one's turn is next.
    lines: VecDeque<Line>,
    waiting: usize,
    tokens: usize,
}

struct Line {
    conversation: Option<ConversationId>,
    sequences: VecDeque<Sequence>,
}

impl Queue {
    /// Sequences in all lines.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Tokens of all sequences.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(super) fn push(&mut self, sequence: Sequence) {
        self.count(&sequence);
        match self.line_of(sequence.conversation()) {
            Some(place) => self.lines[place].sequences.push_back(sequence),
            None => self.lines.push_back(Line::of(sequence)),
        }
    }

    /// Puts back what has run already, so that it is the next one to run.
    pub(super) fn push_first(&mut self, sequence: Sequence) {
        self.count(&sequence);
        let line = match self.line_of(sequence.conversation()).and_then(|place| self.lines.remove(place)) {
            Some(mut line) => {
                line.sequences.push_front(sequence);
                line
            }
            None => Line::of(sequence),
        };
        self.lines.push_front(line);
    }

    /// The sequence whose turn is the `turn`th from now.
    pub(super) fn peek(&mut self, turn: usize) -> Option<&mut Sequence> {
        self.lines.get_mut(turn)?.sequences.front_mut()
    }

    /// Takes it out; its line goes to the end.
    pub(super) fn take(&mut self, turn: usize) -> Option<Sequence> {
        let mut line = self.lines.remove(turn)?;
        let sequence = line.sequences.pop_front()?;
        if !line.sequences.is_empty() {
            self.lines.push_back(line);
        }
        self.waiting -= 1;
        self.tokens -= sequence.tokens.len();
        Some(sequence)
    }

    /// Takes out all that nobody wants any more.
    pub(super) fn take_unwanted(&mut self) -> Vec<Sequence> {
        let mut unwanted = Vec::new();
        for line in &mut self.lines {
            if line.sequences.iter().all(Sequence::is_wanted) {
                continue;
            }
            for _ in 0..line.sequences.len() {
                let Some(sequence) = line.sequences.pop_front() else { break };
                if sequence.is_wanted() {
                    line.sequences.push_back(sequence);
                } else {
                    self.waiting -= 1;
                    self.tokens -= sequence.tokens.len();
                    unwanted.push(sequence);
                }
            }
        }
        self.lines.retain(|line| !line.sequences.is_empty());
        unwanted
    }

    fn count(&mut self, sequence: &Sequence) {
        self.waiting += 1;
        self.tokens += sequence.tokens.len();
    }

    fn line_of(&self, conversation: Option<ConversationId>) -> Option<usize> {
        conversation.and_then(|_| self.lines.iter().position(|line| line.conversation == conversation))
    }
}

impl Line {
    fn of(sequence: Sequence) -> Self {
        Self { conversation: sequence.conversation(), sequences: VecDeque::from([sequence]) }
    }
}
