//! Card entities whose text streams.
//!
//! Every operation on an entity carries a number above that of the last one, and a key under which it is done once.
//!
//! Source: "CardKit" and "Streaming updates" (<https://open.feishu.cn/document/cardkit-v1/streaming-updates-openapi-overview>),
//! checked May 2026.

use magpie_core::ids::CardId;
use magpie_core::platform::CardRef;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, Call};
use crate::card::ANSWER;
use crate::errors::ApiError;
use crate::field;

/// Makes an entity from card JSON. Nobody sees it until it is sent.
pub(crate) async fn create(api: &Api, card: &str) -> Result<CardId, ApiError> {
    let body = json!({"type": "card_json", "data": card});
    let answer = api.call(&Call::new("create_card", Method::POST, "cardkit/v1/cards", body)).await?;
    let id = answer.get("data").and_then(|data| field::text(data, "card_id"));
    id.map(CardId::from).ok_or(ApiError::Gateway { call: "create_card", status: 200 })
}

/// Types the whole text so far; streaming has to be on.
pub(crate) async fn write(api: &Api, at: &mut CardRef, text: &str) -> Result<(), ApiError> {
    let path = format!("elements/{ANSWER}/content");
    operate(api, at, ("card_content", Method::PUT, &path), json!({"content": text})).await
}

/// Changes the settings, given as JSON text: switches streaming on or off.
pub(crate) async fn settings(api: &Api, at: &mut CardRef, settings: &str) -> Result<(), ApiError> {
    operate(api, at, ("card_settings", Method::PATCH, "settings"), json!({"settings": settings})).await
}

/// Replaces the whole card.
pub(crate) async fn replace(api: &Api, at: &mut CardRef, card: &str) -> Result<(), ApiError> {
    let body = json!({"card": {"type": "card_json", "data": card}});
    operate(api, at, ("replace_card", Method::PUT, ""), body).await
}

async fn operate(
    api: &Api,
    at: &mut CardRef,
    (name, method, part): (&'static str, Method, &str),
    mut body: Value,
) -> Result<(), ApiError> {
    let sequence = at.next_sequence();
    body["sequence"] = json!(sequence);
    body["uuid"] = json!(at.key.step(&format!("{name}:{sequence}")));
    let card = at.card.as_ref().map_or("", CardId::as_str);
    let path = format!("cardkit/v1/cards/{card}/{part}");
    api.call(&Call::new(name, method, path.trim_end_matches('/'), body)).await.map(|_| ())
}
