//! Pressing a button: the card callback, and what its answer changes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::string_map;
use super::card::{Callback, Merge};
use super::push::{self, Payload, Push};
use super::shared::Shared;
use super::view::{self, Does, FORM_ACTION};
use super::world::{Body, World};
use crate::view::{FormAt, Pushed};

/// What a press leads to.
pub(super) enum Press {
    /// Nothing: no such button, no way back registered, an ordinary link.
    Nothing,
    /// The person sends this text to this chat (a `dtmd://` link).
    Say { chat: String, text: String },
    /// The service is called.
    Call(Payload),
}

/// Finds out what pressing does; `values` are what was filled into the form that the button submits, by field.
pub(super) fn resolve(shared: &Shared, at: FormAt<'_>, values: &Value) -> Press {
    let FormAt { message_id, button_id, user } = at;
    let mut world = shared.world();
    let Some((chat, entry)) = world.entry(message_id) else { return Press::Nothing };
    let buttons = view::buttons(&world, entry, Some(user));
    let Some(button) = buttons.into_iter().find(|button| button.id == button_id) else { return Press::Nothing };
    let chat = chat.to_owned();
    let press = match (&button.does, &entry.body) {
        (Does::Open(url), _) => match sent_text(url) {
            Some(text) => Press::Say { chat: chat.clone(), text },
            None => Press::Nothing,
        },
        (Does::CallBack(params), Body::Card(out_track_id)) => {
            let pressed = Pressed { chat: &chat, out_track_id, user, action_id: button_id, params };
            call(&world, out_track_id, &callback(shared, &world, &pressed))
        }
        (Does::Submit(form), Body::Card(out_track_id)) => match form.values(values) {
            Some(values) => {
                let params = json!({"form": values});
                let pressed = Pressed { chat: &chat, out_track_id, user, action_id: FORM_ACTION, params: &params };
                call(&world, out_track_id, &callback(shared, &world, &pressed))
            }
            None => Press::Nothing,
        },
        _ => Press::Nothing,
    };
    if let Some(chat) = world.chat_mut(&chat) {
        chat.viewer = Some(user.to_owned());
    }
    press
}

/// Calls the service and applies what it answers in time.
pub(super) async fn call_back(shared: Arc<Shared>, out_track_id: &str, user: &str, payload: Payload) -> Pushed {
    let push = Push { id: out_track_id.to_owned(), payload, repeats: 0 };
    let pushed = push::deliver(shared.clone(), push).await;
    if pushed.status == 200 {
        apply(&shared, out_track_id, user, &pushed.answer);
    }
    shared.changed();
    pushed
}

/// The text that `dtmd://dingtalkclient/sendMessage?content=…` makes the person send.
fn sent_text(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok().filter(|url| url.scheme() == "dtmd")?;
    url.query_pairs().find(|(key, _)| key == "content").map(|(_, text)| text.into_owned())
}

fn call(world: &World, out_track_id: &str, body: &Value) -> Press {
    let callback = world.cards.get(out_track_id).map(|card| &card.callback);
    let route = match callback {
        Some(Callback::Http(key)) => world.routes.get(key),
        _ => None,
    };
    match route {
        Some(route) => Press::Call(Payload::Card {
            url: route.url.clone(),
            api_secret: route.api_secret.clone(),
            body: body.to_string(),
        }),
        None => Press::Nothing,
    }
}

/// Which button of which card was pressed by whom, and where.
struct Pressed<'a> {
    chat: &'a str,
    out_track_id: &'a str,
    user: &'a str,
    action_id: &'a str,
    params: &'a Value,
}

fn callback(shared: &Shared, world: &World, pressed: &Pressed<'_>) -> Value {
    let Pressed { chat, out_track_id, user, action_id, params } = *pressed;
    let direct = world.chat(chat).is_some_and(|chat| chat.direct);
    let corp_id = world.person(user).map_or(shared.config.corp_id.as_str(), |person| person.corp_id.as_str());
    let content = json!({"cardPrivateData": {"actionIds": [action_id], "params": params}});
    json!({
        "type": "actionCallback",
        "outTrackId": out_track_id,
        "corpId": corp_id,
        "userId": user,
        "userIdType": 1,
        "spaceType": if direct { "im" } else { "IM_GROUP" },
        "spaceId": chat,
        "extension": "{}",
        "content": content.to_string(),
    })
}

/// Applies `cardData` and `userPrivateData` of an answer; both reach the presser's client only.
fn apply(shared: &Shared, out_track_id: &str, user: &str, answer: &str) {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let option = |name: &str| {
        let set = answer.get("cardUpdateOptions").and_then(|options| options.get(name)).and_then(Value::as_bool);
        Merge::from_option(set.unwrap_or(false))
    };
    let params = |name: &str| answer.get(name).and_then(|data| data.get("cardParamMap")).map(string_map);
    let mut world = shared.world();
    let world = &mut *world;
    let Some(card) = world.cards.get_mut(out_track_id) else { return };
    let mut unreadable = false;
    match params("cardData") {
        Some(Ok(public)) => card.overlay(user, public, option("updateCardDataByKey")),
        Some(Err(_)) => unreadable = true,
        None => {}
    }
    match params("userPrivateData") {
        Some(Ok(private)) => card.update_private(user, private, option("updatePrivateDataByKey")),
        Some(Err(_)) => unreadable = true,
        None => {}
    }
    if unreadable {
        let report = world.report(out_track_id);
        report.oddities.push("the answer to a press has values that are not texts".to_owned());
    }
}
