//! What people do around the bot: recalls, first visits, groups, the menu, topics.

use magpie_sim::feishu::FeishuConfig;
use magpie_sim::view::{CardState, SimulatedPlatform, Speech, Utterance};
use serde_json::{Value, json};

use crate::service::{Bench, Webhook};

async fn bench(webhook: &Webhook) -> Bench {
    Bench::with(FeishuConfig { webhook_url: Some(webhook.url.clone()), ..FeishuConfig::default() }).await
}

fn events(bench: &Bench, webhook: &Webhook) -> Vec<Value> {
    let key = bench.sim.config().encrypt_key.as_deref().unwrap();
    webhook.received().iter().map(|received| received.event(key)).collect()
}

fn say(chat: &str, user: &str, text: &str) -> Utterance {
    Utterance { chat: chat.into(), user: user.into(), text: text.into(), mention_bot: true }
}

#[actix_web::test]
async fn a_person_takes_back_only_their_own_messages() {
    let webhook = Webhook::accepting();
    let bench = bench(&webhook).await;
    let people = bench.sim.people();
    let said = bench.sim.say(say(&bench.sim.group(), &people[0].0, "oops")).await;
    assert_eq!(bench.sim.take_back(&said.id, &people[1].0).await.status, 0);
    assert_eq!(bench.sim.message(&said.id).unwrap().state, CardState::Final);
    assert_eq!(bench.sim.take_back(&said.id, &people[0].0).await.status, 200);
    assert_eq!(bench.sim.message(&said.id).unwrap().state, CardState::Recalled);
    let event = &events(&bench, &webhook)[1];
    assert_eq!(event["header"]["event_type"], "im.message.recalled_v1");
    assert_eq!(
        (&event["event"]["message_id"], &event["event"]["recall_type"]),
        (&json!(said.id), &json!("message_owner"))
    );
}

#[actix_web::test]
async fn only_the_first_visit_has_no_last_message() {
    let webhook = Webhook::accepting();
    let bench = bench(&webhook).await;
    let user = bench.first_person();
    let chat = bench.sim.direct_chat(&user).unwrap();
    bench.sim.open_direct(&user).await;
    let said = bench.sim.say(say(&chat, &user, "hi")).await;
    bench.sim.open_direct(&user).await;
    let events = events(&bench, &webhook);
    assert_eq!(events[0]["header"]["event_type"], "im.chat.access_event.bot_p2p_chat_entered_v1");
    assert_eq!((&events[0]["event"]["chat_id"], events[0]["event"].get("last_message_id")), (&json!(chat), None));
    assert_eq!(events[2]["event"]["last_message_id"], said.id.as_str());
}

#[actix_web::test]
async fn a_new_group_hears_of_the_bot_once_it_is_added() {
    let webhook = Webhook::accepting();
    let bench = bench(&webhook).await;
    let user = bench.first_person();
    let group = bench.sim.open_group("新群", std::slice::from_ref(&user));
    assert_eq!(bench.sim.say(say(&group, &user, "anyone?")).await.status, 0);
    assert_eq!(bench.sim.invite_bot(&group, &user).await.status, 200);
    assert_eq!(bench.sim.say(say(&group, &user, "hello")).await.status, 200);
    let shown = bench.sim.chats().into_iter().find(|chat| chat.id == group).unwrap();
    assert_eq!((shown.bot_inside, shown.members, shown.messages.len()), (true, vec![user.clone()], 2));
    assert_eq!(bench.sim.expel_bot(&group, &user).await.status, 200);
    let types: Vec<_> = events(&bench, &webhook).iter().map(|it| it["header"]["event_type"].clone()).collect();
    let expected = ["im.chat.member.bot.added_v1", "im.message.receive_v1", "im.chat.member.bot.deleted_v1"];
    assert_eq!(types, expected);
    assert_eq!(events(&bench, &webhook)[0]["event"]["name"], "新群");
}

#[actix_web::test]
async fn the_menu_names_the_person_but_no_chat() {
    let webhook = Webhook::accepting();
    let bench = bench(&webhook).await;
    bench.sim.choose_menu(&bench.first_person(), "help").await;
    let event = &events(&bench, &webhook)[0];
    assert_eq!(
        (&event["header"]["event_type"], &event["event"]["event_key"]),
        (&json!("application.bot.menu_v6"), &json!("help"))
    );
    assert_eq!(event["event"]["operator"]["operator_id"]["open_id"], bench.first_person());
    assert!(event["event"]["timestamp"].is_i64() && event["event"].get("chat_id").is_none());
}

#[actix_web::test]
async fn a_topic_opens_on_the_message_it_is_about() {
    let webhook = Webhook::accepting();
    let bench = bench(&webhook).await;
    let (group, user) = (bench.sim.group(), bench.first_person());
    let first = bench.sim.say(say(&group, &user, "about lunch")).await;
    let inside = Speech { quote: Some(first.id.clone()), in_topic: true, ..say(&group, &user, "noodles?").into() };
    let second = bench.sim.speak(inside).await;
    let thread = bench.sim.message(&second.id).unwrap().thread.unwrap();
    assert_eq!(bench.sim.message(&first.id).unwrap().thread.as_deref(), Some(thread.as_str()));
    let told = &events(&bench, &webhook)[1]["event"]["message"];
    assert_eq!((&told["thread_id"], &told["root_id"]), (&json!(thread), &json!(first.id)));
}
