//! A simulated DingTalk: one organisation with a group and direct chats, a robot whose messages are pushed to the
//! service over HTTP, and the OpenAPI, session webhooks and cards that the service answers through.
//!
//! Both of the platform's API origins are served on one loopback address. It is strict where the real platform is
//! known to be strict (texts only in card variables, one call per card at a time, rates, tokens, frame order) and
//! keeps a [`CardReport`] of everything that works but should not be done. [`Faults`] make it fail on purpose.

mod api;
mod card;
mod clock;
mod compose;
mod config;
mod crypto;
mod events;
mod faults;
mod form;
mod ids;
mod journal;
mod lifecycle;
mod platform;
mod press;
mod push;
mod render;
mod server;
mod shared;
mod view;
mod world;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub use api::Api;
pub use card::{CardReport, Ending};
pub use clock::SimClock;
pub use compose::{Content, Quote, RichPart, Said};
pub use config::{DingTalkConfig, RateLimits, TEMPLATE_A, TEMPLATE_B, TEMPLATE_C, TEMPLATE_D};
pub use crypto::{CryptoError, EventCrypto, card_sign, robot_sign};
pub use events::{EventAnswerError, EventPushed};
pub use faults::{Fault, Faults, Target, Times};
pub use push::RawPush;
pub use world::Person;

use self::push::{Payload, Push};
use self::shared::{Parts, Shared};
use crate::view::{CardState, ChatView, FormAt, Pushed};

/// Why a simulated DingTalk can't be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("callback_aes_key is not usable: {0}")]
    Key(#[from] CryptoError),
    #[error("no server on 127.0.0.1: {0}")]
    Serve(#[from] std::io::Error),
    #[error("no HTTP client for pushes: {0}")]
    Client(#[from] reqwest::Error),
}

/// A running simulated DingTalk. Clones are the same platform; it stops when the last one is dropped.
#[derive(Clone)]
pub struct DingTalkSim {
    shared: Arc<Shared>,
    _running: Arc<Running>,
}

/// Server thread and push runtime, ended on drop.
struct Running {
    server: actix_web::dev::ServerHandle,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The command leaves at once; only its completion would have to be awaited.
        drop(self.server.stop(false));
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl DingTalkSim {
    /// Starts serving, with a seeded organisation. Works inside and outside of any async runtime.
    ///
    /// # Errors
    /// If the AES key is malformed, or no socket, thread or client can be had.
    pub fn start(config: DingTalkConfig) -> Result<Self, StartError> {
        // Somebody else in the process may have installed it already; both are the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind(("127.0.0.1", config.port))?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let events = EventCrypto::new(&config.callback_token, &config.callback_aes_key, &config.client_id)?;
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sim-dingtalk-push")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let shared = Arc::new(Shared::new(Parts { config, base_url, events, http, runtime: handle }));
        let server = server::spawn(listener, shared.clone())?;
        Ok(Self { shared, _running: Arc::new(Running { server, runtime: Some(runtime) }) })
    }

    /// Where robot messages and events go from now on; `None` takes the address away.
    pub fn set_webhook_url(&self, url: Option<String>) {
        self.shared.set_webhook_url(url);
    }

    /// The switchboard of faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The platform's clock: tokens, sessions and signatures follow it.
    #[must_use]
    pub fn clock(&self) -> &SimClock {
        &self.shared.clock
    }

    /// Adds a member of the organisation, with a direct chat.
    pub fn add_member(&self, staff_id: &str, nick: &str) {
        let corp_id = &self.shared.config.corp_id;
        self.shared.world().add_person(Person::member(staff_id, nick, corp_id));
        self.shared.changed();
    }

    /// Adds somebody of another organisation (no staff id), with a direct chat.
    pub fn add_outsider(&self, union_id: &str, nick: &str) {
        self.shared.world().add_person(Person::outsider(union_id, nick));
        self.shared.changed();
    }

    /// Adds a group that the robot is in.
    pub fn add_group(&self, id: &str, title: &str, members: &[&str]) {
        let members = members.iter().map(|id| (*id).to_owned()).collect();
        self.shared.world().add_group(id, title, members);
        self.shared.changed();
    }

    /// Brings a person into a group; does nothing for an unknown group.
    pub fn join(&self, group: &str, person: &str) {
        if let Some(chat) = self.shared.world().chat_mut(group).filter(|chat| !chat.direct) {
            chat.members.push(person.to_owned());
        }
        self.shared.changed();
    }

    /// Id of the direct chat of a person.
    #[must_use]
    pub fn direct_chat(&self, person: &str) -> String {
        world::direct_chat_id(person)
    }

    /// Sends any kind of message as a person. Gives the outcome of the first push; status 0 also when the platform
    /// tells the robot nothing (a group message without mention) or there is no such person in such a chat (then the id
    /// is empty).
    pub async fn post(&self, said: Said) -> Pushed {
        let Some(posted) = compose::post(&self.shared, &said) else {
            return Pushed::nothing("");
        };
        match posted.callback {
            Some(body) => self.push_robot(posted.msg_id, body).await,
            None => Pushed::nothing(&posted.msg_id),
        }
    }

    /// Delivers a message that was pushed before once more: the same `msgId`, a new signature.
    pub async fn deliver_again(&self, msg_id: &str) -> Pushed {
        let body = self.shared.world().pushed.get(msg_id).cloned();
        match body {
            Some(body) => self.push_robot(msg_id.to_owned(), body).await,
            None => Pushed::nothing(""),
        }
    }

    /// Body of a message's callback, as it was pushed.
    #[must_use]
    pub fn pushed_body(&self, msg_id: &str) -> Option<String> {
        self.shared.world().pushed.get(msg_id).cloned()
    }

    /// Pushes a robot message whose body is made up by the caller, correctly signed, without repeats.
    pub async fn push_signed(&self, body: String) -> Pushed {
        let push = Push { id: ids::id("msg"), payload: Payload::Robot(body), repeats: 0 };
        push::deliver(self.shared.clone(), push).await
    }

    /// Pushes exactly these headers, query and body, without repeats.
    pub async fn push_raw(&self, raw: RawPush) -> Pushed {
        let push = Push { id: ids::id("msg"), payload: Payload::Raw(raw), repeats: 0 };
        push::deliver(self.shared.clone(), push).await
    }

    /// Pushes an encrypted event and reads the encrypted answer strictly.
    pub async fn push_event(&self, event: &Value) -> EventPushed {
        events::push(self.shared.clone(), event).await
    }

    /// The check that saving the address in the console makes.
    pub async fn check_url(&self) -> EventPushed {
        self.push_event(&json!({"EventType": "check_url"})).await
    }

    /// Ids of robot messages and events that no attempt has had an HTTP 200 for.
    #[must_use]
    pub fn unacknowledged(&self) -> Vec<String> {
        self.shared.world().unacknowledged.iter().cloned().collect()
    }

    /// One chat, as the person who acted there last sees it; cheaper than all of them.
    #[must_use]
    pub fn chat(&self, id: &str) -> Option<ChatView> {
        let world = self.shared.world();
        world.chat(id).map(|chat| view::chat_view(&world, chat, None))
    }

    /// All chats as one person sees them.
    #[must_use]
    pub fn chats_as(&self, person: &str) -> Vec<ChatView> {
        view::chats(&self.shared.world(), Some(person))
    }

    /// How the service treated a card; `None` for an id that no call has named.
    #[must_use]
    pub fn card_report(&self, out_track_id: &str) -> Option<CardReport> {
        let world = self.shared.world();
        let mut report = world.reports.get(out_track_id)?.clone();
        report.finished = world.cards.get(out_track_id).is_some_and(|card| card.state != CardState::Streaming);
        Some(report)
    }

    /// Reports of all cards, by id.
    #[must_use]
    pub fn card_reports(&self) -> Vec<CardReport> {
        let ids: Vec<String> = self.shared.world().reports.keys().cloned().collect();
        ids.iter().filter_map(|id| self.card_report(id)).collect()
    }

    /// How many calls of one API were served (refusals for token or rate not counted).
    #[must_use]
    pub fn calls(&self, api: Api) -> u64 {
        self.shared.world().calls.get(&api).copied().unwrap_or(0)
    }

    /// Calls so far that the monthly API quota would count.
    #[must_use]
    pub fn monthly_api_calls(&self) -> u64 {
        self.shared.world().counted_calls
    }

    /// Pushes and webhook sends so far, which the monthly message quota would count.
    #[must_use]
    pub fn monthly_messages(&self) -> u64 {
        self.shared.world().counted_messages
    }

    /// Forgets the access token: the next call with it is refused, the next request gives a new one.
    pub fn invalidate_token(&self) {
        self.shared.world().token = None;
    }

    /// Ends every session webhook at once.
    pub fn expire_sessions(&self) {
        self.shared.world().sessions.clear();
    }

    /// Switches the checks of frequency and quota (on at first).
    pub fn set_rate_check(&self, on: bool) {
        self.shared.set_rate_check(on);
    }

    /// Changes the frequency limits and the quota.
    pub fn set_limits(&self, limits: RateLimits) {
        self.shared.world().limits = limits;
    }

    /// How long every call takes from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.set_latency(latency);
    }

    async fn push_robot(&self, msg_id: String, body: String) -> Pushed {
        let repeats = self.shared.config.repeat_after.len();
        push::deliver(self.shared.clone(), Push { id: msg_id, payload: Payload::Robot(body), repeats }).await
    }

    async fn press_button(&self, at: FormAt<'_>, values: &Value) -> Pushed {
        let FormAt { message_id, user, .. } = at;
        match press::resolve(&self.shared, at, values) {
            press::Press::Nothing => Pushed::nothing(message_id),
            press::Press::Say { chat, text } => {
                // The client sends the text without a mention, so in a group it does not reach the robot.
                self.post(Said { mention_bot: false, ..Said::text(&chat, user, &text) }).await
            }
            press::Press::Call(payload) => press::call_back(self.shared.clone(), message_id, user, payload).await,
        }
    }
}
