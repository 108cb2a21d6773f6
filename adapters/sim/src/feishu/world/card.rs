//! A card entity: its JSON, its sequence, its streaming mode, and what the service did to it.
//!
//! Every card message has one, whether it was created by CardKit or sent inline.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use crate::feishu::answer::Refusal;
use crate::feishu::tree;

/// Streaming mode closes by itself this long after it was last switched on.
pub(in crate::feishu) const STREAMING_LIFE_MS: i64 = 600_000;
/// Cards live 14 days.
pub(in crate::feishu) const CARD_LIFE_MS: i64 = 14 * 86_400_000;

/// What the service did to one card, for assertions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CardReport {
    pub card_id: String,
    /// Calls that named the card or its message, refused ones included.
    pub calls: u64,
    pub refused: u64,
    /// Accepted updates of an element's text.
    pub content_updates: u64,
    /// Updates that changed text already typed, in place of adding to it.
    pub rewrites: u64,
    /// Most calls for this card that ran at one moment; more than 1 means that updates can overtake each other.
    pub max_in_flight: u32,
    /// Sequence of the last accepted CardKit operation; 0 before the first.
    pub sequence: i64,
    /// How often streaming mode was switched on again, after it had ended or for ten more minutes.
    pub reopened: u64,
    /// Streaming mode is on now.
    pub streaming: bool,
    /// Streaming mode ended by the 10-minute limit and was not switched off.
    pub timed_out: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feishu) enum Streaming {
    Off,
    On,
    TimedOut,
}

/// `sequence` and `uuid` of a CardKit operation.
#[derive(Debug, Clone)]
pub(in crate::feishu) struct Stamp {
    pub(in crate::feishu) sequence: i64,
    pub(in crate::feishu) uuid: Option<String>,
    /// The whole operation as text, to tell a repeat from a reused uuid.
    pub(in crate::feishu) fingerprint: String,
}

/// Whether a stamped operation still has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feishu) enum Turn {
    New,
    Repeat,
}

#[derive(Debug, Clone)]
pub(in crate::feishu) struct CardEntity {
    pub(in crate::feishu) id: String,
    pub(in crate::feishu) json: Value,
    pub(in crate::feishu) created_ms: i64,
    /// The message that shows it; a card can be sent once.
    pub(in crate::feishu) message_id: Option<String>,
    /// Button presses whose callback is not answered yet.
    pub(in crate::feishu) interactions: u32,
    /// Calls for this card that run now.
    pub(in crate::feishu) in_flight: u32,
    /// Accepted changes after creation.
    pub(in crate::feishu) updates: u64,
    pub(in crate::feishu) report: CardReport,
    streaming_since_ms: Option<i64>,
    uuids: HashMap<String, String>,
    /// Texts that were typed out, by element id.
    typed: HashMap<String, String>,
}

impl CardEntity {
    pub(in crate::feishu) fn new(id: String, json: Value, now_ms: i64) -> Self {
        let streaming_since_ms = wants_streaming(&json).then_some(now_ms);
        let report = CardReport { card_id: id.clone(), ..CardReport::default() };
        Self {
            id,
            json,
            created_ms: now_ms,
            message_id: None,
            interactions: 0,
            in_flight: 0,
            updates: 0,
            report,
            streaming_since_ms,
            uuids: HashMap::new(),
            typed: HashMap::new(),
        }
    }

    pub(in crate::feishu) fn is_v2(&self) -> bool {
        self.json["schema"] == "2.0"
    }

    pub(in crate::feishu) fn streaming(&self, now_ms: i64) -> Streaming {
        match self.streaming_since_ms {
            None => Streaming::Off,
            Some(since_ms) if now_ms - since_ms < STREAMING_LIFE_MS => Streaming::On,
            Some(_) => Streaming::TimedOut,
        }
    }

    /// The report as of now.
    pub(in crate::feishu) fn report(&self, now_ms: i64) -> CardReport {
        let streaming = self.streaming(now_ms);
        CardReport {
            streaming: streaming == Streaming::On,
            timed_out: streaming == Streaming::TimedOut,
            ..self.report.clone()
        }
    }

    /// Checks age, interaction, uuid and sequence of an operation. [`CardEntity::accept`] follows once it worked.
    pub(in crate::feishu) fn turn(&self, stamp: &Stamp, now_ms: i64) -> Result<Turn, Refusal> {
        if now_ms - self.created_ms > CARD_LIFE_MS {
            return Err(Refusal::new(200_750, "card expired"));
        }
        if let Some(known) = stamp.uuid.as_ref().and_then(|uuid| self.uuids.get(uuid)) {
            return match known == &stamp.fingerprint {
                true => Ok(Turn::Repeat),
                false => Err(Refusal::new(200_770, "uuid was used for another operation")),
            };
        }
        if self.interactions > 0 {
            return Err(Refusal::new(200_810, "the user is interacting with the card"));
        }
        if stamp.sequence <= self.report.sequence {
            let msg = format!("sequence number compare failed: {} after {}", stamp.sequence, self.report.sequence);
            return Err(Refusal::new(300_317, msg));
        }
        Ok(Turn::New)
    }

    pub(in crate::feishu) fn accept(&mut self, stamp: Stamp) {
        self.report.sequence = stamp.sequence;
        if let Some(uuid) = stamp.uuid {
            self.uuids.insert(uuid, stamp.fingerprint);
        }
    }

    /// Puts the new JSON in force, without checks. Naming `streaming_mode:true` begins a new 10 minutes.
    pub(in crate::feishu) fn replace(&mut self, json: Value, switched: Switch, now_ms: i64) {
        self.note_rewrites(&json, now_ms);
        self.json = json;
        self.updates += 1;
        if switched != Switch::Untouched {
            let was_on = self.streaming(now_ms) == Streaming::On;
            let again = wants_streaming(&self.json) && (switched == Switch::Named || !was_on);
            self.report.reopened += u64::from(again);
            self.streaming_since_ms = wants_streaming(&self.json).then_some(now_ms);
        }
    }

    /// A text was typed into an element: the next one should begin with it.
    pub(in crate::feishu) fn note_typed(&mut self, element_id: &str, text: &str) {
        self.report.content_updates += 1;
        self.typed.insert(element_id.to_owned(), text.to_owned());
    }

    fn note_rewrites(&mut self, new: &Value, now_ms: i64) {
        if self.streaming(now_ms) != Streaming::On {
            return;
        }
        for (element_id, old) in &mut self.typed {
            let Some(text) = tree::find(new, element_id).and_then(tree::text) else { continue };
            if !text.starts_with(old.as_str()) {
                self.report.rewrites += 1;
            }
            text.clone_into(old);
        }
    }
}

/// Whether a change spoke about streaming mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feishu) enum Switch {
    /// The settings did.
    Named,
    /// The whole card is a new one.
    Replaced,
    Untouched,
}

fn wants_streaming(card: &Value) -> bool {
    card["config"]["streaming_mode"] == true
}
