//! What the vectors do not show: settings, answers, and the finer points of refusing.

use std::sync::Arc;

use magpie_core::card::Language;
use magpie_core::clock::{SystemClock, UnixMillis};
use magpie_core::event::{Action, Body, Lifecycle, Press};
use magpie_core::ids::EventId;
use magpie_core::platform::{Inbound, Platform, RawRequest, Received, Toast, WebhookError};
use magpie_feishu::Feishu;
use serde_json::{Value, json};

use crate::support::{APP_ID, bot, client, config, event_v2, plain_request};

const NOW: UnixMillis = UnixMillis(1_779_350_400_000);

fn receive(body: &Value) -> Received {
    match bot(config()).open(&plain_request(body), NOW) {
        Ok(Inbound::Event(received)) => *received,
        other => panic!("no event: {other:?}"),
    }
}

fn press_event(event: EventId) -> Value {
    event_v2(
        "card.action.trigger",
        &json!({
            "operator": {"open_id": "ou_1"},
            "action": {"tag": "button", "value": {"a": "vote_up", "e": event.to_string()}},
            "context": {"open_message_id": "om_1", "open_chat_id": "oc_1"}
        }),
    )
}

#[test]
fn bot_without_verification_token_is_refused_with_the_name_of_the_key() {
    let mut settings = config();
    settings.verification_token = "".into();
    let refused = Feishu::new(settings, client(), Arc::new(SystemClock)).map(|_| ()).expect_err("must be refused");
    assert!(refused.to_string().contains("bots.helpdesk.verification_token"), "{refused}");
}

#[test]
fn event_for_another_app_is_refused() {
    let mut body = event_v2("im.message.receive_v1", &json!({}));
    body["header"]["app_id"] = json!("cli_0000000000000000");
    let refused = bot(config()).open(&plain_request(&body), NOW);
    assert!(matches!(refused, Err(WebhookError::Token(_))), "{refused:?}");
    body["header"]["app_id"] = json!(APP_ID);
    assert!(bot(config()).open(&plain_request(&body), NOW).is_ok());
}

#[test]
fn unsigned_ciphertext_is_refused_in_one_way_whatever_is_wrong_with_it() {
    let mut settings = config();
    settings.encrypt_key = Some("test key".into());
    let bot = bot(settings);
    // Sound ciphertext that is no JSON, broken padding, broken base64, no text at all.
    let bodies = [
        json!({"encrypt": "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk="}),
        json!({"encrypt": "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghg="}),
        json!({"encrypt": "%%%"}),
        json!({"encrypt": 7}),
    ];
    let refusals = bodies.map(|body| bot.open(&plain_request(&body), NOW).map(|_| ()).expect_err("refused"));
    for refusal in refusals {
        assert_eq!((refusal.status(), refusal.to_string()), (401, NO_PROOF.to_owned()));
    }
}

const NO_PROOF: &str = "signature refused: an event needs X-Lark-Signature, -Timestamp and -Nonce";

#[test]
fn message_without_ids_is_kept_with_its_type() {
    let received = receive(&event_v2("im.message.receive_v1", &json!({"message": {"chat_id": null}})));
    assert_eq!(received.event.body, Body::Other { type_name: "im.message.receive_v1".into() });
}

#[test]
fn event_without_an_id_gets_one_that_a_repeat_gets_again() {
    let mut body = event_v2("im.message.receive_v1", &json!({}));
    body["header"]["event_id"] = json!("");
    let (first, again) = (receive(&body).event, receive(&body).event);
    assert_eq!(first.platform_event_id, again.platform_event_id);
    body["header"]["create_time"] = json!("1779350399124");
    assert_ne!(first.platform_event_id, receive(&body).event.platform_event_id);
}

#[test]
fn press_of_an_own_button_is_understood() {
    let event = EventId::new();
    let received = receive(&press_event(event));
    let Body::Action(action) = received.event.body else { panic!("no action") };
    assert_eq!(action.press, Some(Press { action: Action::VoteUp, event, argument: String::new() }));
}

#[test]
fn toast_is_shown_to_whoever_pressed_and_left_out_of_other_answers() {
    let toast = Toast { text: "已\"收到\"".into(), success: true, language: Language::Zh };
    let bot = bot(config());
    let answer = |received: &Received, toast| -> Value {
        serde_json::from_slice(&bot.ack(received, toast).0).expect("the answer is JSON")
    };
    let pressed = receive(&press_event(EventId::new()));
    assert_eq!(answer(&pressed, Some(&toast)), json!({"toast": {"type": "success", "content": "已\"收到\""}}));
    assert_eq!(answer(&pressed, None), json!({}));
    let other = receive(&event_v2("im.message.message_read_v1", &json!({})));
    assert_eq!(answer(&other, Some(&toast)), json!({}));
}

#[test]
fn menu_press_is_answered_to_the_person() {
    let operator = json!({"operator_id": {"open_id": "ou_7"}});
    let event = json!({"operator": operator, "event_key": "new", "timestamp": 1_779_350_398});
    let received = receive(&event_v2("application.bot.menu_v6", &event));
    let Body::Lifecycle(Lifecycle::Menu { reply_to, key }) = received.event.body else { panic!("no menu") };
    assert_eq!((reply_to.chat.as_str(), reply_to.message, key.as_str()), ("ou_7", None, "new"));
}

#[test]
fn debug_output_of_a_request_shows_no_body() {
    let raw = RawRequest { body: "secret words".into(), ..RawRequest::default() };
    assert!(!format!("{raw:?}").contains("secret"));
}
