//! A simulated platform with a question in its group, and a bot that answers it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use magpie_core::budget::Budget;
use magpie_core::card::{Button, ButtonStyle, Card, CardState, Language};
use magpie_core::clock::{Clock, UnixMillis};
use magpie_core::event::{Action, Body, ChatKind, Message, PlatformKind, ReplyTo, Route};
use magpie_core::ids::{BotId, ChatId, EventId, MessageId};
use magpie_core::platform::{CardRef, DeliveryKey, Inbound, Platform};
use magpie_feishu::{Feishu, FeishuConfig};
use magpie_sim::feishu::{FeishuConfig as SimConfig, FeishuSim, RateLimits, Said};
use magpie_sim::view::{CardState as Seen, MessageView, SimulatedPlatform, Utterance};

use crate::support::{client, plain_request};

/// A clock that goes along with the simulated platform's.
pub struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }
}

/// A simulated platform, a question in its group, and a bot that answers.
pub struct Scene {
    pub sim: FeishuSim,
    pub bot: Feishu,
    pub clock: Arc<Hand>,
    pub to: ReplyTo,
    pub key: DeliveryKey,
}

impl Scene {
    pub async fn new() -> Self {
        let sim = FeishuSim::start(SimConfig { limits: RateLimits::off(), ..SimConfig::default() }).expect("starts");
        let clock = Arc::new(Hand(AtomicI64::new(sim.clock().now_ms())));
        let bot = bot(&sim, Arc::clone(&clock) as Arc<dyn Clock>);
        let chat = sim.group();
        let user = sim.people()[0].0.clone();
        let question = Utterance { chat: chat.clone(), user, text: "question".into(), mention_bot: true };
        let asked = sim.say(question).await;
        let to = ReplyTo {
            chat: ChatId::from(chat),
            chat_kind: ChatKind::Group,
            user: None,
            message: Some(MessageId::from(asked.id)),
            thread: None,
            route: Route::default(),
        };
        let key = DeliveryKey { event: EventId::new(), part: "answer".into() };
        Self { sim, bot, clock, to, key }
    }

    pub fn advance(&self, by: Duration) {
        self.sim.clock().advance(by);
        self.clock.0.fetch_add(i64::try_from(by.as_millis()).expect("small"), Ordering::Relaxed);
    }

    /// Another process that takes over: nothing in memory, the saved state only.
    pub fn restarted(&self, saved: &CardRef) -> (Feishu, CardRef) {
        let mut at = saved.clone();
        at.take_over();
        (bot(&self.sim, Arc::clone(&self.clock) as Arc<dyn Clock>), at)
    }

    /// What the bot has said in the chat.
    pub fn answers(&self) -> Vec<MessageView> {
        let chats = self.sim.chats();
        let chat = chats.into_iter().find(|chat| chat.id == self.to.chat.as_str()).expect("the chat");
        chat.messages.into_iter().filter(|message| message.from_bot).collect()
    }

    /// The one answer, which must be final and hold the text.
    pub fn the_answer(&self, text: &str) -> MessageView {
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "{answers:#?}");
        let answer = answers.remove(0);
        assert_eq!(answer.state, Seen::Final, "{answer:#?}");
        assert!(answer.markdown.contains(text), "{answer:#?}");
        answer
    }

    pub async fn prepared(&self) -> CardRef {
        self.bot.prepare(&self.to, &thinking(), &self.key).await.expect("prepared")
    }

    pub async fn started(&self) -> CardRef {
        let mut at = self.prepared().await;
        self.bot.start(&self.to, &thinking(), &mut at).await.expect("started");
        at
    }

    pub async fn update(&self, at: &mut CardRef, text: &str) {
        self.bot.update(&self.to, &streaming(text), at).await.expect("updated");
    }

    pub async fn finish(&self, at: &mut CardRef, text: &str) {
        self.bot.finish(&self.to, &done(text), at).await.expect("finished");
    }

    /// Start, one update, end.
    pub async fn whole_answer(&self) -> CardRef {
        let mut at = self.started().await;
        self.update(&mut at, "Hello").await;
        self.finish(&mut at, "Hello world").await;
        at
    }

    /// What a person says, as the bot receives it.
    pub async fn heard(&self, said: Said) -> Message {
        let id = self.sim.send(said).await.id;
        match self.bot.open(&plain_request(&self.sim.event_of(&id)), UnixMillis(0)) {
            Ok(Inbound::Event(received)) => match received.event.body {
                Body::Message(message) => *message,
                other => panic!("no message: {other:?}"),
            },
            other => panic!("no event: {other:?}"),
        }
    }

    pub fn calls(&self, path: &str) -> usize {
        self.sim.wire().all().iter().filter(|exchange| exchange.path.contains(path)).count()
    }
}

pub fn bot(sim: &FeishuSim, clock: Arc<dyn Clock>) -> Feishu {
    bot_on(sim, clock, Budget::unlimited())
}

pub fn bot_on(sim: &FeishuSim, clock: Arc<dyn Clock>, budget: Arc<Budget>) -> Feishu {
    let theirs = sim.config();
    let mut config = FeishuConfig::new(
        BotId::from("helpdesk"),
        PlatformKind::Feishu,
        theirs.app_id.clone(),
        theirs.app_secret.as_str().into(),
        theirs.verification_token.as_str().into(),
    );
    config.base_url = Some(sim.base_url());
    config.budget = budget;
    config.retry_delay = Duration::from_millis(1);
    Feishu::new(config, client(), clock).expect("complete settings")
}

pub fn card(state: CardState, text: &str) -> Card {
    let button = |action, label: &str| Button {
        action,
        label: label.into(),
        style: ButtonStyle::Default,
        event: EventId::new(),
        argument: String::new(),
    };
    let buttons = match state.is_final() {
        true => vec![button(Action::VoteUp, "👍"), button(Action::VoteDown, "👎")],
        false => vec![button(Action::Stop, "Stop")],
    };
    Card { title: "question".into(), state, text: text.into(), buttons, language: Language::En, ..Card::default() }
}

pub fn thinking() -> Card {
    card(CardState::Thinking, "")
}

pub fn streaming(text: &str) -> Card {
    card(CardState::Streaming, text)
}

pub fn done(text: &str) -> Card {
    card(CardState::Done, text)
}
