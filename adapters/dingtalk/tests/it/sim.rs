//! A bot that sends to a simulated DingTalk.

use std::sync::Arc;
use std::time::Duration;

use magpie_core::card::{Button, ButtonStyle, Card, CardState, Language};
use magpie_core::clock::{Clock, UnixMillis};
use magpie_core::event::{Action, Body, Message, ReplyTo};
use magpie_core::ids::EventId;
use magpie_core::platform::{CardRef, DeliveryKey, Inbound, Platform as _, RawRequest};
use magpie_dingtalk::{DingTalk, DingTalkConfig, Timing};
use magpie_sim::dingtalk::{Api, CardReport, DingTalkConfig as SimConfig, DingTalkSim, Said, SimClock, robot_sign};
use magpie_sim::view::{ChatView, MessageView, SimulatedPlatform as _};

use crate::bot::http;

pub const EVENT: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

/// The service lives by the platform's clock.
pub struct PlatformClock(SimClock);

impl Clock for PlatformClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.now_ms())
    }
}

/// A simulated platform, a bot on it, and a message that waits for an answer.
pub struct Scene {
    pub sim: DingTalkSim,
    pub bot: DingTalk,
    pub to: ReplyTo,
    config: DingTalkConfig,
    secret: String,
}

/// Who asks, and where.
pub enum Asker {
    MemberInGroup,
    MemberAlone,
    OutsiderInGroup,
    OutsiderAlone,
}

impl Scene {
    pub async fn new(asker: Asker) -> Self {
        Self::with(asker, SimConfig::default(), |_| {}).await
    }

    pub async fn with(asker: Asker, sim: SimConfig, adjust: impl FnOnce(&mut DingTalkConfig)) -> Self {
        let (client_id, client_secret) = (sim.client_id.clone(), sim.client_secret.clone());
        let sim = DingTalkSim::start(sim).unwrap();
        let mut config = DingTalkConfig::new("it".into(), client_id, client_secret.as_str());
        config.base_url = Some(sim.base_url());
        config.webhook_hosts = vec!["127.0.0.1".to_owned()];
        config.public_webhook_url = Some("http://127.0.0.1:9/webhook/it".to_owned());
        config.timing = Timing {
            frame_gap: Duration::ZERO,
            update_gap: Duration::ZERO,
            retry_pause: Duration::from_millis(1),
            ..Timing::default()
        };
        adjust(&mut config);
        let bot = bot(&sim, config.clone());
        let to = ask(&sim, &bot, &client_secret, asker).await;
        Self { sim, bot, to, config, secret: client_secret }
    }

    /// The same bot after its process died and came back.
    pub fn restart(&mut self) {
        self.bot = bot(&self.sim, self.config.clone());
    }

    /// Says something to the bot; what the bot makes of it.
    pub async fn hear(&self, said: Said) -> Message {
        hear(&self.sim, &self.bot, &self.secret, said).await
    }

    pub async fn revise(&self, card: &Card, at: &mut CardRef) {
        self.bot.revise(&self.to, card, at).await.unwrap();
    }

    pub async fn reopen(&self, card: &Card, at: &mut CardRef) {
        self.bot.reopen(&self.to, card, at).await.unwrap();
    }

    pub async fn prepare(&self, card: &Card) -> CardRef {
        self.bot.prepare(&self.to, card, &key()).await.unwrap()
    }

    pub async fn start(&self, card: &Card, at: &mut CardRef) {
        self.bot.start(&self.to, card, at).await.unwrap();
    }

    pub async fn update(&self, card: &Card, at: &mut CardRef) {
        self.bot.update(&self.to, card, at).await.unwrap();
    }

    pub async fn finish(&self, card: &Card, at: &mut CardRef) {
        self.bot.finish(&self.to, card, at).await.unwrap();
    }

    /// A whole answer: thinking, two frames, the end.
    pub async fn answer(&self) -> CardRef {
        let mut at = self.prepare(&thinking()).await;
        self.start(&thinking(), &mut at).await;
        self.update(&streaming("一"), &mut at).await;
        self.update(&streaming("一二"), &mut at).await;
        self.update(&streaming("一二三"), &mut at).await;
        self.finish(&done("一二三四"), &mut at).await;
        at
    }

    /// What the bot said in the chat.
    pub fn said(&self) -> Vec<MessageView> {
        chat(&self.sim, &self.to).messages.into_iter().filter(|message| message.from_bot).collect()
    }

    /// The only thing the bot said.
    pub fn only(&self) -> MessageView {
        let mut said = self.said();
        assert_eq!(said.len(), 1, "{said:?}");
        said.remove(0)
    }

    pub fn report(&self, at: &CardRef) -> CardReport {
        self.sim.card_report(at.card.as_ref().unwrap().as_str()).unwrap()
    }

    pub fn calls(&self, api: Api) -> u64 {
        self.sim.calls(api)
    }
}

fn bot(sim: &DingTalkSim, config: DingTalkConfig) -> DingTalk {
    DingTalk::new(config, http(), Arc::new(PlatformClock(sim.clock().clone()))).unwrap()
}

fn chat(sim: &DingTalkSim, to: &ReplyTo) -> ChatView {
    sim.chat(to.chat.as_str()).unwrap()
}

/// Says something to the bot and reads what the platform would push.
async fn ask(sim: &DingTalkSim, bot: &DingTalk, secret: &str, asker: Asker) -> ReplyTo {
    sim.add_outsider("outside1iEiE", "客人");
    sim.add_member("u1", "张三");
    sim.add_group("cidtestgroup==", "测试群", &["u1", "outside1iEiE"]);
    let (chat, person) = match asker {
        Asker::MemberInGroup => ("cidtestgroup==".to_owned(), "u1"),
        Asker::MemberAlone => (sim.direct_chat("u1"), "u1"),
        Asker::OutsiderInGroup => ("cidtestgroup==".to_owned(), "outside1iEiE"),
        Asker::OutsiderAlone => (sim.direct_chat("outside1iEiE"), "outside1iEiE"),
    };
    let said = Said { mention_bot: true, ..Said::text(&chat, person, "你好") };
    hear(sim, bot, secret, said).await.reply_to
}

async fn hear(sim: &DingTalkSim, bot: &DingTalk, secret: &str, said: Said) -> Message {
    let pushed = sim.post(said).await;
    let body = sim.pushed_body(&pushed.id).expect("the message would be pushed");
    let now = UnixMillis(sim.clock().now_ms());
    let time = now.0.to_string();
    let sign = robot_sign(secret, &time);
    let headers = vec![("timestamp".to_owned(), time), ("sign".to_owned(), sign)];
    let raw = RawRequest { headers, body: body.into(), ..RawRequest::default() };
    match bot.open(&raw, now).unwrap() {
        Inbound::Event(received) => match received.event.body {
            Body::Message(message) => *message,
            other => panic!("{other:?}"),
        },
        Inbound::Challenge(_) => panic!("a message is no challenge"),
    }
}

pub fn key() -> DeliveryKey {
    DeliveryKey { event: EVENT.parse().unwrap(), part: "answer".to_owned() }
}

fn card(state: CardState, text: &str) -> Card {
    Card { title: "谁值班？".to_owned(), state, text: text.to_owned(), language: Language::Zh, ..Card::default() }
}

pub fn thinking() -> Card {
    card(CardState::Thinking, "")
}

pub fn streaming(text: &str) -> Card {
    card(CardState::Streaming, text)
}

pub fn done(text: &str) -> Card {
    let event: EventId = EVENT.parse().unwrap();
    let button = Button {
        action: Action::VoteUp,
        label: "👍".to_owned(),
        style: ButtonStyle::Default,
        event,
        argument: String::new(),
    };
    Card { buttons: vec![button], ..card(CardState::Done, text) }
}
