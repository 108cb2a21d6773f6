use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use futures::{StreamExt, stream};
use proptest::prelude::*;
use serde_json::Value;
use tokio::time::Instant;

use super::*;
use crate::budget::{BudgetSettings, CallClass};
use crate::card::{CardState, Language};
use crate::clock::UnixMillis;
use crate::engine::{Backlog, Choice, Completion, Delta, EngineError, EngineInfo, EngineKind, Finish};
use crate::event::{Message, PlatformKind, Resource, tests::message};
use crate::ids::{CardId, ConversationId, EventId, MessageId, ScopeKey};
use crate::platform::{
    AckBody, CardRef, Download, Health, Inbound, Limits, RawRequest, Received, Target, Toast, WebhookError,
};
use crate::store::{
    Admission, Allowance, Answer, Conversation, ErrorRow, Listening, Opening, Overheard, Question, StoredEvent,
    StoredMessage, StoredVersion, Summary, Topic, Topics, VersionChoice, Versions, Vote,
};
use crate::testkit::meter::MemoryMeter;

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_000_000)
    }
}

/// What reached the platform.
pub(crate) struct Chat {
    /// The sequence number and the text of each call.
    shown: Mutex<Vec<(&'static str, u64, String)>>,
    /// The notice of each call.
    pub(crate) notices: Mutex<Vec<Option<String>>>,
    /// What its calls draw on, if they draw on anything.
    budget: Option<Arc<Budget>>,
    /// When calls left, by class.
    left: Mutex<Vec<(CallClass, Instant)>>,
    in_flight: AtomicUsize,
    overlapped: AtomicUsize,
    /// Answers of the coming updates, last first; then all succeed.
    failures: Mutex<Vec<SendError>>,
    latency: Duration,
    limits: Limits,
}

fn limits() -> Limits {
    Limits {
        ack_deadline: Duration::from_secs(3),
        min_update_interval: Duration::from_millis(100),
        max_silence: Duration::from_secs(480),
        max_card_bytes: 20_000,
    }
}

impl Default for Chat {
    fn default() -> Self {
        Self {
            shown: Mutex::default(),
            notices: Mutex::default(),
            budget: None,
            left: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            overlapped: AtomicUsize::new(0),
            failures: Mutex::default(),
            latency: Duration::ZERO,
            limits: limits(),
        }
    }
}

impl Chat {
    /// Asks for the calls that a platform makes, the most that either of ours does.
    async fn draw(&self, what: &str) {
        let Some(budget) = &self.budget else { return };
        let classes = match what {
            "start" => &[CallClass::Cards, CallClass::Messages][..],
            "update" => &[CallClass::Streaming],
            _ => &[CallClass::Streaming, CallClass::Cards, CallClass::Cards],
        };
        for class in classes {
            budget.permit(*class).await;
            self.left.lock().unwrap().push((*class, Instant::now()));
        }
    }

    fn call<'a>(
        &'a self,
        what: &'static str,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        async move {
            self.draw(what).await;
            if self.in_flight.fetch_add(1, Ordering::SeqCst) > 0 {
                self.overlapped.fetch_add(1, Ordering::SeqCst);
            }
            let sequence = at.next_sequence();
            tokio::time::sleep(self.latency).await;
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            if what != "start"
                && let Some(failure) = self.failures.lock().unwrap().pop()
            {
                return Err(failure);
            }
            self.shown.lock().unwrap().push((what, sequence, card.text.clone()));
            self.notices.lock().unwrap().push(card.notice.clone());
            Ok(())
        }
        .boxed()
    }
}

impl Platform for Chat {
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
        let at = CardRef {
            key: key.clone(),
            message: None,
            card: None,
            sequence: 0,
            created_at: UnixMillis(0),
            form: Value::Null,
        };
        ready(Ok(at)).boxed()
    }
    fn start<'a>(&'a self, _: &'a ReplyTo, c: &'a Card, at: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        self.call("start", c, at)
    }
    fn update<'a>(&'a self, _: &'a ReplyTo, c: &'a Card, at: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        self.call("update", c, at)
    }
    fn finish<'a>(&'a self, _: &'a ReplyTo, c: &'a Card, at: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        self.call("finish", c, at)
    }
    fn revise<'a>(&'a self, _: &'a ReplyTo, c: &'a Card, at: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        self.call("revise", c, at)
    }
    fn reopen<'a>(&'a self, _: &'a ReplyTo, c: &'a Card, at: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        self.call("reopen", c, at)
    }
    fn enrich<'a>(&'a self, _: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        ready(Ok(())).boxed()
    }
    fn fetch<'a>(&'a self, _: &'a Message, _: &'a Resource) -> BoxFuture<'a, Result<Download, SendError>> {
        ready(Err(SendError::Protocol { call: "fetch", code: "not used here".into() })).boxed()
    }
    fn address(&self, _: &Target) -> ReplyTo {
        message("hi").reply_to
    }
    fn health(&self) -> Health {
        Health::Ok
    }
}

/// Keeps the one delivery and forgets everything else; answering a message needs no more of the store.
#[derive(Default)]
pub(crate) struct Shelf {
    delivery: Mutex<Option<Delivery>>,
}

fn unused<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, StoreError>> {
    ready(Err(StoreError::Bug { doing: "something an answer does not need", source: "unused".into() })).boxed()
}

impl Store for Shelf {
    fn delivery<'a>(&'a self, _: EventId, _: &'a str) -> BoxFuture<'a, Result<Option<Delivery>, StoreError>> {
        ready(Ok(self.delivery.lock().unwrap().clone())).boxed()
    }
    fn save_delivery<'a>(&'a self, _: Fence, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), StoreError>> {
        *self.delivery.lock().unwrap() = Some(delivery.clone());
        ready(Ok(())).boxed()
    }
    fn open_conversation(&self, _: Fence, _: Opening) -> BoxFuture<'_, Result<Conversation, StoreError>> {
        ready(Ok(Conversation { id: ConversationId::new(), created_at: UnixMillis(0) })).boxed()
    }
    fn end_conversation<'a>(&'a self, _: &'a BotId, _: &'a ScopeKey) -> BoxFuture<'a, Result<bool, StoreError>> {
        unused()
    }
    fn history(&self, _: ConversationId, _: EventId, _: u32) -> BoxFuture<'_, Result<Vec<StoredMessage>, StoreError>> {
        ready(Ok(Vec::new())).boxed()
    }
    fn add_question(&self, _: Fence, _: Question) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(Ok(())).boxed()
    }
    fn delivery_of_card<'a>(
        &'a self,
        _: &'a BotId,
        _: Option<&'a MessageId>,
        _: Option<&'a CardId>,
    ) -> BoxFuture<'a, Result<Option<Delivery>, StoreError>> {
        unused()
    }
    fn revise_delivery<'a>(&'a self, _: Fence, _: &'a Delivery, _: u64) -> BoxFuture<'a, Result<bool, StoreError>> {
        unused()
    }
    fn record_answer<'a>(&'a self, fence: Fence, answer: &'a Answer) -> BoxFuture<'a, Result<(), StoreError>> {
        self.save_delivery(fence, &answer.delivery)
    }
    fn complete<'a>(
        &'a self,
        fence: Fence,
        delivery: &'a Delivery,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.save_delivery(fence, delivery)
    }
    fn vote<'a>(&'a self, _: &'a Vote) -> BoxFuture<'a, Result<bool, StoreError>> {
        unused()
    }
    fn log_error<'a>(&'a self, _: &'a ErrorRow) -> BoxFuture<'a, Result<(), StoreError>> {
        unused()
    }
    fn event(&self, _: EventId) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>> {
        unused()
    }
    fn setting<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        unused()
    }
    fn set_setting_once<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<String, StoreError>> {
        unused()
    }
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        unused()
    }
    fn tidy(&self, _: Duration, _: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        unused()
    }
}

impl Topics for Shelf {
    fn topics<'a>(&'a self, _: &'a BotId, _: &'a ScopeKey, _: u32) -> BoxFuture<'a, Result<Vec<Topic>, StoreError>> {
        unused()
    }
    fn resume<'a>(
        &'a self,
        _: &'a BotId,
        _: &'a ScopeKey,
        _: ConversationId,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        unused()
    }
    fn summary(&self, _: ConversationId) -> BoxFuture<'_, Result<Option<Summary>, StoreError>> {
        ready(Ok(None)).boxed()
    }
    fn save_summary<'a>(
        &'a self,
        _: Fence,
        _: ConversationId,
        _: &'a Summary,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        unused()
    }
    fn overheard<'a>(&'a self, _: &'a Listening) -> BoxFuture<'a, Result<Vec<Overheard>, StoreError>> {
        ready(Ok(Vec::new())).boxed()
    }
    fn choice<'a>(&'a self, _: &'a BotId, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        ready(Ok(None)).boxed()
    }
    fn choose<'a>(
        &'a self,
        _: &'a BotId,
        _: &'a str,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        unused()
    }
    fn admit<'a>(&'a self, _: Fence, _: &'a Allowance) -> BoxFuture<'a, Result<Admission, StoreError>> {
        ready(Ok(Admission::Allowed)).boxed()
    }
}

impl Versions for Shelf {
    fn versions(&self, _: EventId) -> BoxFuture<'_, Result<Vec<StoredVersion>, StoreError>> {
        ready(Ok(Vec::new())).boxed()
    }
    fn record_version<'a>(&'a self, _: Fence, _: EventId, _: &'a Answer) -> BoxFuture<'a, Result<u32, StoreError>> {
        unused()
    }
    fn choose_version<'a>(
        &'a self,
        _: Fence,
        _: VersionChoice,
        _: &'a Delivery,
        _: u64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        unused()
    }
}

fn desk(chat: &Arc<Chat>, shelf: &Arc<Shelf>) -> Desk {
    Desk {
        platform: chat.clone(),
        store: shelf.clone(),
        clock: Arc::new(StoppedClock),
        bot: "it".into(),
        fence: Fence { event: EventId(uuid::Uuid::nil()), attempt: 1 },
        event: EventId(uuid::Uuid::nil()),
        to: message("hi").reply_to,
        budget: Budget::unlimited(),
    }
}

const PACE: Pace = Pace { interval: Duration::from_millis(400), max_silence: Duration::from_secs(480) };

fn done() -> Delta {
    Delta::Done(Completion { prompt_tokens: 3, completion_tokens: 5, finish: Finish::Stop })
}

/// Streams `pieces`, each after its pause, and gives what was shown.
async fn play(chat: Arc<Chat>, pieces: Vec<(Duration, Delta)>) -> (Arc<Chat>, Result<End, ReplyError>, Draft) {
    let shelf = Arc::new(Shelf::default());
    let mut draft = Draft::new(EventId(uuid::Uuid::nil()), "why?", Language::En);
    let mut reply = Reply::begin(desk(&chat, &shelf), &draft.opening_card()).await.unwrap();
    let deltas = stream::iter(pieces).then(|(pause, delta)| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, EngineError>(delta)
    });
    let end = reply.stream(deltas.boxed(), &mut draft, PACE).await;
    if end.is_ok() {
        reply.end_with(draft.final_card(CardState::Done, None));
        reply.finish().await.unwrap();
    }
    (chat, end, draft)
}

fn words(count: usize, pause: Duration) -> Vec<(Duration, Delta)> {
    (0..count).map(|n| (pause, Delta::Text(format!("w{n} ")))).chain([(Duration::ZERO, done())]).collect()
}

#[tokio::test(start_paused = true)]
async fn updates_keep_their_pace_and_the_last_text_arrives() {
    let (chat, end, draft) = play(Arc::default(), words(100, Duration::from_millis(50))).await;
    assert!(matches!(end, Ok(End::Answered(_))));
    let shown = chat.shown.lock().unwrap();
    // Five seconds of text at one update in 400 ms, beside start and finish.
    assert!((11..=15).contains(&shown.len()), "{} calls", shown.len());
    assert_eq!(shown.last().unwrap().0, "finish");
    assert_eq!(shown.last().unwrap().2, draft.text());
    assert!(draft.text().ends_with("w99"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_platform_gets_fewer_updates_never_two_at_once() {
    let chat = Arc::new(Chat { latency: Duration::from_secs(2), ..Chat::default() });
    let (chat, _, _) = play(chat, words(100, Duration::from_millis(50))).await;
    assert_eq!(chat.overlapped.load(Ordering::SeqCst), 0);
    assert!(chat.shown.lock().unwrap().len() <= 6);
}

#[tokio::test(start_paused = true)]
async fn an_update_refused_for_now_is_followed_by_a_later_one() {
    let retry =
        || SendError::Retry { call: "update", code: "429".into(), after: Some(Duration::from_secs(1)), source: None };
    let chat = Arc::new(Chat { failures: Mutex::new(vec![retry(), retry()]), ..Chat::default() });
    let (chat, end, _) = play(chat, words(200, Duration::from_millis(50))).await;
    assert!(end.is_ok());
    let updates = chat.shown.lock().unwrap().iter().filter(|call| call.0 == "update").count();
    assert!(updates >= 15, "{updates}");
}

#[tokio::test(start_paused = true)]
async fn refused_updates_stop_and_the_end_is_still_shown() {
    let refused = SendError::Refused { call: "update", code: "scope".into(), fix: "grant it".into() };
    let chat = Arc::new(Chat { failures: Mutex::new(vec![refused]), ..Chat::default() });
    let (chat, end, draft) = play(chat, words(100, Duration::from_millis(50))).await;
    assert!(end.is_ok());
    let shown = chat.shown.lock().unwrap();
    assert_eq!(shown.iter().map(|call| call.0).collect::<Vec<_>>(), ["start", "finish"]);
    assert_eq!(shown[1].2, draft.text());
}

#[tokio::test(start_paused = true)]
async fn a_card_that_is_gone_ends_the_answer() {
    let gone = SendError::Gone { call: "update", code: "230011".into() };
    let chat = Arc::new(Chat { failures: Mutex::new(vec![gone]), ..Chat::default() });
    let (_, end, _) = play(chat, words(100, Duration::from_millis(50))).await;
    assert!(matches!(end, Err(ReplyError::Send(SendError::Gone { .. }))));
}

#[tokio::test(start_paused = true)]
async fn a_silent_answer_is_touched_before_the_platform_closes_it() {
    let pieces = vec![
        (Duration::ZERO, Delta::Text("a".into())),
        (Duration::from_secs(1_000), Delta::Text("b".into())),
        (Duration::ZERO, done()),
    ];
    let (chat, _, _) = play(Arc::default(), pieces).await;
    let shown = chat.shown.lock().unwrap();
    let of_a = shown.iter().filter(|call| call.0 == "update" && call.2 == "a").count();
    assert_eq!(of_a, 3, "once at first, then every 480 s: {shown:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_replaces_the_text_in_the_same_card() {
    let pieces = vec![
        (Duration::from_secs(1), Delta::Text("half an ans".into())),
        (Duration::from_secs(1), Delta::Restart),
        (Duration::from_secs(1), Delta::Text("whole".into())),
        (Duration::ZERO, done()),
    ];
    let (chat, _, draft) = play(Arc::default(), pieces).await;
    assert_eq!(draft.text(), "whole");
    let shown = chat.shown.lock().unwrap();
    assert_eq!(shown.iter().filter(|call| call.0 == "start").count(), 1);
    assert_eq!(shown.last().unwrap().2, "whole");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_to_wait_is_told_so_until_the_answer_begins() {
    let mut draft = Draft::new(EventId(uuid::Uuid::nil()), "why?", Language::En);
    assert_eq!(draft.opening_card().notice, None);
    let wait = Some(Duration::from_secs(20));
    draft.stand_behind(Backlog { running: 4, waiting: 3, expected_wait: wait });
    let told = Some("3 questions before yours; about 20 s to wait.".to_owned());
    assert_eq!((draft.opening_card().notice, draft.running_card().notice), (told.clone(), told));
    assert_eq!(draft.final_card(CardState::Failed, None).notice, None);

    let engine = EngineInfo {
        name: "local".into(),
        kind: EngineKind::Local,
        model: "m".into(),
        context_tokens: None,
        vision: false,
    };
    draft.apply(Delta::Engine(Choice { engine, fallback: None }));
    draft.apply(Delta::Text("because".into()));
    assert_eq!(draft.running_card().notice, None);
    draft.apply(Delta::Restart);
    assert_eq!(draft.running_card().notice, None, "what was true at the beginning is not any more");
}

#[tokio::test(start_paused = true)]
async fn a_resumed_delivery_goes_on_in_the_same_card_with_higher_numbers() {
    let (chat, shelf) = (Arc::new(Chat::default()), Arc::new(Shelf::default()));
    let draft = Draft::new(EventId(uuid::Uuid::nil()), "why?", Language::En);
    let first = Reply::begin(desk(&chat, &shelf), &draft.opening_card()).await.unwrap();
    let used = first.delivery.card.sequence;
    drop(first);
    let mut second = Reply::begin(desk(&chat, &shelf), &draft.opening_card()).await.unwrap();
    assert!(second.delivery.card.sequence >= used + crate::platform::SEQUENCE_STRIDE);
    second.end_with(draft.final_card(CardState::Done, None));
    second.finish().await.unwrap();
    let calls: Vec<_> = chat.shown.lock().unwrap().iter().map(|call| call.0).collect();
    assert_eq!(calls, ["start", "finish"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_the_platform_refuses_ends_in_a_sentence_that_says_so() {
    let refused = SendError::Content { call: "finish", code: "230022".into() };
    let chat = Arc::new(Chat { failures: Mutex::new(vec![refused]), ..Chat::default() });
    let shelf = Arc::new(Shelf::default());
    let mut draft = Draft::new(EventId(uuid::Uuid::nil()), "why?", Language::En);
    let mut reply = Reply::begin(desk(&chat, &shelf), &draft.opening_card()).await.unwrap();
    draft.apply(Delta::Text("unspeakable".into()));
    reply.end_with(draft.final_card(CardState::Done, None));
    let end = reply.finish().await.unwrap().clone();
    assert_eq!(end.state, DeliveryState::Final);
    assert_eq!(end.final_card.unwrap().state, CardState::Failed);
    assert_eq!(chat.shown.lock().unwrap().last().unwrap().2, "");
}

proptest! {
    #[test]
    fn any_chopping_of_an_answer_gives_the_same_final_card(
        answer in "[a-z一-龥 \n]{0,80}",
        cuts in prop::collection::vec((0_usize..80, 0_u64..900), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.0).collect();
        ends.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        let chars: Vec<char> = answer.chars().collect();
        for (n, to) in ends.into_iter().chain([chars.len()]).enumerate() {
            let to = to.clamp(from, chars.len());
            let pause = cuts.get(n).map_or(0, |cut| cut.1);
            pieces.push((Duration::from_millis(pause), Delta::Text(chars[from..to].iter().collect())));
            from = to;
        }
        pieces.push((Duration::ZERO, done()));
        let (chat, _, draft) = runtime.block_on(play(Arc::default(), pieces));
        prop_assert_eq!(draft.text(), answer.trim_end());
        let shown = chat.shown.lock().unwrap();
        prop_assert_eq!(&shown.last().unwrap().2, answer.trim_end());
        prop_assert!(shown.windows(2).all(|pair| pair[0].1 < pair[1].1), "numbers rise");
        prop_assert_eq!(chat.overlapped.load(Ordering::SeqCst), 0);
    }
}

mod crowd;
