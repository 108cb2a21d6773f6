//! Streaming into a card variable, frame by frame.

use serde_json::{Value, json};

use super::cards::MAX_VALUE_CHARS;
use super::fields::{flag, required};
use super::{Answer, Call, Refusal};
use crate::dingtalk::card::{Card, CardReport, Ending};
use crate::dingtalk::config::{TEMPLATE_A, TEMPLATE_B};
use crate::view::CardState;

/// Whether a body is the last frame of its card, by `isFinalize` or `isError`.
pub(in crate::dingtalk) fn is_final(body: &Value) -> bool {
    ["isFinalize", "isError"].iter().any(|name| body.get(*name) == Some(&Value::Bool(true)))
}

/// A frame whose fields are in order.
struct Frame<'a> {
    guid: &'a str,
    key: &'a str,
    content: &'a str,
    full: bool,
    ending: Option<Ending>,
}

/// `PUT /v1.0/card/streaming`.
pub(super) fn frame(call: &Call<'_>) -> Answer {
    let out_track_id = required(&call.body, "outTrackId", "param.stream.outTrackId")?;
    let frame = read(&call.body)?;
    let done = json!({"success": true, "result": true});
    let mut world = call.shared.world();
    let world = &mut *world;
    let card = world.cards.get_mut(out_track_id);
    let card = card.ok_or_else(|| Refusal::bad("param.stream.outTrackId", "no card has this outTrackId"))?;
    let report = world.reports.get_mut(out_track_id).expect("every created card has a report");
    if !card.guids.insert(frame.guid.to_owned()) {
        report.oddities.push("a guid was used twice".to_owned());
        return Ok(done);
    }
    if card.stream_ended {
        return Err(Refusal::bad("param.invalid", "the card is finalised, it takes no more frames"));
    }
    let wants_full = [TEMPLATE_A, TEMPLATE_B].contains(&card.template.as_str());
    if wants_full && !frame.full {
        return Err(Refusal::bad("param.stream.isFull", "a Markdown variable wants isFull"));
    }
    apply(card, report, &frame, call.now_ms);
    call.shared.changed();
    Ok(done)
}

fn read(body: &Value) -> Result<Frame<'_>, Refusal> {
    let guid = required(body, "guid", "param.stream.guidEmpty")?;
    let key = required(body, "key", "param.stream.keyEmpty")?;
    let content = required(body, "content", "param.stream.contentEmpty")?;
    if content.chars().count() > MAX_VALUE_CHARS {
        return Err(Refusal::bad("param.stream.content", "content is too large (200092)"));
    }
    let full = flag(body, "isFull")?;
    let ending = match (flag(body, "isError")?, flag(body, "isFinalize")?) {
        (true, _) => Some(Ending::ErrorFrame),
        (false, true) => Some(Ending::FinalFrame),
        (false, false) => None,
    };
    Ok(Frame { guid, key, content, full, ending })
}

fn apply(card: &mut Card, report: &mut CardReport, frame: &Frame<'_>, now_ms: i64) {
    report.note_frame_times(card, now_ms);
    if card.chats.is_empty() {
        report.oddities.push("a frame before the card was delivered".to_owned());
    }
    if card.state != CardState::Streaming {
        report.oddities.push("a frame after a final flowStatus".to_owned());
    }
    let content = match frame.full {
        true => frame.content.to_owned(),
        false => card.public.get(frame.key).map_or_else(String::new, String::clone) + frame.content,
    };
    let length = content.chars().count();
    let before = card.stream(frame.key, content);
    if before.is_some_and(|before| before.chars().count() > length) {
        report.oddities.push(format!("{} became shorter from one frame to the next", frame.key));
    }
    card.last_frame_ms = Some(now_ms);
    card.updates += 1;
    card.state = match frame.ending {
        None => CardState::Streaming,
        Some(Ending::ErrorFrame) => CardState::Failed,
        Some(_) => CardState::Final,
    };
    if let Some(ending) = frame.ending {
        card.stream_ended = true;
        report.endings.push(ending);
    }
}
