//! A bot with a real store and worker, between a board in place of a platform and scripted engines.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use magpie_core::budget::Budget;
use magpie_core::cancel::CancelToken;
use magpie_core::card::{Button, Card};
use magpie_core::clock::{Clock, SystemClock, UnixMillis};
use magpie_core::engine::{Engine, EngineKind};
use magpie_core::event::{
    Action, Addressed, Body, CardAction, Chat, ChatKind, Content, ContentKind, Event, Lifecycle, Message, PlatformKind,
    Press, ReplyTo, Resource, Route, Sender,
};
use magpie_core::ids::{CardId, EventId, WorkerId};
use magpie_core::inbox::Inbox;
use magpie_core::inbox::worker::{Worker, WorkerSettings};
use magpie_core::intake;
use magpie_core::links::NoLinks;
use magpie_core::platform::{
    AckBody, CardRef, DeliveryKey, Download, Health, Inbound, Limits, Platform, RawRequest, Received, SendError,
    Target, Toast, WebhookError,
};
use magpie_core::router::{Router, RouterSettings};
use magpie_core::settings::{BotSettings, ChatSettings, LanguageChoice, ModelChoice};
use magpie_core::testkit::engine::{ScriptedEngine, Step};
use magpie_core::turn::{Bot, Turn, press};
use magpie_store::{Database, StoreConfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

/// A test that waits longer than this for a card waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// One call that reached the platform.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The event whose delivery it is.
    pub event: EventId,
    pub call: &'static str,
    pub card: Card,
    pub to: ReplyTo,
}

/// A platform that keeps what it is shown.
pub struct Board {
    limits: Limits,
    shown: watch::Sender<Vec<Shown>>,
    /// What was sent can't be changed any more.
    pub fixed: AtomicBool,
    /// Text of what messages quote, by the quoted message's id.
    pub quotes: Mutex<BTreeMap<String, String>>,
}

impl Board {
    fn show<'a>(
        &'a self,
        call: &'static str,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        at.next_sequence();
        let shown = Shown { event: at.key.event, call, card: card.clone(), to: to.clone() };
        self.shown.send_modify(|all| all.push(shown));
        ready(Ok(())).boxed()
    }

    fn change<'a>(
        &'a self,
        call: &'static str,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        if self.fixed.load(Ordering::SeqCst) {
            return ready(Err(SendError::Unchangeable { call })).boxed();
        }
        self.show(call, to, card, at)
    }
}

impl Platform for Board {
    fn kind(&self) -> PlatformKind {
        PlatformKind::Feishu
    }
    fn limits(&self) -> &Limits {
        &self.limits
    }
    fn open(&self, _: &RawRequest, _: UnixMillis) -> Result<Inbound, WebhookError> {
        Err(WebhookError::Malformed("not used here"))
    }
    fn ack(&self, _: &Received, _: Option<&Toast>) -> AckBody {
        AckBody(bytes::Bytes::from_static(b"{}"))
    }
    fn connect(&self) -> BoxFuture<'_, Result<(), SendError>> {
        ready(Ok(())).boxed()
    }
    fn settle<'a>(&'a self, _: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        ready(Ok(())).boxed()
    }
    fn prepare<'a>(
        &'a self,
        _: &'a ReplyTo,
        _: &'a Card,
        key: &'a DeliveryKey,
    ) -> BoxFuture<'a, Result<CardRef, SendError>> {
        let card = Some(CardId(format!("card-{}", key.event)));
        let at = CardRef {
            key: key.clone(),
            message: None,
            card,
            sequence: 0,
            created_at: UnixMillis(0),
            form: Value::Null,
        };
        ready(Ok(at)).boxed()
    }
    fn start<'a>(&'a self, t: &'a ReplyTo, c: &'a Card, at: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        self.show("start", t, c, at)
    }
    fn update<'a>(&'a self, t: &'a ReplyTo, c: &'a Card, at: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        self.show("update", t, c, at)
    }
    fn finish<'a>(&'a self, t: &'a ReplyTo, c: &'a Card, at: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        self.show("finish", t, c, at)
    }
    fn revise<'a>(&'a self, t: &'a ReplyTo, c: &'a Card, at: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        self.change("revise", t, c, at)
    }
    fn reopen<'a>(&'a self, t: &'a ReplyTo, c: &'a Card, at: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        self.change("reopen", t, c, at)
    }
    fn enrich<'a>(&'a self, message: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        if let Some(quote) = &mut message.quote
            && let Some(id) = &quote.message_id
        {
            quote.text = self.quotes.lock().unwrap().get(id.as_str()).cloned();
        }
        ready(Ok(())).boxed()
    }
    fn fetch<'a>(&'a self, _: &'a Message, _: &'a Resource) -> BoxFuture<'a, Result<Download, SendError>> {
        ready(Err(SendError::Protocol { call: "fetch", code: "not used here".to_owned() })).boxed()
    }
    fn address(&self, target: &Target) -> ReplyTo {
        match target {
            Target::Chat(chat) => reply_to(chat.as_str(), ChatKind::Group, None),
            Target::User(user) => reply_to(user.as_str(), ChatKind::Direct, Some(user.as_str())),
        }
    }
    fn health(&self) -> Health {
        Health::Ok
    }
}

fn reply_to(chat: &str, chat_kind: ChatKind, user: Option<&str>) -> ReplyTo {
    ReplyTo {
        chat: chat.into(),
        chat_kind,
        user: user.map(Into::into),
        message: None,
        thread: None,
        route: Route(json!({})),
    }
}

/// A message of `user` in the group `team` that mentions the bot.
pub fn message(user: &str, text: &str) -> Message {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let id = format!("om_{}", NUMBER.fetch_add(1, Ordering::SeqCst));
    let chat = Chat { id: "team".into(), kind: ChatKind::Group, title: None };
    Message {
        id: id.as_str().into(),
        thread: None,
        sender: Sender { id: user.into(), name: Some(user.to_uppercase()), is_bot: false },
        content: Content { kind: ContentKind::Text, resources: Vec::new() },
        text: text.to_owned(),
        mentions: Vec::new(),
        addressed: Addressed::Bot,
        quote: None,
        reply_to: ReplyTo { message: Some(id.as_str().into()), ..reply_to("team", ChatKind::Group, Some(user)) },
        chat,
    }
}

/// A running bot. It ends with the test.
pub struct Hall {
    pub board: Arc<Board>,
    pub engine: Arc<ScriptedEngine>,
    pub other: Arc<ScriptedEngine>,
    pub inbox: Arc<dyn Inbox>,
    pub bot: Arc<Bot>,
    database: Database,
    sql: sqlx::SqlitePool,
    stop: CancelToken,
    _folder: TempDir,
}

impl Hall {
    /// A bot whose engines answer `one` and `two` and so on. The second engine is called `cloud`.
    pub async fn open(chat: ChatSettings) -> Self {
        Self::open_as(|settings| settings.chat = chat).await
    }

    pub async fn open_as(adjust: impl FnOnce(&mut BotSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.db");
        let config = StoreConfig {
            url: format!("sqlite://{}", file.display()),
            max_connections: 4,
            clock: Arc::new(SystemClock),
        };
        let database = Database::connect(&config).await.unwrap();
        database.migrate().await.unwrap();
        let sql = sqlx::SqlitePool::connect(&config.url).await.unwrap();
        let scripts = ["one", "two", "three", "four"].map(|text| vec![Step::text(text), Step::Done]).to_vec();
        let engine = ScriptedEngine::new("local", EngineKind::Local, scripts);
        let other = ScriptedEngine::answering(EngineKind::Cloud, &["from the cloud"]);
        let limits = Limits {
            ack_deadline: Duration::from_secs(3),
            min_update_interval: Duration::from_millis(1),
            max_silence: Duration::from_secs(60),
            max_card_bytes: 10_000,
        };
        let board = Arc::new(Board {
            limits,
            shown: watch::Sender::new(Vec::new()),
            fixed: AtomicBool::new(false),
            quotes: Mutex::default(),
        });
        let mut settings = BotSettings {
            id: "it".into(),
            platform: PlatformKind::Feishu,
            enabled: true,
            system_prompt: "be brief".to_owned(),
            model: ModelChoice::Auto,
            language: LanguageChoice::En,
            chat: ChatSettings::default(),
            groups: BTreeMap::new(),
        };
        adjust(&mut settings);
        let platform: Arc<dyn Platform> = Arc::clone(&board) as Arc<dyn Platform>;
        let bot = Arc::new(Bot { settings, platform, budget: Budget::unlimited() });
        let engines: Vec<Arc<dyn Engine>> = vec![engine.clone(), other.clone()];
        let (inbox, stop) = (database.inbox(), CancelToken::new());
        let hr = BotSettings { id: "hr".into(), ..bot.settings.clone() };
        let hr = Arc::new(Bot { settings: hr, platform: Arc::clone(&bot.platform), budget: Budget::unlimited() });
        let turn = Turn {
            bots: [&bot, &hr].map(|bot| (bot.settings.id.clone(), Arc::clone(bot))).into(),
            inbox: Arc::clone(&inbox),
            store: database.store(),
            router: Arc::new(Router::new(engines, RouterSettings::default())),
            links: Arc::new(NoLinks),
            attachments: None,
            clock: Arc::new(SystemClock),
        };
        let worker = Worker::new(Arc::clone(&inbox), turn, WorkerId::from("worker"), WorkerSettings::default());
        tokio::spawn(worker.run(stop.clone(), Duration::ZERO));
        Self { board, engine, other, inbox, bot, database, sql, stop, _folder: folder }
    }

    /// A message that mentions the bot.
    pub async fn say(&self, user: &str, text: &str) -> EventId {
        self.send(message(user, text)).await
    }

    pub async fn send(&self, message: Message) -> EventId {
        self.accept(&format!("ev-{}", message.id), Body::Message(Box::new(message))).await
    }

    /// A message to the second bot, `hr`, which lives in the same chats.
    pub async fn send_to_hr(&self, message: Message) -> EventId {
        let settings = BotSettings { id: "hr".into(), ..self.bot.settings.clone() };
        let name = format!("ev-{}", message.id);
        self.accept_for(&settings, &name, Body::Message(Box::new(message))).await
    }

    pub async fn happen(&self, name: &str, lifecycle: Lifecycle) -> EventId {
        self.accept(name, Body::Lifecycle(lifecycle)).await
    }

    async fn accept(&self, name: &str, body: Body) -> EventId {
        self.accept_for(&self.bot.settings, name, body).await
    }

    async fn accept_for(&self, bot: &BotSettings, name: &str, body: Body) -> EventId {
        let event = Event {
            bot: bot.id.clone(),
            platform: PlatformKind::Feishu,
            platform_event_id: name.to_owned(),
            occurred_at: None,
            body,
        };
        let entry = intake::entry(event, bot, SystemClock.now(), None);
        let id = entry.id;
        self.inbox.accept(entry).await.unwrap();
        id
    }

    /// Presses a button of the card that `event`'s delivery shows, and gives the toast.
    pub async fn press(&self, user: &str, event: EventId, button: &Button) -> (EventId, Option<Toast>) {
        self.submit(user, event, button, BTreeMap::new()).await
    }

    /// The same with the fields of a form.
    pub async fn submit(
        &self,
        user: &str,
        event: EventId,
        button: &Button,
        inputs: BTreeMap<String, String>,
    ) -> (EventId, Option<Toast>) {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let press = Press { action: button.action, event: button.event, argument: button.argument.clone() };
        let action = CardAction {
            operator: user.into(),
            chat: None,
            message: None,
            card: Some(CardId(format!("card-{event}"))),
            press: Some(press),
            inputs,
            value: Value::Null,
        };
        let body = Body::Action(Box::new(action));
        let name = format!("press-{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        let event = Event {
            bot: self.bot.settings.id.clone(),
            platform: PlatformKind::Feishu,
            platform_event_id: name.clone(),
            occurred_at: None,
            body: body.clone(),
        };
        let toast = press::toast(self.database.store().as_ref(), &self.bot.settings, &event).await.unwrap();
        (self.accept(&name, body).await, toast)
    }

    /// Waits until `look` finds something in what was shown so far.
    pub async fn until<T>(&self, look: impl Fn(&[Shown]) -> Option<T>) -> T {
        let mut shown = self.board.shown.subscribe();
        let found = async {
            loop {
                if let Some(found) = look(&shown.borrow_and_update()) {
                    return found;
                }
                shown.changed().await.unwrap();
            }
        };
        self.patiently(found).await
    }

    async fn patiently<T>(&self, work: impl Future<Output = T>) -> T {
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(found) => found,
            Err(_) => panic!("it did not happen; shown so far: {:#?}", self.board.shown.borrow()),
        }
    }

    /// The first finished card of an event's delivery.
    pub async fn answer(&self, event: EventId) -> Card {
        self.nth_end(event, 1).await
    }

    /// The card that ended an event's delivery for the `nth` time, from 1.
    pub async fn nth_end(&self, event: EventId, nth: usize) -> Card {
        self.until(|shown| {
            let mut ends = shown.iter().filter(|one| one.event == event && one.call == "finish");
            ends.nth(nth - 1).map(|one| one.card.clone())
        })
        .await
    }

    /// The latest revised card of an event's delivery that `fits`.
    pub async fn revised(&self, event: EventId, fits: impl Fn(&Card) -> bool) -> Card {
        self.until(|shown| {
            let mut revised = shown.iter().rev().filter(|one| one.event == event && one.call == "revise");
            revised.next().map(|one| one.card.clone()).filter(|card| fits(card))
        })
        .await
    }

    /// Every call so far.
    pub fn shown(&self) -> Vec<Shown> {
        self.board.shown.borrow().clone()
    }

    /// Why an event ended, once it has; `None` if it was answered.
    pub async fn reason(&self, event: EventId) -> Option<String> {
        let ended = async {
            loop {
                let row: (String, Option<String>) = sqlx::query_as("SELECT state, reason FROM events WHERE id = $1")
                    .bind(event.to_string())
                    .fetch_one(&self.sql)
                    .await
                    .unwrap();
                if row.0 == "done" || row.0 == "dead" {
                    return row.1;
                }
                self.inbox.wait(Duration::from_millis(50)).await;
            }
        };
        self.patiently(ended).await
    }

    /// The first column of the rows that a query gives, as texts.
    pub async fn rows(&self, query: &'static str) -> Vec<String> {
        sqlx::query_scalar(query).fetch_all(&self.sql).await.unwrap()
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The button of a card that does `action`.
pub fn button(card: &Card, action: Action) -> Button {
    let buttons = card.buttons.iter().chain(&card.questions);
    let found = buttons.clone().find(|button| button.action == action);
    found.cloned().unwrap_or_else(|| panic!("no button for {action:?} on {card:#?}"))
}

/// Commands that a card's buttons run.
pub fn commands(card: &Card) -> Vec<String> {
    let buttons = card.buttons.iter().chain(&card.questions).filter(|button| button.action == Action::Command);
    buttons.map(|button| button.argument.clone()).collect()
}
