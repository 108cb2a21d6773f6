//! Nothing that can be sent makes the adapter panic.

use magpie_core::clock::UnixMillis;
use magpie_core::platform::{Inbound, Platform, RawRequest};
use magpie_feishu::Feishu;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{bot, config, event_v2, plain_request};

fn with_key() -> Feishu {
    let mut settings = config();
    settings.encrypt_key = Some("test key".into());
    bot(settings)
}

const EVENT_TYPES: [&str; 10] = [
    "im.message.receive_v1",
    "card.action.trigger",
    "im.chat.member.bot.added_v1",
    "im.chat.disbanded_v1",
    "im.chat.access_event.bot_p2p_chat_entered_v1",
    "im.message.recalled_v1",
    "im.message.reaction.created_v1",
    "im.chat.updated_v1",
    "application.bot.menu_v6",
    "",
];

/// Any JSON whose objects use the platform's own field names, so that it gets past the first look.
fn json_like_an_event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[@_a-z0-9é<>{}\\[\\]\": ]{0,24}".prop_map(Value::from),
        Just(json!("{\"text\":\"@_user_1 @_all\",\"content\":[[{\"tag\":\"at\"}]]}")),
    ];
    let key = prop::sample::select(vec![
        "message",
        "sender",
        "chat_id",
        "message_id",
        "content",
        "message_type",
        "mentions",
        "key",
        "id",
        "open_id",
        "operator",
        "operator_id",
        "action",
        "value",
        "context",
        "event_key",
        "reaction_type",
        "user_id",
        "text",
        "name",
    ]);
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_and_headers_are_answered(
        body in prop::collection::vec(any::<u8>(), 0..400),
        timestamp in ".{0,20}",
        signature in ".{0,70}",
        now in any::<i64>(),
    ) {
        let headers = [("x-lark-request-timestamp", timestamp), ("x-lark-request-nonce", "1".into()), ("x-lark-signature", signature)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let raw = RawRequest { headers, body: body.into(), ..RawRequest::default() };
        prop_assert!(with_key().open(&raw, UnixMillis(now)).is_err());
        prop_assert!(bot(config()).open(&raw, UnixMillis(now)).is_err());
    }

    #[test]
    fn any_event_with_the_right_token_is_kept(event in json_like_an_event(), event_type in prop::sample::select(EVENT_TYPES.to_vec())) {
        let opened = bot(config()).open(&plain_request(&event_v2(event_type, &event)), UnixMillis(0));
        let Ok(Inbound::Event(received)) = opened else { return Err(TestCaseError::fail(format!("{opened:?}"))) };
        prop_assert!(!received.event.platform_event_id.is_empty());
    }

    #[test]
    fn any_old_event_with_the_right_token_is_kept(event in json_like_an_event()) {
        let mut fields = event.as_object().cloned().unwrap_or_default();
        fields.insert("type".into(), json!("message"));
        let body = json!({"uuid": "u-1", "token": crate::support::TOKEN, "event": fields});
        prop_assert!(bot(config()).open(&plain_request(&body), UnixMillis(0)).is_ok());
    }
}
