//! Card instances: create, deliver, both in one, update.

use serde_json::{Value, json};

use super::fields::{flag, required, text};
use super::{Answer, Call, Refusal};
use crate::dingtalk::card::{Callback, Card, Merge, Params};
use crate::dingtalk::config::{TEMPLATE_A, TEMPLATE_B, TEMPLATE_C, TEMPLATE_D};
use crate::dingtalk::faults::Fault;
use crate::dingtalk::ids;
use crate::dingtalk::world::{Body, BotPost};

const MAX_TRACK_ID_CHARS: usize = 64;
const MAX_KEY_BYTES: usize = 100;
/// Documented is 1 KB; in practice this many characters are taken.
pub(super) const MAX_VALUE_CHARS: usize = 20_000;

/// `POST /v1.0/card/instances`.
pub(super) fn create(call: &Call<'_>) -> Answer {
    let out_track_id = make(call)?;
    Ok(json!({"success": true, "result": out_track_id}))
}

/// `POST /v1.0/card/instances/deliver`.
pub(super) fn deliver(call: &Call<'_>) -> Answer {
    let out_track_id = required(&call.body, "outTrackId", "param.outTrackIdEmpty")?;
    let spaces = spaces(&call.body)?;
    check_models(call, &spaces, "param.spaceDeliverModelEmpty")?;
    if !call.shared.world().cards.contains_key(out_track_id) {
        return Err(Refusal::bad("param.cardNotExist", "no card has this outTrackId"));
    }
    Ok(json!({"success": true, "result": place(call, out_track_id, &spaces)}))
}

/// `POST /v1.0/card/instances/createAndDeliver`. Delivery may fail under HTTP 200.
pub(super) fn create_and_deliver(call: &Call<'_>) -> Answer {
    let spaces = spaces(&call.body)?;
    check_models(call, &spaces, "param.openDeliverModelEmpty")?;
    let out_track_id = make(call)?;
    let results = place(call, &out_track_id, &spaces);
    Ok(json!({"success": true, "result": {"outTrackId": out_track_id, "deliverResults": results}}))
}

/// `PUT /v1.0/card/instances`. Without the by-key options the given variables replace everything.
pub(super) fn update(call: &Call<'_>) -> Answer {
    let out_track_id = required(&call.body, "outTrackId", "param.outTrackIdEmpty")?;
    let public = call.body.get("cardData").map(card_params).transpose()?;
    let private = private_params(&call.body)?;
    if public.is_none() && private.is_empty() {
        return Err(Refusal::bad("param.cardDataAndPrivateDataBothEmpty", "neither cardData nor privateData"));
    }
    let options = call.body.get("cardUpdateOptions").unwrap_or(&Value::Null);
    let public_merge = Merge::from_option(flag(options, "updateCardDataByKey")?);
    let private_merge = Merge::from_option(flag(options, "updatePrivateDataByKey")?);
    let mut world = call.shared.world();
    let world = &mut *world;
    let card = world.cards.get_mut(out_track_id);
    let card = card.ok_or_else(|| Refusal::bad("param.cardNotExist", "no card has this outTrackId"))?;
    let report = world.reports.get_mut(out_track_id).expect("every created card has a report");
    report.updates += 1;
    card.updates += 1;
    if let Some(public) = public {
        report.note_status(&public, Some(card.state));
        let is_public_template = [TEMPLATE_A, TEMPLATE_B].contains(&card.template.as_str());
        if public_merge == Merge::Replace && is_public_template && !public.contains_key("msgContent") {
            report.oddities.push("an update without by-key wiped msgContent".to_owned());
        }
        card.update_public(public, public_merge);
    }
    for (user, params) in private {
        card.update_private(&user, params, private_merge);
    }
    call.shared.changed();
    Ok(json!({"success": true, "result": true}))
}

/// Reads a map of text to text; the platform takes nothing else as a value.
pub(in crate::dingtalk) fn string_map(value: &Value) -> Result<Params, Refusal> {
    let not_texts = || Refusal::bad("MissingcardParamMap", "cardParamMap must be a map of text to text");
    let map = value.as_object().ok_or_else(not_texts)?;
    let mut params = Params::new();
    for (key, value) in map {
        let value = value.as_str().ok_or_else(not_texts)?;
        if key.len() > MAX_KEY_BYTES || value.chars().count() > MAX_VALUE_CHARS {
            return Err(Refusal::bad("param.invalid", "a key or a value of cardParamMap is too long"));
        }
        params.insert(key.clone(), value.to_owned());
    }
    Ok(params)
}

fn card_params(card_data: &Value) -> Result<Params, Refusal> {
    let map = card_data.get("cardParamMap");
    string_map(map.ok_or_else(|| Refusal::bad("param.cardPublicDataEmpty", "cardData without cardParamMap"))?)
}

fn private_params(body: &Value) -> Result<Vec<(String, Params)>, Refusal> {
    let Some(private) = body.get("privateData").filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let by_user = private.as_object().ok_or_else(|| Refusal::bad("param.invalid", "privateData is keyed by user"))?;
    by_user.iter().map(|(user, data)| Ok((user.clone(), card_params(data)?))).collect()
}

fn callback(body: &Value) -> Result<Callback, Refusal> {
    match (body.get("callbackType").and_then(Value::as_str), text(body, "callbackRouteKey")) {
        (None, _) | (Some("HTTP"), None) => Ok(Callback::None),
        (Some("STREAM"), _) => Ok(Callback::Stream),
        (Some("HTTP"), Some(route)) => Ok(Callback::Http(route.to_owned())),
        (Some(_), _) => Err(Refusal::bad("param.invalid", "callbackType is STREAM or HTTP")),
    }
}

/// Checks and stores a new card; gives its id.
fn make(call: &Call<'_>) -> Result<String, Refusal> {
    let body = &call.body;
    let template = required(body, "cardTemplateId", "param.cardTemplateIdEmpty")?;
    let out_track_id = required(body, "outTrackId", "param.outTrackIdEmpty")?;
    if out_track_id.chars().count() > MAX_TRACK_ID_CHARS {
        return Err(Refusal::bad("param.invalid", "outTrackId is longer than 64 characters"));
    }
    let is_own = call.shared.config.own_templates.iter().any(|own| own == template);
    let is_known = is_own || [TEMPLATE_A, TEMPLATE_B, TEMPLATE_C, TEMPLATE_D].contains(&template);
    if !is_known || call.faults.contains(&Fault::TemplateNotExist) {
        return Err(Refusal::bad("param.templateNotExist", "no such template, or another app's"));
    }
    let data = body.get("cardData").ok_or_else(|| Refusal::bad("param.cardPublicDataEmpty", "cardData is missing"))?;
    let public = card_params(data)?;
    let private = private_params(body)?;
    let callback = callback(body)?;
    let mut world = call.shared.world();
    if world.cards.contains_key(out_track_id) {
        return Err(Refusal::bad("param.cardAlreadyExist", "a card with this outTrackId exists"));
    }
    let report = world.report(out_track_id);
    report.note_status(&public, None);
    if callback == Callback::None && body.get("callbackType").is_some() {
        report.oddities.push("callbackType HTTP without callbackRouteKey: the buttons do nothing".to_owned());
    }
    let mut card = Card::new(template, callback, public, call.now_ms);
    for (user, params) in private {
        card.update_private(&user, params, Merge::ByKey);
    }
    world.cards.insert(out_track_id.to_owned(), card);
    Ok(out_track_id.to_owned())
}

/// Where a card is to appear.
struct Space<'a> {
    kind: SpaceKind,
    id: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SpaceKind {
    Group,
    Robot,
}

impl SpaceKind {
    fn name(self) -> &'static str {
        match self {
            Self::Group => "IM_GROUP",
            Self::Robot => "IM_ROBOT",
        }
    }
}

fn spaces(body: &Value) -> Result<Vec<Space<'_>>, Refusal> {
    let spaces = required(body, "openSpaceId", "param.openSpaceIdEmpty")?;
    let invalid = || Refusal::bad("param.openSpaceIdInvalid", "openSpaceId is dtv1.card//IM_GROUP.… or IM_ROBOT.…");
    let spaces = spaces.strip_prefix("dtv1.card//").ok_or_else(invalid)?;
    let parsed = spaces.split(';').map(|space| match space.split_once('.') {
        Some(("IM_GROUP", id)) if !id.is_empty() => Ok(Space { kind: SpaceKind::Group, id }),
        Some(("IM_ROBOT", id)) if !id.is_empty() => Ok(Space { kind: SpaceKind::Robot, id }),
        _ => Err(invalid()),
    });
    parsed.collect()
}

/// Each space wants its deliver model: a group the robot's code, a direct chat `spaceType` too.
fn check_models(call: &Call<'_>, spaces: &[Space<'_>], missing_code: &str) -> Result<(), Refusal> {
    for space in spaces {
        let name = match space.kind {
            SpaceKind::Group => "imGroupOpenDeliverModel",
            SpaceKind::Robot => "imRobotOpenDeliverModel",
        };
        let model = call.body.get(name).filter(|model| model.is_object());
        let model = model.ok_or_else(|| Refusal::bad(missing_code, &format!("{name} is missing")))?;
        if space.kind == SpaceKind::Robot && text(model, "spaceType") != Some("IM_ROBOT") {
            return Err(Refusal::bad("param.openDeliverModelError", "spaceType must be IM_ROBOT"));
        }
        let robot = text(model, "robotCode");
        let is_optional = space.kind == SpaceKind::Robot && robot.is_none();
        if !is_optional && robot != Some(call.shared.config.robot_code.as_str()) {
            return Err(Refusal::bad("param.openDeliverModelError", "robotCode is missing or another app's"));
        }
    }
    Ok(())
}

/// Puts the card into its spaces; a space that does not exist fails without failing the call.
fn place(call: &Call<'_>, out_track_id: &str, spaces: &[Space<'_>]) -> Vec<Value> {
    let mut world = call.shared.world();
    let mut results = Vec::new();
    for space in spaces {
        let chat = match space.kind {
            SpaceKind::Group => world.group(space.id),
            SpaceKind::Robot => world.direct_chat_of(space.id),
        };
        let chat = chat.map(|chat| chat.id.clone()).filter(|_| !call.faults.contains(&Fault::DeliverRefused));
        let Some(chat) = chat else {
            results.push(json!({"spaceType": space.kind.name(), "spaceId": space.id, "success": false,
                "carrierId": "", "errorMsg": "the space does not exist or the robot is not in it"}));
            continue;
        };
        let carrier_id = ids::id("");
        world.post_from_bot(BotPost {
            chat: &chat,
            sender: &call.shared.config.bot_name,
            body: Body::Card(out_track_id.to_owned()),
            id: Some(out_track_id.to_owned()),
            query_key: Some(carrier_id.clone()),
            now_ms: call.now_ms,
        });
        let card = world.cards.get_mut(out_track_id).expect("its existence was checked under the same call");
        let is_again = card.chats.contains(&chat);
        card.chats.push(chat);
        if is_again {
            world.report(out_track_id).oddities.push("delivered twice to one chat".to_owned());
        }
        results.push(json!({"spaceType": space.kind.name(), "spaceId": space.id, "success": true,
            "carrierId": carrier_id, "errorMsg": ""}));
    }
    drop(world);
    call.shared.changed();
    results
}
