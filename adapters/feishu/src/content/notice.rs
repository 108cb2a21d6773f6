//! Messages that point to something else: places, contacts, meetings, votes.

use magpie_core::event::ContentKind;
use serde_json::Value;

use super::Converted;
use crate::field;

pub(super) fn location(content: &Value) -> Option<Converted> {
    let name = field::text_or_empty(content, "name");
    let (latitude, longitude) = (field::text(content, "latitude")?, field::text(content, "longitude")?);
    Some(Converted::text(ContentKind::Location, format!("{name} ({latitude}, {longitude})").trim().to_owned()))
}

/// A line of the platform itself; the names go where its template wants them.
pub(super) fn system(content: &Value) -> Option<Converted> {
    let mut text = field::text_or_empty(content, "template");
    for key in ["from_user", "to_chatters"] {
        let names: Vec<&str> = field::list(content, key).iter().filter_map(Value::as_str).collect();
        text = text.replace(&format!("{{{key}}}"), &names.join(", "));
    }
    content.is_object().then(|| Converted::text(ContentKind::System, text))
}

pub(super) fn contact(content: &Value) -> Option<Converted> {
    content.is_object().then(|| Converted::text(ContentKind::Contact, String::new()))
}

/// The forwarded messages themselves are not in the event, only a fixed English sentence.
pub(super) fn forwarded(_content: &Value) -> Option<Converted> {
    Some(Converted::text(ContentKind::Forwarded, String::new()))
}

pub(super) fn red_packet(content: &Value) -> Option<Converted> {
    named("hongbao", field::text(content, "text")?.to_owned())
}

pub(super) fn calendar(content: &Value) -> Option<Converted> {
    named("calendar", field::text(content, "summary")?.to_owned())
}

pub(super) fn meeting(content: &Value) -> Option<Converted> {
    named("video_chat", field::text(content, "topic")?.to_owned())
}

pub(super) fn todo(content: &Value) -> Option<Converted> {
    let summary = content.get("summary")?;
    let mut text = field::text_or_empty(summary, "title");
    if let Some(body) = super::rich::post(&serde_json::json!({"content": summary.get("content")})) {
        text = format!("{text}\n{}", body.text);
    }
    named("todo", text.trim().to_owned())
}

pub(super) fn vote(content: &Value) -> Option<Converted> {
    let options = field::list(content, "options").iter().filter_map(Value::as_str);
    let lines: Vec<String> = options.map(|option| format!("- {option}")).collect();
    named("vote", format!("{}\n{}", field::text(content, "topic")?, lines.join("\n")))
}

/// Readable, but of a kind that only this platform has.
fn named(name: &str, text: String) -> Option<Converted> {
    Some(Converted::text(ContentKind::Unknown(name.to_owned()), text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn vote_and_todo_are_readable() {
        let vote = vote(&json!({"topic": "Lunch?", "options": ["noodles", "rice"]})).expect("a vote");
        assert_eq!(vote.text, "Lunch?\n- noodles\n- rice");
        let summary = json!({"title": "", "content": [[{"tag": "text", "text": "call"}]]});
        assert_eq!(todo(&json!({"summary": summary})).expect("a todo").text, "call");
    }

    #[test]
    fn system_line_names_the_people() {
        let content =
            json!({"template": "{from_user} invited {to_chatters}", "from_user": ["A"], "to_chatters": ["B", "C"]});
        assert_eq!(system(&content).expect("a line").text, "A invited B, C");
    }
}
