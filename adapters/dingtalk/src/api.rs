//! Calls to the platform: token, pace, judgement of the answer, metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use magpie_core::budget::{Budget, CallClass};
use magpie_core::platform::Health;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::answer::{Class, judge};
use crate::config::Timing;
use crate::failure::Failure;
use crate::pace::Pace;
use crate::token::{Grant, Tokens};
use magpie_core::secret::Secret;

const TOKEN_HEADER: &str = "x-acs-dingtalk-access-token";
/// How often a call that must succeed is made.
const ATTEMPTS: u32 = 3;
/// A repeat that has to wait longer than this is left to the caller.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The calls this adapter makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Token,
    RegisterCallback,
    CreateCard,
    UpdateCard,
    StreamCard,
    SendToGroup,
    SendToPerson,
    SessionWebhook,
    /// The address of a received file.
    DownloadFile,
    /// The file itself, from the storage that the address names.
    Storage,
}

impl Call {
    /// Label in metrics and errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::RegisterCallback => "register_callback",
            Self::CreateCard => "create_card",
            Self::UpdateCard => "update_card",
            Self::StreamCard => "stream_card",
            Self::SendToGroup => "send_to_group",
            Self::SendToPerson => "send_to_person",
            Self::SessionWebhook => "session_webhook",
            Self::DownloadFile => "download_file",
            Self::Storage => "storage",
        }
    }

    fn method(self) -> Method {
        if matches!(self, Self::UpdateCard | Self::StreamCard) { Method::PUT } else { Method::POST }
    }

    /// What it is counted as. `None`: the platform counts neither tokens nor, among API calls, posts to a session webhook,
    /// which have a month of their own. Source: "调用 API 的频率和次数限制", August 2026.
    pub fn class(self) -> Option<CallClass> {
        match self {
            Self::Token | Self::SessionWebhook | Self::Storage => None,
            Self::RegisterCallback | Self::DownloadFile => Some(CallClass::Other),
            Self::CreateCard | Self::UpdateCard => Some(CallClass::Cards),
            Self::StreamCard => Some(CallClass::Streaming),
            Self::SendToGroup | Self::SendToPerson => Some(CallClass::Messages),
        }
    }

    /// Path on the API's origin; a session webhook brings its own address.
    fn path(self) -> &'static str {
        match self {
            Self::Token => "/v1.0/oauth2/accessToken",
            Self::RegisterCallback => "/v1.0/card/callbacks/register",
            Self::CreateCard => "/v1.0/card/instances/createAndDeliver",
            Self::UpdateCard => "/v1.0/card/instances",
            Self::StreamCard => "/v1.0/card/streaming",
            Self::SendToGroup => "/v1.0/robot/groupMessages/send",
            Self::SendToPerson => "/v1.0/robot/oToMessages/batchSend",
            Self::DownloadFile => "/v1.0/robot/messageFiles/download",
            Self::SessionWebhook | Self::Storage => "",
        }
    }
}

/// The app's key pair.
pub(crate) struct Credentials {
    pub client_id: String,
    pub client_secret: Secret,
}

pub(crate) struct Api {
    http: reqwest::Client,
    origin: Url,
    credentials: Credentials,
    timing: Timing,
    tokens: Tokens,
    pace: Pace,
    /// By call: what an operator should know.
    troubles: Mutex<BTreeMap<&'static str, String>>,
}

impl Api {
    pub fn new(
        http: reqwest::Client,
        origin: Url,
        credentials: Credentials,
        timing: Timing,
        budget: Arc<Budget>,
    ) -> Self {
        Self {
            http,
            origin,
            credentials,
            pace: Pace::new(budget),
            timing,
            tokens: Tokens::default(),
            troubles: Mutex::new(BTreeMap::from([(Call::Token.name(), "not connected yet".to_owned())])),
        }
    }

    /// One call with a token; once more with a new one if the token is refused.
    pub async fn call(&self, call: Call, body: &Value) -> Result<Value, Failure> {
        let token = self.token().await?;
        match self.send(call, self.address(call), Some(&token), body).await {
            Err(failure) if failure.class == Class::TokenInvalid => {
                self.tokens.drop_if_current(&token).await;
                let token = self.token().await?;
                self.send(call, self.address(call), Some(&token), body).await
            }
            outcome => outcome,
        }
    }

    /// A call that must succeed: repeated with pauses while its failure may pass. `body` is asked anew each time, as
    /// a repeated frame wants a new id.
    pub async fn insist(&self, call: Call, mut body: impl FnMut() -> Value + Send) -> Result<Value, Failure> {
        let mut pause = self.timing.retry_pause;
        for _ in 1..ATTEMPTS {
            match self.call(call, &body()).await {
                Err(failure) if self.worth_waiting(&failure) => self.wait(&failure, &mut pause).await,
                outcome => return outcome,
            }
        }
        self.call(call, &body()).await
    }

    /// Posts to a session webhook, with repeats. The address was believed when it came; see [`crate::route`].
    pub async fn post_to_session(&self, address: &str, body: &Value) -> Result<Value, Failure> {
        let call = Call::SessionWebhook;
        let address = Url::parse(address).map_err(|_| Failure::new(call.name(), Class::ReplyPathExpired, "address"))?;
        let mut pause = self.timing.retry_pause;
        for _ in 1..ATTEMPTS {
            match self.send(call, address.clone(), None, body).await {
                Err(failure) if self.worth_waiting(&failure) => self.wait(&failure, &mut pause).await,
                outcome => return outcome,
            }
        }
        self.send(call, address, None, body).await
    }

    /// Gets a file from storage: without our token, and without a content type, which its signature leaves out. Only
    /// the head is waited for here.
    pub async fn get_file(&self, address: Url) -> Result<reqwest::Response, Failure> {
        let name = Call::Storage.name();
        let sent = tokio::time::timeout(self.timing.call_timeout, self.http.get(address).send()).await;
        let response = sent
            .map_err(|_| Failure::new(name, Class::Temporary, "timeout"))?
            .map_err(|error| Failure::transport(name, error))?;
        let status = response.status();
        let class = match status.as_u16() {
            200 => return Ok(response),
            429 | 500.. => Class::Temporary,
            // Expired, or a redirect, which is not followed.
            _ => Class::Gone,
        };
        Err(Failure::new(name, class, &format!("http_{}", status.as_u16())))
    }

    /// Gets a token, so that wrong credentials show at start.
    pub async fn sign_in(&self) -> Result<(), Failure> {
        self.token().await.map(drop)
    }

    pub fn health(&self) -> Health {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.is_empty() {
            return Health::Ok;
        }
        let detail: Vec<String> = troubles.iter().map(|(call, what)| format!("{call}: {what}")).collect();
        Health::Degraded { detail: detail.join("; ") }
    }

    fn worth_waiting(&self, failure: &Failure) -> bool {
        failure.passes() && failure.pause.is_none_or(|pause| pause <= LONGEST_PAUSE)
    }

    /// Waits before a repeat; twice as long before the next, and longer after a rate limit.
    async fn wait(&self, failure: &Failure, pause: &mut Duration) {
        let least = if failure.class == Class::RateLimited { self.timing.retry_pause * 2 } else { Duration::ZERO };
        tokio::time::sleep((*pause).max(least).max(failure.pause.unwrap_or_default())).await;
        *pause *= 2;
    }

    async fn token(&self) -> Result<String, Failure> {
        self.tokens.get(|| self.fetch_token()).await
    }

    async fn fetch_token(&self) -> Result<Grant, Failure> {
        let Credentials { client_id, client_secret } = &self.credentials;
        let body = json!({"appKey": client_id, "appSecret": client_secret.reveal()});
        let answer = self.send(Call::Token, self.address(Call::Token), None, &body).await?;
        let life = answer.get("expireIn").and_then(Value::as_u64).unwrap_or(7_200);
        match answer.get("accessToken").and_then(Value::as_str).filter(|token| !token.is_empty()) {
            Some(token) => Ok(Grant { token: token.to_owned(), life: Duration::from_secs(life) }),
            None => Err(Failure::new(Call::Token.name(), Class::Temporary, "no_token")),
        }
    }

    fn address(&self, call: Call) -> Url {
        let mut url = self.origin.clone();
        url.set_path(&format!("{}{}", self.origin.path().trim_end_matches('/'), call.path()));
        url
    }

    async fn send(&self, call: Call, address: Url, token: Option<&str>, body: &Value) -> Result<Value, Failure> {
        let name = call.name();
        self.pace.permit(call).await.map_err(|left| Failure::new(name, Class::RateLimited, "paused").after(left))?;
        let began = Instant::now();
        let outcome = self.exchange(call, address, token, body).await;
        let class = outcome.as_ref().err().map_or(Class::Ok, |failure| failure.class);
        metrics::histogram!("magpie_platform_call_seconds", "platform" => "dingtalk", "call" => name, "outcome" => class.name())
            .record(began.elapsed().as_secs_f64());
        self.note(name, &outcome);
        outcome
    }

    async fn exchange(&self, call: Call, address: Url, token: Option<&str>, body: &Value) -> Result<Value, Failure> {
        let name = call.name();
        let mut request = self.http.request(call.method(), address).timeout(self.timing.call_timeout).json(body);
        if let Some(token) = token {
            request = request.header(TOKEN_HEADER, token);
        }
        let response = request.send().await.map_err(|error| Failure::transport(name, error))?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| Failure::transport(name, error))?;
        let mut answer = judge(status, &bytes);
        if answer.class == Class::Partial {
            // There is one recipient a call: whoever is left out is all there is.
            let later = answer.body.get("flowControlledStaffIdList").and_then(Value::as_array);
            let later = later.is_some_and(|list| !list.is_empty());
            answer.class = if later { Class::RateLimited } else { Class::Gone };
            answer.code = if later { "flowControlledStaffIdList" } else { "invalidStaffIdList" }.to_owned();
        }
        if answer.class == Class::Ok {
            return Ok(answer.body);
        }
        match answer.pause {
            Some(pause) if answer.shut_out => self.pace.pause_all(pause),
            Some(pause) => self.pace.pause(call, pause),
            None if answer.class == Class::RateLimited => self.pace.pause(call, self.timing.retry_pause),
            None => {}
        }
        // The platform's diagnosis tool takes this id for seven days.
        let request_id = answer.body.get("requestid").or_else(|| answer.body.get("request_id")).and_then(Value::as_str);
        tracing::debug!(platform = "dingtalk", call = name, code = %answer.code, request_id, "the platform refused a call");
        Err(Failure::of(name, answer))
    }

    /// Keeps what an operator has to know; a success of the same call clears it.
    fn note(&self, call: &'static str, outcome: &Result<Value, Failure>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(_) => drop(troubles.remove(call)),
            Err(failure) => match failure.class {
                Class::Credentials | Class::Permission | Class::QuotaExhausted => {
                    troubles.insert(call, format!("{} ({})", failure.fix(), failure.code));
                }
                Class::Temporary => drop(troubles.insert(call, format!("no useful answer ({})", failure.code))),
                _ => {}
            },
        }
    }
}
