//! The calls a bot makes, on one origin for both of the platform's hosts, and the checks that precede every one of
//! them: token, rate, content type, JSON.

mod callbacks;
mod cards;
mod emotion;
mod fields;
mod files;
mod reply;
mod robot;
mod session;
mod streaming;
mod tokens;

use actix_web::http::Method;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::faults::Fault;
use super::shared::Shared;
use super::world::World;

pub(super) use cards::string_map;
pub(super) use reply::{Answer, Refusal, Reply};
pub(super) use streaming::is_final;

/// Every call that is served; [`Api::name`] says which one in the platform's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    Token,
    CorpToken,
    OldToken,
    SessionWebhook,
    CustomRobot,
    OtoSend,
    GroupSend,
    OtoRecall,
    GroupRecall,
    FileDownload,
    FileContent,
    MediaUpload,
    EmotionReply,
    EmotionRecall,
    CardCreate,
    CardDeliver,
    CardCreateAndDeliver,
    CardUpdate,
    CardStreaming,
    CallbackRegister,
}

const ROUTES: [(Api, &str, &str); 18] = [
    (Api::Token, "POST", "/v1.0/oauth2/accessToken"),
    (Api::OldToken, "GET", "/gettoken"),
    (Api::SessionWebhook, "POST", "/robot/sendBySession"),
    (Api::CustomRobot, "POST", "/robot/send"),
    (Api::OtoSend, "POST", "/v1.0/robot/oToMessages/batchSend"),
    (Api::GroupSend, "POST", "/v1.0/robot/groupMessages/send"),
    (Api::OtoRecall, "POST", "/v1.0/robot/otoMessages/batchRecall"),
    (Api::GroupRecall, "POST", "/v1.0/robot/groupMessages/recall"),
    (Api::FileDownload, "POST", "/v1.0/robot/messageFiles/download"),
    (Api::MediaUpload, "POST", "/media/upload"),
    (Api::EmotionReply, "POST", "/v1.0/robot/emotion/reply"),
    (Api::EmotionRecall, "POST", "/v1.0/robot/emotion/recall"),
    (Api::CardCreate, "POST", "/v1.0/card/instances"),
    (Api::CardDeliver, "POST", "/v1.0/card/instances/deliver"),
    (Api::CardCreateAndDeliver, "POST", "/v1.0/card/instances/createAndDeliver"),
    (Api::CardUpdate, "PUT", "/v1.0/card/instances"),
    (Api::CardStreaming, "PUT", "/v1.0/card/streaming"),
    (Api::CallbackRegister, "POST", "/v1.0/card/callbacks/register"),
];

/// Path of received files; the secret of the address follows.
pub(super) const FILE_PATH: &str = "/sim/files/";

impl Api {
    /// Which call a request is, if any.
    pub(super) fn of(method: &Method, path: &str) -> Option<Self> {
        if path.starts_with(FILE_PATH) && method == Method::GET {
            return Some(Self::FileContent);
        }
        if path.starts_with("/v1.0/oauth2/") && path.ends_with("/token") && method == Method::POST {
            return Some(Self::CorpToken);
        }
        let found = ROUTES.iter().find(|(_, wanted, at)| *wanted == method.as_str() && *at == path);
        found.map(|(api, ..)| *api)
    }

    /// Method and path, for people.
    #[must_use]
    pub fn name(self) -> String {
        let found = ROUTES.iter().find(|(api, ..)| *api == self);
        found.map_or_else(|| format!("{self:?}"), |(_, method, path)| format!("{method} {path}"))
    }

    /// New-style calls that want `x-acs-dingtalk-access-token`.
    pub(super) fn needs_token(self) -> bool {
        !matches!(
            self,
            Self::Token
                | Self::CorpToken
                | Self::OldToken
                | Self::SessionWebhook
                | Self::CustomRobot
                | Self::FileContent
                | Self::MediaUpload
        )
    }

    /// Calls of the old host, whose errors come with HTTP 200 and `errcode`.
    pub(super) fn is_old(self) -> bool {
        matches!(self, Self::OldToken | Self::SessionWebhook | Self::CustomRobot | Self::MediaUpload)
    }

    /// Calls about one card, named by `outTrackId`.
    pub(super) fn is_card(self) -> bool {
        matches!(
            self,
            Self::CardCreate | Self::CardDeliver | Self::CardCreateAndDeliver | Self::CardUpdate | Self::CardStreaming
        )
    }

    /// The permission a call needs.
    pub(super) fn scope(self) -> &'static str {
        match self {
            Self::CardStreaming => "Card.Streaming.Write",
            api if api.is_card() || api == Self::CallbackRegister => "Card.Instance.Write",
            _ => "qyapi_robot_sendmsg",
        }
    }

    /// Sign-in calls and file storage are outside the quotas.
    pub(super) fn is_counted(self) -> bool {
        self.needs_token() || self == Self::MediaUpload
    }
}

/// A request as it came.
pub(super) struct Request {
    pub method: Method,
    pub path: String,
    /// Without the question mark; as it came, percent-encoded.
    pub query: String,
    pub token: Option<String>,
    pub content_type: Option<String>,
    pub body: Bytes,
}

impl Request {
    /// A query parameter, percent-decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// A request on its way through the checks to the part that serves it.
pub(super) struct Call<'a> {
    pub shared: &'a Shared,
    pub api: Api,
    pub request: &'a Request,
    /// The body; `Null` for calls without JSON.
    pub body: Value,
    pub faults: &'a [Fault],
    pub now_ms: i64,
}

/// Serves one call whose faults are drawn and whose card, if any, is free.
pub(super) fn serve(shared: &Shared, api: Api, request: &Request, faults: &[Fault]) -> Reply {
    let now_ms = shared.clock.now_ms();
    match checked(Call { shared, api, request, body: Value::Null, faults, now_ms }) {
        Ok(reply) => reply,
        Err(refusal) => Reply::from(refusal),
    }
}

fn checked(mut call: Call<'_>) -> Result<Reply, Refusal> {
    if call.api.needs_token() {
        tokens::check(call.shared, call.request.token.as_deref(), call.now_ms)?;
    }
    count(&call)?;
    if call.api == Api::FileContent {
        return files::content(&call);
    }
    if !matches!(call.api, Api::OldToken | Api::MediaUpload) {
        call.body = json_body(call.api, call.request)?;
    }
    dispatch(&call).map(|value| Reply::json(200, &value))
}

fn dispatch(call: &Call<'_>) -> Answer {
    match call.api {
        Api::Token => tokens::issue(call),
        Api::CorpToken => tokens::issue_for_corp(call),
        Api::OldToken => tokens::issue_old(call),
        Api::SessionWebhook => session::send(call),
        Api::CustomRobot => session::send_custom(call),
        Api::OtoSend => robot::send_to_people(call),
        Api::GroupSend => robot::send_to_group(call),
        Api::OtoRecall | Api::GroupRecall => robot::recall(call),
        Api::FileDownload => files::download_url(call),
        Api::MediaUpload => files::upload(call),
        Api::EmotionReply => emotion::put(call),
        Api::EmotionRecall => emotion::take_back(call),
        Api::CardCreate => cards::create(call),
        Api::CardDeliver => cards::deliver(call),
        Api::CardCreateAndDeliver => cards::create_and_deliver(call),
        Api::CardUpdate => cards::update(call),
        Api::CardStreaming => streaming::frame(call),
        Api::CallbackRegister => callbacks::register(call),
        Api::FileContent => Err(Refusal::new(404, "resource.not.found", "not a JSON call")),
    }
}

/// Custom robots send this often a minute.
const CUSTOM_ROBOT_PER_MINUTE: usize = 20;
const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60_000;

/// Refuses what exceeds the rate, counts the rest. Refused calls cost no monthly quota.
fn count(call: &Call<'_>) -> Result<(), Refusal> {
    let mut world = call.shared.world();
    if call.shared.checks_rate() {
        admit(&mut world, call)?;
    }
    *world.calls.entry(call.api).or_default() += 1;
    if call.api.is_counted() {
        world.counted_calls += 1;
    } else if matches!(call.api, Api::SessionWebhook | Api::CustomRobot) {
        world.counted_messages += 1;
    }
    Ok(())
}

fn admit(world: &mut World, call: &Call<'_>) -> Result<(), Refusal> {
    let (api, limits) = (call.api, world.limits);
    let (per_second, per_minute) = match api {
        Api::CustomRobot => (usize::MAX, Some(CUSTOM_ROBOT_PER_MINUTE)),
        api if api.is_counted() => (limits.per_second, limits.per_minute),
        _ => return Ok(()),
    };
    if api.is_counted() && limits.per_month.is_some_and(|most| world.counted_calls >= most) {
        return Err(Refusal::quota_used_up(api));
    }
    let recent = world.recent_calls.entry(api).or_default();
    while recent.front().is_some_and(|at_ms| call.now_ms - at_ms >= MINUTE_MS) {
        recent.pop_front();
    }
    if per_minute.is_some_and(|most| recent.len() >= most) {
        return Err(Refusal::rate_limited_by_the_minute(api));
    }
    if recent.iter().rev().take_while(|at_ms| call.now_ms - **at_ms < SECOND_MS).count() >= per_second {
        return Err(Refusal::rate_limited(api));
    }
    recent.push_back(call.now_ms);
    Ok(())
}

fn json_body(api: Api, request: &Request) -> Result<Value, Refusal> {
    let is_json = request.content_type.as_deref().is_some_and(|kind| kind.starts_with("application/json"));
    if !is_json {
        return Err(match api.is_old() {
            true => Refusal::old(43_004, "contenttype must be application/json"),
            false => Refusal::new(415, "UnsupportedMediaType", "Content-Type must be application/json"),
        });
    }
    match serde_json::from_slice::<Value>(&request.body) {
        Ok(body) if body.is_object() => Ok(body),
        _ if api.is_old() => Err(Refusal::old(40_035, "the body is not a JSON object")),
        _ => Err(Refusal::new(400, "InvalidParameter", "the body is not a JSON object")),
    }
}
