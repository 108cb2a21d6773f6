//! The simulated Feishu: a tenant with people, chats and one bot app.
//!
//! It stands where the real platform stands. People type and press; events and callbacks are encrypted, signed and
//! pushed to the service's webhook with the platform's retry schedule. The OpenAPI that a bot calls is served on a
//! loopback port, strict where the real one is strict: tokens, rates, sizes, card schema, CardKit sequences, streaming
//! mode. Faults are switchable at run time, the clock can be moved, and [`SimulatedPlatform::chats`](crate::view::SimulatedPlatform::chats) shows what a person sees.
//!
//! | module | duty |
//! | --- | --- |
//! | `config` `clock` `faults` | what it is started with and how it is steered |
//! | `crypto` `push` `said` `press` `events` | what goes to the service |
//! | `server` `api` `answer` `multipart` | what the service may call |
//! | `world` `tree` `validate` | the state, and the rules for cards |
//! | `platform` `observe` `render` `face` `markdown` `wirelog` | what people, tests and onlookers see |

mod answer;
mod api;
mod clock;
mod config;
pub mod crypto;
mod events;
mod face;
mod faults;
mod ids;
mod markdown;
mod multipart;
mod observe;
mod platform;
mod press;
mod push;
mod render;
mod said;
mod server;
mod shared;
mod tree;
mod validate;
mod wirelog;
mod world;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use self::api::MAX_CARD_BYTES;
pub use self::clock::SimClock;
pub use self::config::{FeishuConfig, RateLimits};
pub use self::events::UrlRefused;
pub use self::faults::{Call, Fault, Faults, Target};
pub use self::press::Toast;
pub use self::push::DeliveryReport;
pub use self::said::Said;
pub use self::world::card::CardReport;

use self::press::{CallbackStyle, Press};
use self::server::Server;
use self::shared::Shared;
use self::world::Person;
use crate::view::Pushed;
use crate::wire::WireLog;

/// How long a push may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Connections idle for longer are not used again: shorter than what servers keep, so that no push meets a closing one.
const IDLE_LIMIT: Duration = Duration::from_secs(2);

/// A running simulated Feishu. Clones are handles on the same one; it stops with the last of them, and its port is
/// free again then.
#[derive(Clone)]
pub struct FeishuSim {
    shared: Arc<Shared>,
    _running: Arc<Running>,
}

/// Stops server and runtime when dropped.
struct Running {
    server: Server,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.stop();
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed in async contexts, where handles usually end.
            runtime.shutdown_background();
        }
    }
}

impl FeishuSim {
    /// Binds the port on 127.0.0.1 and serves at once, on threads of its own.
    ///
    /// # Errors
    /// If the port is taken, or threads or an HTTP client cannot be made.
    pub fn start(config: FeishuConfig) -> io::Result<Self> {
        // Only the first installation in a process counts; whoever came before is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let listener = TcpListener::bind(("127.0.0.1", config.port))?;
        let origin = format!("http://{}", listener.local_addr()?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("feishu-sim-push")
            .enable_all()
            .build()?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .pool_idle_timeout(IDLE_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(io::Error::other)?;
        let shared = Arc::new(Shared::new(config, origin, http, runtime.handle().clone()));
        let server = Server::start(listener, Arc::clone(&shared))?;
        Ok(Self { shared, _running: Arc::new(Running { server, runtime: Some(runtime) }) })
    }

    /// What it was started with.
    #[must_use]
    pub fn config(&self) -> &FeishuConfig {
        &self.shared.config
    }

    /// The switchboard of faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The platform's clock.
    #[must_use]
    pub fn clock(&self) -> &SimClock {
        &self.shared.clock
    }

    #[must_use]
    pub fn wire(&self) -> &WireLog {
        &self.shared.config.wire
    }

    /// Sends events to this URL from now on; attempts already scheduled follow it too.
    pub fn set_webhook_url(&self, url: &str) {
        *self.shared.webhook() = Some(url.to_owned());
    }

    /// All tokens issued so far stop working (99991663).
    pub fn invalidate_tokens(&self) {
        self.shared.world().tokens.invalidate();
    }

    /// Changes the frequency limits.
    pub fn set_limits(&self, limits: RateLimits) {
        self.shared.world().config.limits = limits;
    }

    /// Adds a group with these people and the bot; gives its chat id.
    pub fn add_group(&self, title: &str, members: &[&str]) -> String {
        let members = members.iter().map(|&member| member.to_owned()).collect();
        let id = self.shared.world().add_group(title, members);
        self.shared.changed();
        id
    }

    /// Adds a person with a direct chat; gives `(open_id, chat_id)`.
    pub fn add_person(&self, name: &str) -> (String, String) {
        let person = Person::new(ids::fresh("ou_"), name);
        let open_id = person.open_id.clone();
        let chat_id = self.shared.world().add_person(person);
        self.shared.changed();
        (open_id, chat_id)
    }

    /// Chat id of the first group.
    #[must_use]
    pub fn group(&self) -> String {
        let world = self.shared.world();
        world.chats.iter().find(|chat| !chat.direct).map(|chat| chat.id.clone()).unwrap_or_default()
    }

    /// Chat id of the direct chat between a person and the bot.
    #[must_use]
    pub fn direct_chat(&self, open_id: &str) -> Option<String> {
        self.shared.world().direct_chat(open_id).map(|chat| chat.id.clone())
    }

    /// Whether replies in this chat may open topics (they may from the start).
    pub fn allow_topics(&self, chat_id: &str, topics: Topics) {
        if let Some(chat) = self.shared.world().chat_mut(chat_id) {
            chat.topics = topics == Topics::Allowed;
        }
    }

    /// Presses a button whose app still has the old card callback.
    pub async fn press_old_style(&self, message_id: &str, button_id: &str, user: &str) -> Pushed {
        self.shared.press(Press { message_id, button_id, user, values: &Value::Null, style: CallbackStyle::Old }).await
    }
}

/// Whether a chat supports topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topics {
    Allowed,
    Refused,
}
