//! CardKit: sequences, streaming mode, elements, and what the report says of it all.

use std::time::Duration;

use magpie_sim::feishu::{Call, Fault, RateLimits, Target};
use magpie_sim::view::{CardState, SimulatedPlatform};
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::Bench;

fn streaming_card() -> Value {
    json!({"schema": "2.0", "config": {"update_multi": true, "streaming_mode": true, "summary": {"content": "…"}},
        "header": {"title": {"tag": "plain_text", "content": "Magpie"}, "template": "blue"},
        "body": {"elements": [{"tag": "markdown", "element_id": "answer", "content": "thinking"},
            {"tag": "hr", "element_id": "line"}]}})
}

async fn type_text(bench: &Bench, card: &str, text: &str, sequence: i64) -> i64 {
    let path = format!("cardkit/v1/cards/{card}/elements/answer/content");
    bench.put(&path, json!({"content": text, "sequence": sequence})).await.code()
}

async fn bench() -> Bench {
    let bench = Bench::start().await;
    bench.sim.set_limits(RateLimits::off());
    bench
}

#[actix_web::test]
async fn card_streams_and_ends_with_buttons() {
    let bench = bench().await;
    let (card, message) = bench.send_card(&streaming_card()).await;
    assert_eq!(type_text(&bench, &card, "Hello", 1).await, 0);
    assert_eq!(type_text(&bench, &card, "Hello **world**", 5).await, 0);
    let shown = bench.sim.chats()[0].messages[0].clone();
    assert_eq!((shown.state, shown.title.as_str()), (CardState::Streaming, "Magpie"));
    assert!(shown.html.contains("<strong>world</strong>"));
    let button = json!({"tag": "button", "element_id": "again", "text": {"tag": "plain_text", "content": "Again"},
        "behaviors": [{"type": "callback", "value": {"a": "again"}}]});
    let actions = json!([
        {"action": "partial_update_setting", "params": {"settings": {"config": {"streaming_mode": false, "summary": {"content": "done"}}}}},
        {"action": "delete_elements", "params": {"element_ids": ["line"]}},
        {"action": "add_elements", "params": {"type": "append", "elements": [button]}},
    ]);
    let path = format!("cardkit/v1/cards/{card}/batch_update");
    assert_eq!(bench.post(&path, json!({"actions": actions.to_string(), "sequence": 6})).await.code(), 0);
    let shown = bench.sim.chats()[0].messages[0].clone();
    assert_eq!((shown.state, shown.buttons[0].id.as_str(), shown.updates), (CardState::Final, "again", 3));
    assert_eq!(type_text(&bench, &card, "Hello **world**!", 7).await, 300_309);
    let report = bench.sim.card_report(&message).unwrap();
    assert_eq!((report.calls, report.refused, report.content_updates), (4, 1, 2));
    assert_eq!((report.sequence, report.rewrites, report.max_in_flight), (6, 0, 1));
}

#[actix_web::test]
async fn sequence_has_to_rise_and_uuid_does_once() {
    let bench = bench().await;
    let (card, _) = bench.send_card(&streaming_card()).await;
    assert_eq!(type_text(&bench, &card, "a", 3).await, 0);
    assert_eq!(type_text(&bench, &card, "ab", 3).await, 300_317);
    assert_eq!(type_text(&bench, &card, "ab", 0).await, 10_002);
    let path = format!("cardkit/v1/cards/{card}/elements/answer/content");
    let once = json!({"content": "abc", "sequence": 4, "uuid": "u"});
    assert_eq!(bench.put(&path, once.clone()).await.code(), 0);
    assert_eq!(bench.put(&path, once).await.code(), 0);
    assert_eq!(bench.put(&path, json!({"content": "abcd", "sequence": 5, "uuid": "u"})).await.code(), 200_770);
    assert_eq!(type_text(&bench, "700", "a", 1).await, 200_740);
}

#[actix_web::test]
async fn streaming_closes_by_itself_after_ten_minutes_and_can_be_reopened() {
    let mut bench = bench().await;
    let (card, message) = bench.send_card(&streaming_card()).await;
    bench.sim.clock().advance(Duration::from_secs(600));
    assert_eq!(type_text(&bench, &card, "late", 1).await, 200_850);
    assert!(bench.sim.card_report(&message).unwrap().timed_out);
    let settings = json!({"config": {"streaming_mode": true}}).to_string();
    let path = format!("cardkit/v1/cards/{card}/settings");
    assert_eq!(bench.patch(&path, json!({"settings": settings, "sequence": 2})).await.code(), 0);
    assert_eq!(type_text(&bench, &card, "late", 3).await, 0);
    bench.sim.clock().advance(Duration::from_secs(14 * 86_400));
    bench.token = bench.fetch_token().await;
    assert_eq!(bench.patch(&path, json!({"settings": settings, "sequence": 4})).await.code(), 200_750);
}

#[actix_web::test]
async fn streaming_that_is_switched_on_in_time_goes_on() {
    let bench = bench().await;
    let (card, message) = bench.send_card(&streaming_card()).await;
    let settings = json!({"config": {"streaming_mode": true}}).to_string();
    for minute in 0..3 {
        bench.sim.clock().advance(Duration::from_secs(480));
        let path = format!("cardkit/v1/cards/{card}/settings");
        let answer = bench.patch(&path, json!({"settings": settings, "sequence": 2 * minute + 1})).await;
        assert_eq!(answer.code(), 0);
        assert_eq!(type_text(&bench, &card, &"x".repeat(minute as usize + 1), 2 * minute + 2).await, 0);
    }
    let report = bench.sim.card_report(&message).unwrap();
    assert_eq!((report.reopened, report.streaming, report.timed_out), (3, true, false));
}

#[actix_web::test]
async fn a_card_whose_streaming_ended_is_replaced_as_a_whole() {
    let bench = bench().await;
    let (card, message) = bench.send_card(&streaming_card()).await;
    bench.sim.clock().advance(Duration::from_secs(601));
    let mut whole = streaming_card();
    whole["body"]["elements"][0]["content"] = json!("the end");
    whole["config"]["streaming_mode"] = json!(false);
    let body = json!({"card": {"type": "card_json", "data": whole.to_string()}, "sequence": 1});
    assert_eq!(bench.put(&format!("cardkit/v1/cards/{card}"), body).await.code(), 0);
    let shown = bench.sim.message(&message).unwrap();
    assert_eq!((shown.markdown.as_str(), shown.state), ("the end\n\n---", CardState::Final));
    let report = bench.sim.card_report(&message).unwrap();
    assert_eq!((report.reopened, report.timed_out), (0, false));
    // A finished card takes a new answer: streaming is switched on again.
    let settings = json!({"config": {"streaming_mode": true}}).to_string();
    let path = format!("cardkit/v1/cards/{card}/settings");
    assert_eq!(bench.patch(&path, json!({"settings": settings, "sequence": 2})).await.code(), 0);
    assert_eq!(type_text(&bench, &card, "once more", 3).await, 0);
    assert_eq!(bench.sim.card_report(&message).unwrap().reopened, 1);
}

#[actix_web::test]
async fn changed_text_is_counted_as_a_rewrite() {
    let bench = bench().await;
    let (card, message) = bench.send_card(&streaming_card()).await;
    for (at, text) in ["one", "one two", "two", "two three"].into_iter().enumerate() {
        assert_eq!(type_text(&bench, &card, text, at as i64 + 1).await, 0);
    }
    assert_eq!(bench.sim.card_report(&message).unwrap().rewrites, 1);
}

#[actix_web::test]
async fn card_is_sent_once() {
    let bench = bench().await;
    let (card, _) = bench.send_card(&streaming_card()).await;
    let again = bench.send("interactive", &json!({"type": "card", "data": {"card_id": card}}), "").await;
    assert_eq!(again.code(), 230_099);
    let without_type = bench.send("interactive", &json!({"data": {"card_id": card}}), "").await;
    assert!(without_type.text("/msg").contains("ErrCode: 200621"), "{without_type:?}");
}

#[actix_web::test]
async fn elements_are_added_changed_and_removed_by_id() {
    let bench = bench().await;
    let (card, message) = bench.send_card(&streaming_card()).await;
    let path = format!("cardkit/v1/cards/{card}/elements");
    let new = json!([{"tag": "markdown", "element_id": "more", "content": "m"}]).to_string();
    let add = |target: &str, sequence: i64| json!({"type": "insert_after", "target_element_id": target, "elements": new, "sequence": sequence});
    assert_eq!(bench.post(&path, add("nowhere", 1)).await.code(), 300_315);
    assert_eq!(bench.post(&path, add("answer", 1)).await.code(), 0);
    assert_eq!(bench.post(&path, add("answer", 2)).await.code(), 300_301, "the id exists by now");
    let partial = |change: Value, sequence: i64| json!({"partial_element": change.to_string(), "sequence": sequence});
    assert_eq!(bench.patch(&format!("{path}/more"), partial(json!({"tag": "hr"}), 3)).await.code(), 300_312);
    assert_eq!(bench.patch(&format!("{path}/more"), partial(json!({"content": "n"}), 3)).await.code(), 0);
    assert_eq!(bench.patch(&format!("{path}/none"), partial(json!({"content": "n"}), 4)).await.code(), 300_313);
    let element = json!({"tag": "markdown", "element_id": "more", "content": "o"}).to_string();
    assert_eq!(bench.put(&format!("{path}/more"), json!({"element": element, "sequence": 4})).await.code(), 0);
    assert_eq!(bench.sim.card_json(&message).unwrap()["body"]["elements"][1]["content"], "o");
    let removed = bench.call(Method::DELETE, &format!("{path}/more"), &json!({"sequence": 5})).await.unwrap();
    assert_eq!(removed.code(), 0);
    let hr = bench.put(&format!("{path}/line/content"), json!({"content": "x", "sequence": 6})).await;
    assert_eq!(hr.code(), 300_310);
}

#[actix_web::test]
async fn bad_cards_are_refused_with_the_code_of_the_call() {
    let bench = bench().await;
    let old = json!({"schema": "2.0", "body": {"elements": [{"tag": "note", "elements": []}]}});
    let created = bench.post("cardkit/v1/cards", json!({"type": "card_json", "data": old.to_string()})).await;
    assert_eq!(created.code(), 200_220);
    let sent = bench.send("interactive", &old, "").await;
    assert_eq!(sent.code(), 230_099);
    assert!(sent.text("/msg").contains("ErrCode: 200861"), "{sent:?}");
    let object = bench.post("cardkit/v1/cards", json!({"type": "card_json", "data": streaming_card()})).await;
    assert_eq!(object.code(), 10_002, "data is a string");
    let (card, _) = bench.send_card(&streaming_card()).await;
    assert_eq!(type_text(&bench, &card, &"x".repeat(31_000), 1).await, 200_860);
}

#[actix_web::test]
async fn whole_card_is_replaced_by_card_id_or_by_message() {
    let bench = bench().await;
    let (card, message) = bench.send_card(&streaming_card()).await;
    let red = json!({"schema": "2.0", "header": {"title": {"tag": "plain_text", "content": "Failed"}, "template": "red"},
        "body": {"elements": [{"tag": "markdown", "content": "sorry"}]}});
    let body = json!({"card": {"type": "card_json", "data": red.to_string()}, "sequence": 9});
    assert_eq!(bench.put(&format!("cardkit/v1/cards/{card}"), body).await.code(), 0);
    assert_eq!(bench.sim.chats()[0].messages[0].state, CardState::Failed);
    let converted = bench.post("cardkit/v1/cards/id_convert", json!({"message_id": message})).await;
    assert_eq!(converted.text("/data/card_id"), card);
    let content = streaming_card().to_string();
    assert_eq!(bench.patch(&format!("im/v1/messages/{message}"), json!({"content": content})).await.code(), 0);
    assert_eq!(bench.sim.chats()[0].messages[0].state, CardState::Streaming);
}

#[actix_web::test]
async fn eleventh_operation_on_a_card_within_a_second_is_too_many() {
    let bench = Bench::start().await;
    let (card, _) = bench.send_card(&streaming_card()).await;
    for sequence in 1..=10 {
        assert_eq!(type_text(&bench, &card, "x", sequence).await, 0);
    }
    assert_eq!(type_text(&bench, &card, "x", 11).await, 99_991_400);
}

#[actix_web::test]
async fn parallel_calls_for_one_card_are_seen() {
    let bench = bench().await;
    let (card, message) = bench.send_card(&streaming_card()).await;
    bench.sim.faults().once(Target::Only(Call::ElementContent), Fault::Slow(Duration::from_millis(300)));
    futures::join!(type_text(&bench, &card, "a", 1), type_text(&bench, &card, "ab", 2));
    assert_eq!(bench.sim.card_report(&message).unwrap().max_in_flight, 2);
}

#[actix_web::test]
async fn app_without_the_scope_gets_no_cards() {
    let bench = bench().await;
    bench.sim.faults().always(Target::CardKit, Fault::NoScope);
    let created =
        bench.post("cardkit/v1/cards", json!({"type": "card_json", "data": streaming_card().to_string()})).await;
    assert_eq!(created.code(), 99_991_672);
    assert_eq!(created.text("/error/permission_violations/0/subject"), "cardkit:card:write");
    assert_eq!(bench.send("interactive", &streaming_card(), "").await.code(), 0, "inline cards still work");
}

#[actix_web::test]
async fn lost_answer_is_repeated_under_its_uuid() {
    let bench = bench().await;
    let (card, message) = bench.send_card(&streaming_card()).await;
    let path = format!("cardkit/v1/cards/{card}/elements/answer/content");
    let body = json!({"content": "typed", "sequence": 1, "uuid": "u"});
    bench.sim.faults().once(Target::Only(Call::ElementContent), Fault::AnswerLost);
    assert!(bench.call(Method::PUT, &path, &body).await.is_none());
    assert_eq!(bench.sim.message(&message).unwrap().markdown, "typed\n\n---");
    assert_eq!(bench.put(&path, body).await.code(), 0);
    assert_eq!(bench.sim.card_report(&message).unwrap().content_updates, 1);
}

#[actix_web::test]
async fn token_dies_in_mid_stream() {
    let mut bench = bench().await;
    let (card, _) = bench.send_card(&streaming_card()).await;
    bench.sim.faults().after(1, Target::Only(Call::ElementContent), Fault::TokenInvalid { status: 200 }, 1);
    assert_eq!(type_text(&bench, &card, "a", 1).await, 0);
    assert_eq!(type_text(&bench, &card, "ab", 2).await, 99_991_663);
    assert_eq!(type_text(&bench, &card, "ab", 2).await, 99_991_663, "the same token stays refused");
    bench.token = bench.fetch_token().await;
    assert_eq!(type_text(&bench, &card, "ab", 2).await, 0);
}

#[actix_web::test]
async fn half_a_batch_changes_nothing() {
    let bench = bench().await;
    let (card, message) = bench.send_card(&streaming_card()).await;
    let before = bench.sim.card_json(&message);
    let actions = json!([
        {"action": "delete_elements", "params": {"element_ids": ["line"]}},
        {"action": "update_element", "params": {"element_id": "nowhere", "element": {"tag": "hr"}}},
    ]);
    let path = format!("cardkit/v1/cards/{card}/batch_update");
    let body = json!({"actions": actions.to_string(), "sequence": 1});
    assert_eq!(bench.post(&path, body).await.code(), 300_313);
    assert_eq!(
        bench.post(&path, json!({"actions": actions, "sequence": 1})).await.code(),
        10_002,
        "actions is a string"
    );
    assert_eq!(bench.sim.card_json(&message), before);
    assert_eq!(bench.sim.card_report(&message).unwrap().sequence, 0);
}
