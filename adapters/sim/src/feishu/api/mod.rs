//! The OpenAPI: where a call lands, who may make it, and what it does to the world.

mod access;
mod cards;
mod content;
mod elements;
mod files;
mod messages;
mod people;
mod reactions;
mod sending;

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;

use super::answer::{Outcome, Refusal};
use super::clock::millis;
use super::faults::Call;
use super::validate::{Directory, Flaw, check_card};
use super::world::World;
use super::world::rates::{RateKey, class};

pub use content::MAX_CARD_BYTES;

/// A received request, its path split after `/open-apis/`.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) segments: Vec<String>,
    pub(super) query: HashMap<String, String>,
    pub(super) bearer: Option<String>,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

impl Request {
    /// The body as a JSON object.
    fn json(&self) -> Result<Value, Refusal> {
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(body) if body.is_object() => Ok(body),
            _ => Err(Refusal::new(9_499, "Bad Request: the body must be a JSON object")),
        }
    }

    fn query(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str)
    }
}

/// A call of the platform with the ids in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) call: Call,
    pub(super) id: String,
    pub(super) part: String,
}

impl Located {
    /// The card entity that the call works on, for its report.
    pub(super) fn card_id(&self, world: &World) -> Option<String> {
        match self.call {
            Call::CreateCard | Call::ConvertCardId => None,
            call if call.is_cardkit() => Some(self.id.clone()),
            Call::PatchMessage => world.message(&self.id)?.card_id().map(str::to_owned),
            _ => None,
        }
    }
}

/// Finds the call of a method and path.
pub(super) fn locate(method: &str, segments: &[String]) -> Option<Located> {
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (call, id, part) = match path.as_slice() {
        ["im", rest @ ..] => locate_message(method, rest)?,
        ["cardkit", "v1", "cards", rest @ ..] => locate_card(method, rest)?,
        ["auth", "v3", "tenant_access_token", "internal"] if method == "POST" => (Call::TenantToken, "", ""),
        ["auth", "v3", "app_access_token", "internal"] if method == "POST" => (Call::AppToken, "", ""),
        ["bot", "v3", "info"] if method == "GET" => (Call::BotInfo, "", ""),
        ["contact", "v3", "users", id] if method == "GET" => (Call::ReadUser, *id, ""),
        ["interactive", "v1", "card", "update"] if method == "POST" => (Call::UpdateByToken, "", ""),
        _ => return None,
    };
    Some(Located { call, id: id.to_owned(), part: part.to_owned() })
}

fn locate_message<'a>(method: &str, path: &[&'a str]) -> Option<(Call, &'a str, &'a str)> {
    Some(match (method, path) {
        ("POST", ["v1", "messages"]) => (Call::SendMessage, "", ""),
        ("GET", ["v1", "messages"]) => (Call::ListMessages, "", ""),
        ("GET", ["v1", "messages", id]) => (Call::ReadMessage, id, ""),
        ("PATCH", ["v1", "messages", id]) => (Call::PatchMessage, id, ""),
        ("PUT", ["v1", "messages", id]) => (Call::EditMessage, id, ""),
        ("DELETE", ["v1", "messages", id]) => (Call::RecallMessage, id, ""),
        ("POST", ["v1", "messages", id, "reply"]) => (Call::ReplyMessage, id, ""),
        ("POST", ["v1", "messages", id, "reactions"]) => (Call::AddReaction, id, ""),
        ("DELETE", ["v1", "messages", id, "reactions", reaction]) => (Call::RemoveReaction, id, reaction),
        ("GET", ["v1", "messages", id, "resources", key]) => (Call::Download, id, key),
        ("POST", ["v1", "images"]) => (Call::UploadImage, "", ""),
        ("POST", ["v1", "files"]) => (Call::UploadFile, "", ""),
        ("GET", ["v1", "chats", id]) => (Call::ReadChat, id, ""),
        _ => return None,
    })
}

fn locate_card<'a>(method: &str, path: &[&'a str]) -> Option<(Call, &'a str, &'a str)> {
    Some(match (method, path) {
        ("POST", []) => (Call::CreateCard, "", ""),
        ("POST", ["id_convert"]) => (Call::ConvertCardId, "", ""),
        ("PUT", [id]) => (Call::ReplaceCard, id, ""),
        ("PATCH", [id, "settings"]) => (Call::CardSettings, id, ""),
        ("POST", [id, "batch_update"]) => (Call::BatchUpdate, id, ""),
        ("POST", [id, "elements"]) => (Call::AddElements, id, ""),
        ("PUT", [id, "elements", element]) => (Call::ReplaceElement, id, element),
        ("PATCH", [id, "elements", element]) => (Call::PatchElement, id, element),
        ("DELETE", [id, "elements", element]) => (Call::DeleteElement, id, element),
        ("PUT", [id, "elements", element, "content"]) => (Call::ElementContent, id, element),
        _ => return None,
    })
}

/// Checks token and app-wide rate, then does what the call says.
pub(super) fn serve(world: &mut World, at: &Located, request: &Request) -> Outcome {
    if at.call.is_counted() {
        access::authorise(world, request)?;
        admit_app(world, at.call)?;
    }
    match at.call {
        Call::TenantToken | Call::AppToken => access::token(world, at.call, request),
        Call::BotInfo => Ok(people::bot(world)),
        Call::ReadUser => people::user(world, &at.id, request),
        Call::ReadChat => people::chat(world, &at.id),
        Call::SendMessage => sending::send(world, request),
        Call::ReplyMessage => sending::reply(world, &at.id, request),
        Call::PatchMessage => messages::patch(world, &at.id, request),
        Call::EditMessage => messages::edit(world, &at.id, request),
        Call::RecallMessage => messages::recall(world, &at.id),
        Call::ReadMessage => messages::read(world, &at.id, request),
        Call::ListMessages => messages::list(world, request),
        Call::AddReaction => reactions::add(world, &at.id, request),
        Call::RemoveReaction => reactions::remove(world, &at.id, &at.part),
        Call::Download => files::download(world, at, request),
        Call::UploadImage => files::upload_image(world, request),
        Call::UploadFile => files::upload_file(world, request),
        Call::CreateCard => cards::create(world, request),
        Call::ConvertCardId => cards::convert(world, request),
        Call::ReplaceCard => cards::replace(world, &at.id, request),
        Call::CardSettings => cards::settings(world, &at.id, request),
        Call::BatchUpdate => cards::batch(world, &at.id, request),
        Call::AddElements => elements::add(world, &at.id, request),
        Call::ReplaceElement => elements::replace(world, at, request),
        Call::PatchElement => elements::patch(world, at, request),
        Call::DeleteElement => elements::delete(world, at, request),
        Call::ElementContent => elements::content(world, at, request),
        Call::UpdateByToken => cards::update_by_token(world, request),
    }
}

fn admit_app(world: &mut World, call: Call) -> Result<(), Refusal> {
    let (now, limits, class) = (world.now_ms(), world.config.limits, class(call));
    if limits.app_per_month.is_some_and(|most| world.calls_admitted >= most) {
        return Err(Refusal::quota_used_up());
    }
    let windows =
        [(RateKey::AppMinute(class), limits.app_per_minute), (RateKey::AppSecond(class), limits.app_per_second)];
    let wait = world.rates.admit_all(windows, now);
    wait.map_err(|wait_ms| Refusal::rate_limited(u32::try_from((wait_ms + 999) / 1_000).unwrap_or(60)))?;
    world.calls_admitted += 1;
    Ok(())
}

impl Directory for World {
    fn has_image(&self, key: &str) -> bool {
        self.uploads.get(key).is_some_and(|upload| upload.kind == "image")
    }

    fn has_person(&self, id: &str) -> bool {
        id == self.config.bot_open_id || self.person(id).is_some()
    }
}

/// A flaw inside a message call.
fn unbuildable(flaw: &Flaw) -> Refusal {
    Refusal::new(230_099, flaw.text())
}

/// A required string field.
fn text_field<'a>(body: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    body[name].as_str().ok_or_else(|| Refusal::field(name, "must be a string"))
}

/// Whether `uuid` within the last hour already sent a message, and which.
fn sent_before(world: &World, uuid: Option<&str>) -> Option<String> {
    const UUID_LIFE: std::time::Duration = std::time::Duration::from_secs(3_600);
    let (message_id, at_ms) = world.sent_uuids.get(uuid?)?;
    (world.now_ms() - at_ms < millis(UUID_LIFE)).then(|| message_id.clone())
}

/// Checks a card that a message call or a callback's answer brings; 1.0 cards are taken as they are.
pub(super) fn check_any_card(world: &World, card: &Value) -> Result<(), Flaw> {
    if card["schema"] == "2.0" {
        return check_card(card, world);
    }
    content::check_old_card(card)
}
