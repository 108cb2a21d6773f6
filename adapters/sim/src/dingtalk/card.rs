//! A card's data, what each person sees of it, and the record of how the service treated it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::view::CardState;

/// Card variables: text to text, as the platform insists.
pub(super) type Params = BTreeMap<String, String>;

/// Where presses of a card go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Callback {
    /// No `callbackType`, or HTTP without a route key: buttons do nothing.
    None,
    Stream,
    Http(String),
}

/// Whether given variables replace all or only those named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    ByKey,
    Replace,
}

impl Merge {
    pub fn from_option(by_key: bool) -> Self {
        if by_key { Self::ByKey } else { Self::Replace }
    }
}

/// One card instance.
#[derive(Debug)]
pub(super) struct Card {
    pub template: String,
    pub callback: Callback,
    pub public: Params,
    /// By user id or union id, as the service names people.
    pub private: HashMap<String, Params>,
    /// What the answer to a press changed for the presser alone.
    overlays: HashMap<String, (Merge, Params)>,
    pub state: CardState,
    /// A finalising or failing frame came: no streaming any more.
    pub stream_ended: bool,
    pub guids: HashSet<String>,
    /// Chats in which it stands.
    pub chats: Vec<String>,
    pub updates: u64,
    pub created_ms: i64,
    pub last_frame_ms: Option<i64>,
    streamed: HashMap<String, String>,
}

impl Card {
    pub fn new(template: &str, callback: Callback, public: Params, now_ms: i64) -> Self {
        // A public AI card without a state shows the spinner; other cards are finished from the start.
        let spins = [super::config::TEMPLATE_A, super::config::TEMPLATE_B].contains(&template);
        let initial = if spins { CardState::Streaming } else { CardState::Final };
        Self {
            template: template.to_owned(),
            callback,
            state: state_in(&public).unwrap_or(initial),
            public,
            private: HashMap::new(),
            overlays: HashMap::new(),
            stream_ended: false,
            guids: HashSet::new(),
            chats: Vec::new(),
            updates: 0,
            created_ms: now_ms,
            last_frame_ms: None,
            streamed: HashMap::new(),
        }
    }

    /// Changes what everybody sees.
    pub fn update_public(&mut self, params: Params, merge: Merge) {
        if let Some(state) = state_in(&params) {
            self.state = state;
        }
        match merge {
            Merge::ByKey => {
                for (_, overlay) in self.overlays.values_mut() {
                    overlay.retain(|key, _| !params.contains_key(key));
                }
                self.public.extend(params);
            }
            Merge::Replace => {
                self.overlays.clear();
                self.public = params;
            }
        }
    }

    pub fn update_private(&mut self, user: &str, params: Params, merge: Merge) {
        let own = self.private.entry(user.to_owned()).or_default();
        if merge == Merge::Replace {
            own.clear();
        }
        own.extend(params);
    }

    /// Changes public variables in the presser's client only, as the answer to a press does.
    pub fn overlay(&mut self, user: &str, params: Params, merge: Merge) {
        let (kept, own) = self.overlays.entry(user.to_owned()).or_insert((Merge::ByKey, Params::new()));
        if merge == Merge::Replace {
            own.clear();
            *kept = Merge::Replace;
        }
        own.extend(params);
    }

    /// Takes a frame's content; gives what this variable held by streaming before.
    pub fn stream(&mut self, key: &str, content: String) -> Option<String> {
        for (_, overlay) in self.overlays.values_mut() {
            overlay.remove(key);
        }
        self.public.insert(key.to_owned(), content.clone());
        self.streamed.insert(key.to_owned(), content)
    }

    /// The variables and the state as the person with these ids sees them.
    pub fn seen_by(&self, user_ids: &[&str]) -> (Params, CardState) {
        let mut params = self.public.clone();
        let mut state = self.state;
        for id in user_ids {
            if let Some((merge, overlay)) = self.overlays.get(*id) {
                if *merge == Merge::Replace {
                    params.clear();
                }
                params.extend(overlay.clone());
                state = state_in(overlay).unwrap_or(state);
            }
            params.extend(self.private.get(*id).cloned().unwrap_or_default());
        }
        (params, state)
    }
}

/// What `flowStatus` says, if it is there.
pub(super) fn state_in(params: &Params) -> Option<CardState> {
    match params.get("flowStatus")?.as_str() {
        "1" | "2" | "4" => Some(CardState::Streaming),
        "5" => Some(CardState::Failed),
        _ => Some(CardState::Final),
    }
}

/// How a card came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// A frame with `isFinalize`.
    FinalFrame,
    /// A frame with `isError`.
    ErrorFrame,
    /// `flowStatus` 3 by creation or update.
    FinishedStatus,
    /// `flowStatus` 5 by creation or update.
    FailedStatus,
}

/// How the service treated one card: what a test asserts on.
#[derive(Debug, Clone, Serialize)]
pub struct CardReport {
    pub out_track_id: String,
    /// Calls that named this card, refused ones included.
    pub api_calls: u64,
    /// Calls that were answered with an error.
    pub refused: u64,
    /// Streaming frames that took effect.
    pub frames: u64,
    /// Updates by `PUT /v1.0/card/instances` that took effect.
    pub updates: u64,
    /// Calls that came while another one for this card was not answered yet.
    pub concurrency_violations: u64,
    /// Every ending in the order it came; a clean card has a final frame and perhaps a finished status.
    pub endings: Vec<Ending>,
    /// How often `flowStatus` went back to generating after an ending: a new answer in the same card.
    pub reopened: u64,
    /// Whether the card, as everybody sees it now, shows "generating" no more.
    pub finished: bool,
    /// Shortest pause between two frames, in milliseconds.
    pub shortest_frame_gap_ms: Option<i64>,
    /// From creation to the first frame, in milliseconds.
    pub first_frame_after_ms: Option<i64>,
    /// Things that work but should not happen: text that shrinks, a guid used twice, …
    pub oddities: Vec<String>,
}

impl CardReport {
    pub(super) fn new(out_track_id: &str) -> Self {
        Self {
            out_track_id: out_track_id.to_owned(),
            api_calls: 0,
            refused: 0,
            frames: 0,
            updates: 0,
            concurrency_violations: 0,
            endings: Vec::new(),
            reopened: 0,
            finished: false,
            shortest_frame_gap_ms: None,
            first_frame_after_ms: None,
            oddities: Vec::new(),
        }
    }

    /// Notes an ending that `params` bring, and a state that goes back from `before`.
    pub(super) fn note_status(&mut self, params: &Params, before: Option<CardState>) {
        match state_in(params) {
            Some(CardState::Final) => self.endings.push(Ending::FinishedStatus),
            Some(CardState::Failed) => self.endings.push(Ending::FailedStatus),
            Some(CardState::Streaming) if before.is_some_and(|state| state != CardState::Streaming) => {
                self.reopened += 1;
            }
            _ => {}
        }
    }

    pub(super) fn note_frame_times(&mut self, card: &Card, now_ms: i64) {
        self.frames += 1;
        match card.last_frame_ms {
            None => self.first_frame_after_ms = Some(now_ms - card.created_ms),
            Some(last_ms) => {
                let gap_ms = now_ms - last_ms;
                self.shortest_frame_gap_ms = Some(self.shortest_frame_gap_ms.map_or(gap_ms, |least| least.min(gap_ms)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_update_without_by_key_wipes_the_other_variables() {
        let mut card = Card::new("t", Callback::None, params(&[("a", "1"), ("b", "2")]), 0);
        card.update_public(params(&[("a", "3")]), Merge::ByKey);
        assert_eq!(card.seen_by(&[]).0, params(&[("a", "3"), ("b", "2")]));
        card.update_public(params(&[("a", "4")]), Merge::Replace);
        assert_eq!(card.seen_by(&[]).0, params(&[("a", "4")]));
    }

    #[test]
    fn the_answer_to_a_press_reaches_the_presser_only_until_the_next_update() {
        let mut card = Card::new("t", Callback::None, params(&[("a", "1")]), 0);
        card.overlay("u1", params(&[("a", "pressed")]), Merge::ByKey);
        assert_eq!(card.seen_by(&["u1"]).0["a"], "pressed");
        assert_eq!(card.seen_by(&["u2"]).0["a"], "1");
        card.update_public(params(&[("a", "2")]), Merge::ByKey);
        assert_eq!(card.seen_by(&["u1"]).0["a"], "2");
    }
}
