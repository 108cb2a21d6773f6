//! Access tokens: one for the app, the same again while it lives.

use serde_json::json;

use super::fields::text;
use super::{Answer, Call, Refusal};
use crate::dingtalk::ids;
use crate::dingtalk::shared::Shared;
use crate::dingtalk::world::Token;

const LIFE_MS: i64 = 7_200_000;

/// `POST /v1.0/oauth2/accessToken`.
pub(super) fn issue(call: &Call<'_>) -> Answer {
    check_credentials(call.shared, text(&call.body, "appKey"), text(&call.body, "appSecret"))?;
    let (token, seconds) = current(call);
    Ok(json!({"accessToken": token, "expireIn": seconds}))
}

/// `POST /v1.0/oauth2/{corpId}/token`.
pub(super) fn issue_for_corp(call: &Call<'_>) -> Answer {
    let corp_id = call.request.path.trim_start_matches("/v1.0/oauth2/").trim_end_matches("/token");
    let grant = text(&call.body, "grant_type");
    if corp_id != call.shared.config.corp_id || grant != Some("client_credentials") {
        return Err(Refusal::bad("invalidParameter", "unknown organisation or grant_type"));
    }
    check_credentials(call.shared, text(&call.body, "client_id"), text(&call.body, "client_secret"))?;
    let (token, seconds) = current(call);
    Ok(json!({"access_token": token, "expires_in": seconds}))
}

/// `GET /gettoken`.
pub(super) fn issue_old(call: &Call<'_>) -> Answer {
    let (key, secret) = (call.request.parameter("appkey"), call.request.parameter("appsecret"));
    if check_credentials(call.shared, key.as_deref(), secret.as_deref()).is_err() {
        return Err(Refusal::old(40_089, "appkey or appsecret is wrong"));
    }
    let (token, seconds) = current(call);
    Ok(json!({"errcode": 0, "access_token": token, "errmsg": "ok", "expires_in": seconds}))
}

/// Refuses a token that is not the living one.
pub(super) fn check(shared: &Shared, token: Option<&str>, now_ms: i64) -> Result<(), Refusal> {
    let world = shared.world();
    match (&world.token, token) {
        (Some(current), Some(given)) if current.value == given && current.expires_ms > now_ms => Ok(()),
        _ => Err(Refusal::token_invalid()),
    }
}

fn check_credentials(shared: &Shared, key: Option<&str>, secret: Option<&str>) -> Result<(), Refusal> {
    let config = &shared.config;
    if key == Some(config.client_id.as_str()) && secret == Some(config.client_secret.as_str()) {
        return Ok(());
    }
    Err(Refusal::bad("invalidClientIdOrSecret", "the app key or the app secret is wrong"))
}

/// The living token, or a new one, and the seconds it has left.
fn current(call: &Call<'_>) -> (String, i64) {
    let mut world = call.shared.world();
    let token = world.token.take().filter(|token| token.expires_ms > call.now_ms);
    let token = token.unwrap_or_else(|| Token { value: ids::hex_id(), expires_ms: call.now_ms + LIFE_MS });
    let given = (token.value.clone(), (token.expires_ms - call.now_ms) / 1_000);
    world.token = Some(token);
    given
}
