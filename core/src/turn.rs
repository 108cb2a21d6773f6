//! One claimed event from start to finish: the only place that joins policy, conversation, router and reply.

mod ask;
mod command;
mod control;
mod gather;
mod lifecycle;
mod material;
mod message;
mod post;
pub mod press;
mod task;
mod wait;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use metrics::counter;
use serde_json::json;
use tracing::{error, info, warn};

use crate::attachment::Attachments;
use crate::budget::{Budget, scope};
use crate::clock::{Clock, UnixMillis};
use crate::event::Body;
use crate::ids::BotId;
use crate::inbox::worker::{Cancellation, Ended, Handler};
use crate::inbox::{Claim, Fence, Inbox, Outcome};
use crate::links::Links;
use crate::platform::{Platform, SendError};
use crate::reply::{Desk, ReplyError};
use crate::router::Router;
use crate::settings::BotSettings;
use crate::store::{ErrorRow, Store, StoreError};

pub use post::{Proactive, post};

/// An event is given up after this many attempts: about two and a half hours of retries.
pub const MAX_ATTEMPTS: u32 = 40;

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// A bot with the adapter that speaks for it.
pub struct Bot {
    pub settings: BotSettings,
    pub platform: Arc<dyn Platform>,
    /// What the platform's calls draw on.
    pub budget: Arc<Budget>,
}

/// Works events off.
pub struct Turn {
    pub bots: HashMap<BotId, Arc<Bot>>,
    pub inbox: Arc<dyn Inbox>,
    pub store: Arc<dyn Store>,
    pub router: Arc<Router>,
    pub links: Arc<dyn Links>,
    /// `None`: attachments can't be read here.
    pub attachments: Option<Attachments>,
    pub clock: Arc<dyn Clock>,
}

impl Handler for Turn {
    fn handle(&self, claim: Claim, cancel: Cancellation) -> BoxFuture<'_, Result<Ended, StoreError>> {
        scope::counted(self.work(claim, cancel)).boxed()
    }
}

impl Turn {
    async fn work(&self, claim: Claim, cancel: Cancellation) -> Result<Ended, StoreError> {
        let Some(bot) = self.bots.get(&claim.event.bot).cloned() else {
            return Ok(dead("bot_missing"));
        };
        let result = match claim.event.body.clone() {
            Body::Message(message) if claim.ahead > 0 => self.wait(&claim, &bot, *message).await,
            _ if claim.ahead > 0 => Ok(Ended::Settle(Outcome::Waits { ahead: claim.ahead })),
            Body::Message(message) => self.message(&claim, &bot, *message, &cancel).await,
            Body::Action(action) => self.action(&claim, &bot, &action).await,
            Body::Lifecycle(lifecycle) => self.lifecycle(&claim, &bot, &lifecycle).await,
            Body::Task(task) => self.task(&claim, &bot, &task, &cancel).await,
            Body::Other { .. } => Ok(done("unknown_type")),
        };
        let ended = match result {
            Ok(ended) => ended,
            Err(ReplyError::Store(error @ (StoreError::Fenced(_) | StoreError::Unavailable { .. }))) => {
                return Err(error);
            }
            Err(ReplyError::Store(failure)) => {
                error!(error = &failure as &dyn std::error::Error, "the event can't be worked on now");
                self.retry(claim.fence, None, "store_error")
            }
            Err(ReplyError::Send(failure)) => self.after_send_error(&claim, &failure).await,
        };
        match &ended {
            // Counted where it was settled.
            Ended::Settled | Ended::Settle(Outcome::Waits { .. }) => {}
            Ended::Settle(Outcome::Done(None)) => count(&claim, "answered"),
            Ended::Settle(Outcome::Done(Some(_))) => count(&claim, "ignored"),
            Ended::Settle(Outcome::Retry { .. } | Outcome::Dead { .. }) => count(&claim, "failed"),
        }
        Ok(ended)
    }

    /// What becomes of an event whose answer could not be sent.
    async fn after_send_error(&self, claim: &Claim, failure: &SendError) -> Ended {
        match failure {
            SendError::Retry { after, .. } => {
                warn!(error = failure as &dyn std::error::Error, "will be tried again");
                self.retry(claim.fence, *after, failure.name())
            }
            SendError::Superseded { .. } => {
                info!("another process has the card; leaving the event to its lease");
                self.retry(claim.fence, None, failure.name())
            }
            SendError::Gone { .. } => {
                self.log_error(claim, failure.name(), &failure.to_string()).await;
                done(failure.name())
            }
            SendError::Refused { .. }
            | SendError::Content { .. }
            | SendError::Unchangeable { .. }
            | SendError::Protocol { .. } => {
                error!(error = failure as &dyn std::error::Error, "given up");
                self.log_error(claim, failure.name(), &failure.to_string()).await;
                dead(failure.name())
            }
        }
    }

    fn retry(&self, fence: Fence, after: Option<Duration>, reason: &str) -> Ended {
        let at = self.clock.now() + backoff(fence).max(after.unwrap_or_default());
        Ended::Settle(Outcome::Retry { at, reason: reason.to_owned() })
    }

    /// Adds a row to the log of what people did not get. Failing to write it must not fail the event.
    async fn log_error(&self, claim: &Claim, code: &str, message: &str) {
        let row = ErrorRow {
            error_code: code.to_owned(),
            bot: claim.event.bot.clone(),
            request_id: claim.fence.event.to_string(),
            message: message.to_owned(),
            detail: json!({ "attempt": claim.fence.attempt, "kind": claim.event.kind() }),
            now: self.clock.now(),
        };
        if let Err(error) = self.store.log_error(&row).await {
            warn!(error = &error as &dyn std::error::Error, code, "bot_error_logs was not written");
        }
    }

    fn desk(&self, claim: &Claim, bot: &Bot, to: crate::event::ReplyTo) -> Desk {
        Desk {
            platform: bot.platform.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            bot: bot.settings.id.clone(),
            fence: claim.fence,
            event: claim.fence.event,
            to,
            budget: bot.budget.clone(),
        }
    }

    fn now(&self) -> UnixMillis {
        self.clock.now()
    }
}

/// Waiting time before the next attempt: doubling from a second up to five minutes, less up to a quarter, spread by
/// the event's id so that events that failed together do not come back together.
#[must_use]
pub fn backoff(fence: Fence) -> Duration {
    let doublings = fence.attempt.saturating_sub(1).min(16);
    let full = FIRST_RETRY.saturating_mul(1 << doublings).min(LONGEST_RETRY);
    let spread = u32::from(fence.event.0.as_bytes()[15]);
    full - full * spread / 1024
}

fn done(reason: &str) -> Ended {
    Ended::Settle(Outcome::Done(Some(reason.to_owned())))
}

fn dead(reason: &str) -> Ended {
    Ended::Settle(Outcome::Dead { reason: reason.to_owned() })
}

fn count(claim: &Claim, outcome: &'static str) {
    let bot = claim.event.bot.to_string();
    counter!("magpie_events_total", "bot" => bot, "kind" => claim.event.kind(), "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::{Backlog, Engine, EngineKind};
    use crate::event::{Event, PlatformKind, tests::message};
    use crate::ids::EventId;
    use crate::inbox::worker::tests::List;
    use crate::links::NoLinks;
    use crate::reply::tests::{Chat, Shelf};
    use crate::router::RouterSettings;
    use crate::settings::{ChatSettings, LanguageChoice, ModelChoice};
    use crate::testkit::ManualClock;
    use crate::testkit::engine::ScriptedEngine;

    /// The notice of each card that a person sees while an engine answers that is so busy.
    async fn notices(backlog: Backlog) -> Vec<Option<String>> {
        let (chat, engine) = (Arc::new(Chat::default()), ScriptedEngine::answering(EngineKind::Local, &["because"]));
        engine.set_backlog(backlog);
        let settings = BotSettings {
            id: "it".into(),
            platform: PlatformKind::Feishu,
            enabled: true,
            system_prompt: String::new(),
            model: ModelChoice::Auto,
            language: LanguageChoice::Auto,
            chat: ChatSettings::default(),
            groups: BTreeMap::new(),
        };
        let bot = Bot { settings, platform: chat.clone(), budget: Budget::unlimited() };
        let turn = Turn {
            bots: HashMap::from([("it".into(), Arc::new(bot))]),
            inbox: List::of(0),
            store: Arc::new(Shelf::default()),
            links: Arc::new(NoLinks),
            attachments: None,
            router: Arc::new(Router::new(vec![engine as Arc<dyn Engine>], RouterSettings::default())),
            clock: Arc::new(ManualClock::default()),
        };
        let event = Event {
            bot: "it".into(),
            platform: PlatformKind::Feishu,
            platform_event_id: "e1".into(),
            occurred_at: None,
            body: Body::Message(Box::new(message("why?"))),
        };
        let fence = Fence { event: EventId::new(), attempt: 1 };
        let claim =
            Claim { fence, event, scope: "s".into(), trace: None, received_at: UnixMillis(0), ahead: 0, cancel: None };
        assert_eq!(turn.handle(claim, Cancellation::default()).await.unwrap(), Ended::Settled);
        let notices = chat.notices.lock().unwrap();
        notices.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_card_says_how_long_the_wait_will_be_and_the_last_does_not() {
        let wait = Some(Duration::from_secs(20));
        let shown = notices(Backlog { running: 4, waiting: 3, expected_wait: wait }).await;
        let first = "3 questions before yours; about 20 s to wait.";
        assert_eq!((shown[0].as_deref(), shown.last().unwrap()), (Some(first), &None));
        let shown = notices(Backlog::default()).await;
        assert!(shown.iter().all(Option::is_none), "nobody is before it: {shown:?}");
    }

    #[test]
    fn waiting_grows_to_five_minutes_and_no_further() {
        let event = EventId::new();
        let waits: Vec<_> = (1..=MAX_ATTEMPTS).map(|attempt| backoff(Fence { event, attempt })).collect();
        assert!(waits[0] <= FIRST_RETRY && waits[0] >= FIRST_RETRY * 3 / 4);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(waits.iter().all(|wait| *wait <= LONGEST_RETRY));
        assert!(waits.iter().sum::<Duration>() > Duration::from_secs(2 * 3600));
    }
}
