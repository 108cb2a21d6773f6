//! The message that a message answers. Not in the reference page; shapes as seen on the wire.

use magpie_core::event::Quote;
use magpie_core::ids::MessageId;
use serde_json::Value;

use crate::content;
use crate::fields::{Fields, object_or_json_text};

/// Finds what `message` (the whole robot message) quotes.
///
/// Of our own cards the platform sends no text, but the key that we got when sending: that key is then the quote's
/// message id, so the text can be looked up among our deliveries.
pub(crate) fn read(message: Fields<'_>) -> Option<Quote> {
    // For rich text the pair stands in `content`, else in `text`.
    let replied = ["text", "content"]
        .into_iter()
        .filter_map(|key| message.object(key))
        .find(|part| part.is_true("isReplyMsg") || part.get("repliedMsg").is_some());
    if let Some(part) = replied {
        // Like other objects of these messages it may come as JSON text.
        let quoted = part.get("repliedMsg").and_then(object_or_json_text);
        return Some(modern(message, quoted.as_deref().map(Fields::exact)));
    }
    legacy(message)
}

fn modern(message: Fields<'_>, replied: Option<Fields<'_>>) -> Quote {
    let original = message.text("originalMsgId");
    let key = message.text("originalProcessQueryKey");
    let Some(replied) = replied else {
        // Only what a robot sent has such a key.
        return Quote { message_id: key.or(original).map(MessageId::from), text: None, from_bot: key.is_some() };
    };
    let bot = message.text("chatbotUserId");
    let from_bot = bot.is_some() && replied.text("senderId") == bot;
    let own_key = key.filter(|_| from_bot);
    let id = own_key.or_else(|| replied.text("msgId")).or(original);
    let text = content::read(replied.text("msgType").unwrap_or_default(), replied.get("content")).text;
    Quote { message_id: id.map(MessageId::from), text: Some(text).filter(|text| !text.is_empty()), from_bot }
}

/// Shapes of older clients.
fn legacy(message: Fields<'_>) -> Option<Quote> {
    if let Some(quoted) = message.object("quoteMessage") {
        let text = content::read(quoted.text("msgtype").unwrap_or("text"), quoted.get("text")).text;
        return Some(Quote {
            message_id: quoted.text("msgId").map(MessageId::from),
            text: Some(text).filter(|text| !text.is_empty()),
            from_bot: false,
        });
    }
    let text = message.object("content")?.get("quoteContent").and_then(Value::as_str)?;
    Some(Quote { message_id: None, text: Some(text.to_owned()), from_bot: false })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_quote_without_its_message_names_the_robots_by_key() {
        let message = json!({"text": {"content": "?", "isReplyMsg": true}, "originalMsgId": "m1", "originalProcessQueryKey": "k1"});
        let quote = read(Fields::exact(message.as_object().unwrap())).unwrap();
        assert_eq!((quote.message_id, quote.text, quote.from_bot), (Some("k1".into()), None, true));
    }

    #[test]
    fn a_quoted_message_may_come_as_json_text() {
        let replied = json!({"msgType": "text", "msgId": "m1", "content": {"text": "旧"}}).to_string();
        let message = json!({"text": {"content": "?", "repliedMsg": replied}});
        let quote = read(Fields::exact(message.as_object().unwrap())).unwrap();
        assert_eq!((quote.message_id, quote.text.as_deref()), (Some("m1".into()), Some("旧")));
    }

    #[test]
    fn older_shapes_of_quotes_are_read() {
        let message = json!({"quoteMessage": {"msgId": "m1", "msgtype": "text", "text": {"content": "旧"}}});
        let quote = read(Fields::exact(message.as_object().unwrap())).unwrap();
        assert_eq!((quote.message_id, quote.text), (Some("m1".into()), Some("旧".to_owned())));
        let message = json!({"content": {"quoteContent": "更旧"}});
        assert_eq!(read(Fields::exact(message.as_object().unwrap())).unwrap().text.as_deref(), Some("更旧"));
    }
}
