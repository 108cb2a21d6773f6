//! Forms: what a person sees of them, and what submitting one sends.

use magpie_sim::feishu::FeishuConfig;
use magpie_sim::view::{ButtonRole, FieldKind, FormAt, MessageView, SimulatedPlatform};
use serde_json::{Value, json};

use crate::service::{Bench, Webhook};

fn plain(text: &str) -> Value {
    json!({"tag": "plain_text", "content": text})
}

fn button(name: &str, label: &str) -> Value {
    json!({"tag": "button", "name": name, "text": plain(label),
        "behaviors": [{"type": "callback", "value": {"a": name}}]})
}

fn card() -> Value {
    let mut send = button("send", "Send");
    send["form_action_type"] = json!("submit");
    let mut reset = button("reset", "Reset");
    reset["form_action_type"] = json!("reset");
    let option = |value: &str, label: &str| json!({"value": value, "text": plain(label)});
    json!({"schema": "2.0", "body": {"elements": [
        {"tag": "markdown", "content": "answer"},
        {"tag": "form", "name": "why", "elements": [
            {"tag": "markdown", "content": "What was wrong?"},
            {"tag": "select_static", "name": "reason", "required": true, "placeholder": plain("choose"),
                "options": [option("wrong", "Wrong"), option("slow", "Slow")]},
            {"tag": "input", "name": "comment", "input_type": "multiline_text", "max_length": 5},
            {"tag": "column_set", "columns": [
                {"tag": "column", "elements": [send]}, {"tag": "column", "elements": [button("close", "Close")]},
                {"tag": "column", "elements": [reset]}]}]},
        {"tag": "button", "element_id": "ask_1", "width": "fill", "text": plain("How long\ndoes it take?"),
            "behaviors": [{"type": "callback", "value": {"a": "ask"}}]}]}})
}

async fn shown(webhook: &Webhook) -> (Bench, MessageView) {
    let config = FeishuConfig { webhook_url: Some(webhook.url.clone()), ..FeishuConfig::default() };
    let bench = Bench::with(config).await;
    let sent = bench.send("interactive", &card(), "").await;
    assert_eq!(sent.code(), 0, "{sent:?}");
    let view = bench.sim.message(&sent.text("/data/message_id")).unwrap();
    (bench, view)
}

async fn submit(bench: &Bench, card: &MessageView, values: Value) -> u16 {
    let user = bench.first_person();
    let at = FormAt { message_id: &card.id, button_id: "send", user: &user };
    bench.sim.submit_form(at, &values).await.status
}

fn action(bench: &Bench, webhook: &Webhook, number: usize) -> Value {
    let event = webhook.received()[number].event(bench.sim.config().encrypt_key.as_deref().unwrap());
    event["event"]["action"].clone()
}

#[actix_web::test]
async fn a_form_shows_its_fields_and_its_buttons() {
    let webhook = Webhook::accepting();
    let (_bench, card) = shown(&webhook).await;
    assert_eq!((card.markdown.as_str(), card.forms[0].markdown.as_str()), ("answer", "What was wrong?"));
    let fields = &card.forms[0].fields;
    assert_eq!((card.forms[0].name.as_str(), fields.len()), ("why", 2));
    assert_eq!(
        (fields[0].kind, fields[0].required, fields[0].placeholder.as_str()),
        (FieldKind::Choice, true, "choose")
    );
    assert_eq!(fields[0].options, [("wrong".to_owned(), "Wrong".to_owned()), ("slow".to_owned(), "Slow".to_owned())]);
    assert_eq!((fields[1].kind, fields[1].max_length), (FieldKind::LongText, Some(5)));
    let buttons: Vec<_> =
        card.buttons.iter().map(|it| (it.id.as_str(), it.role, it.form.as_deref(), it.wide)).collect();
    let expected = [
        ("send", ButtonRole::Submit, Some("why"), false),
        ("close", ButtonRole::Plain, Some("why"), false),
        ("reset", ButtonRole::Reset, Some("why"), false),
        ("ask_1", ButtonRole::Plain, None, true),
    ];
    assert_eq!(buttons, expected);
}

#[actix_web::test]
async fn submitting_sends_the_fields_by_name() {
    let webhook = Webhook::accepting();
    let (bench, card) = shown(&webhook).await;
    assert_eq!(submit(&bench, &card, json!({"reason": "slow", "comment": "五个字吗\n"})).await, 200);
    let action = action(&bench, &webhook, 0);
    assert_eq!(action["form_value"], json!({"reason": "slow", "comment": "五个字吗\n"}));
    assert_eq!((&action["name"], &action["form_action_type"]), (&json!("send"), &json!("submit")));
    assert_eq!((&action["tag"], &action["value"]), (&json!("button"), &json!({"a": "send"})));
}

#[actix_web::test]
async fn a_form_that_is_filled_in_wrongly_does_not_leave_the_client() {
    let webhook = Webhook::accepting();
    let (bench, card) = shown(&webhook).await;
    let wrong = [
        json!({}),
        json!({"reason": ""}),
        json!({"reason": "other"}),
        json!({"reason": "slow", "comment": "longer than five"}),
        json!({"reason": "slow", "unknown": "x"}),
    ];
    for values in wrong {
        assert_eq!(submit(&bench, &card, values.clone()).await, 0, "{values}");
    }
    assert_eq!(bench.sim.press(&card.id, "send", &bench.first_person()).await.status, 0, "no reason is chosen");
    assert_eq!(bench.sim.press(&card.id, "reset", &bench.first_person()).await.status, 0, "the client resets alone");
    assert!(webhook.received().is_empty());
}

#[actix_web::test]
async fn closing_a_form_and_asking_a_question_send_no_fields() {
    let webhook = Webhook::accepting();
    let (bench, card) = shown(&webhook).await;
    for (number, button) in ["close", "ask_1"].into_iter().enumerate() {
        assert_eq!(bench.sim.press(&card.id, button, &bench.first_person()).await.status, 200);
        let action = action(&bench, &webhook, number);
        assert_eq!((action.get("form_value"), action.get("form_action_type")), (None, None));
    }
}

#[actix_web::test]
async fn an_untouched_field_is_sent_as_it_stands() {
    let webhook = Webhook::accepting();
    let config = FeishuConfig { webhook_url: Some(webhook.url.clone()), ..FeishuConfig::default() };
    let bench = Bench::with(config).await;
    let mut card = card();
    card["body"]["elements"][1]["elements"][1]["initial_option"] = json!("wrong");
    let sent = bench.send("interactive", &card, "").await.text("/data/message_id");
    assert_eq!(bench.sim.press(&sent, "send", &bench.first_person()).await.status, 200);
    assert_eq!(action(&bench, &webhook, 0)["form_value"], json!({"reason": "wrong", "comment": ""}));
}
