//! Tokens: who gets one and which are accepted.

use serde_json::json;

use super::Request;
use crate::feishu::answer::{Answer, Outcome, Refusal};
use crate::feishu::faults::Call;
use crate::feishu::world::World;

/// `tenant_access_token/internal` and `app_access_token/internal`. The token stands beside `code`, not in `data`;
/// refusals come with HTTP 200.
pub(super) fn token(world: &mut World, call: Call, request: &Request) -> Outcome {
    let body = request.json()?;
    let refuse = |code, msg: &str| Err(Refusal::new(code, msg).with_status(200));
    if body["app_id"] != world.config.app_id.as_str() {
        return refuse(10_003, "invalid param");
    }
    if body["app_secret"] != world.config.app_secret.as_str() {
        return refuse(10_015, "app secret invalid");
    }
    let now = world.now_ms();
    let (token, expire) = world.tokens.issue(now);
    let mut answer = json!({"code": 0, "msg": "ok", "tenant_access_token": token, "expire": expire});
    if call == Call::AppToken {
        answer["app_access_token"] = json!(token);
    }
    Ok(Answer::Json(answer))
}

/// Every other call needs a valid token.
pub(super) fn authorise(world: &World, request: &Request) -> Result<(), Refusal> {
    let Some(token) = &request.bearer else {
        return Err(Refusal::new(99_991_661, "Missing access token for authorization").with_status(401));
    };
    match world.tokens.is_valid(token, world.now_ms()) {
        true => Ok(()),
        false => Err(Refusal::new(99_991_663, "Invalid access token for authorization. Please make a test with token")),
    }
}
