//! The playground's calls: each does on the platform what a person did on the page.

use std::sync::Arc;

use actix_web::{App, http::StatusCode, test};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use magpie_sim::dingtalk::{DingTalkConfig, DingTalkSim};
use magpie_sim::feishu::{FeishuConfig, FeishuSim};
use magpie_sim::playground::Playground;
use magpie_sim::view::{CardState, ChatView, MessageView, SimulatedPlatform};
use magpie_sim::wire::WireLog;
use serde_json::{Value, json};

struct Page {
    feishu: FeishuSim,
    dingtalk: DingTalkSim,
}

impl Page {
    fn new() -> Self {
        Self {
            feishu: FeishuSim::start(FeishuConfig::default()).expect("a port"),
            dingtalk: DingTalkSim::start(DingTalkConfig::default()).expect("a port"),
        }
    }

    fn platforms(&self) -> [Arc<dyn SimulatedPlatform>; 2] {
        [Arc::new(self.feishu.clone()), Arc::new(self.dingtalk.clone())]
    }

    /// Status and JSON of a call's answer.
    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let playground = Playground::new(self.platforms().to_vec(), WireLog::default());
        let app = test::init_service(App::new().configure(|config| playground.mount(config))).await;
        let request = test::TestRequest::post().uri(&format!("/playground/{path}")).set_json(body).to_request();
        let response = test::call_service(&app, request).await;
        let status = response.status();
        (status, serde_json::from_slice(&test::read_body(response).await).unwrap_or_default())
    }
}

fn group(platform: &dyn SimulatedPlatform) -> ChatView {
    platform.chats().into_iter().find(|chat| !chat.direct).expect("a group")
}

fn last(platform: &dyn SimulatedPlatform, chat: &str) -> MessageView {
    let chat = platform.chats().into_iter().find(|it| it.id == chat).expect("the chat");
    chat.messages.last().expect("a message").clone()
}

#[actix_web::test]
async fn attachments_and_quotes_go_to_the_platform() {
    let page = Page::new();
    for platform in page.platforms() {
        let (chat, user) = (group(&*platform).id, platform.people()[0].0.clone());
        let said = |text: &str| json!({"platform": platform.name(), "chat": chat, "user": user, "text": text});
        assert_eq!(page.post("say", said("@bot first")).await.0, 200);
        let first = last(&*platform, &chat);
        assert!(first.markdown.starts_with('@') && first.markdown.ends_with(" first"), "{first:?}");
        assert_eq!(first.sender_id, user);

        let mut second = said("");
        second["attachment"] = json!({"kind": "file", "name": "a.csv", "data": STANDARD.encode("x".repeat(3_000_000))});
        second["quote"] = json!(first.id);
        assert_eq!(page.post("say", second).await.0, 200);
        let second = last(&*platform, &chat);
        assert!(second.markdown.contains("a.csv"), "{second:?}");
        assert_eq!(second.reply_to.as_deref(), Some(first.id.as_str()));

        let mut third = said("third");
        third["mention"] = json!(true);
        page.post("say", third).await;
        assert!(last(&*platform, &chat).markdown.starts_with('@'), "mentioned without a word");
        let mut broken = said("");
        broken["attachment"] = json!({"kind": "image", "name": "a.png", "data": "not Base64"});
        assert_eq!(page.post("say", broken).await.0, 400);
    }
    let (status, _) = page.post("say", json!({"platform": "irc", "chat": "c", "user": "u", "text": "t"})).await;
    assert_eq!(status, 404);
}

#[actix_web::test]
async fn own_messages_are_taken_back() {
    let page = Page::new();
    for platform in page.platforms() {
        let (chat, people) = (group(&*platform).id, platform.people());
        page.post("say", json!({"platform": platform.name(), "chat": chat, "user": people[0].0, "text": "oops"})).await;
        let message = last(&*platform, &chat).id;
        for (person, expected) in [(&people[1].0, CardState::Final), (&people[0].0, CardState::Recalled)] {
            page.post("recall", json!({"platform": platform.name(), "message": message, "user": person})).await;
            assert_eq!(last(&*platform, &chat).state, expected);
        }
    }
}

#[actix_web::test]
async fn groups_are_made_and_the_bot_comes_and_goes() {
    let page = Page::new();
    for platform in page.platforms() {
        let user = platform.people()[0].0.clone();
        let new = json!({"platform": platform.name(), "title": "新群", "members": [user]});
        let (status, made) = page.post("group", new).await;
        assert_eq!(status, 200);
        let inside = || {
            let chats = platform.chats();
            chats.iter().find(|chat| made["id"] == chat.id.as_str()).map(|chat| (chat.title.clone(), chat.bot_inside))
        };
        for wanted in [true, false] {
            assert_eq!(inside(), Some(("新群".to_owned(), !wanted)));
            let act = json!({"platform": platform.name(), "chat": made["id"], "user": user, "inside": wanted});
            page.post("bot", act).await;
        }
        assert_eq!(inside(), Some(("新群".to_owned(), false)));
    }
}

#[actix_web::test]
async fn visits_the_menu_and_presses_are_passed_on() {
    let page = Page::new();
    let user = page.feishu.people()[0].0.clone();
    // Nobody listens, but the attempts are in the log.
    page.feishu.set_webhook_url("http://127.0.0.1:1/webhook/bot");
    for (path, body) in [
        ("open", json!({"platform": "feishu", "user": user})),
        ("menu", json!({"platform": "feishu", "user": user, "key": "help"})),
    ] {
        let before = page.feishu.wire().all().len();
        let (status, outcome) = page.post(path, body).await;
        assert_eq!((status, outcome["status"].as_u64()), (StatusCode::OK, Some(0)));
        assert!(page.feishu.wire().all().len() > before, "{path} is pushed");
    }
    let press =
        json!({"platform": "dingtalk", "message": "none", "button": "form", "user": user, "values": {"a": "b"}});
    assert_eq!(page.post("press", press).await.1["status"], 0);
}

#[actix_web::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let page = Page::new();
    let playground = Playground::new(page.platforms().to_vec(), WireLog::default());
    let app = test::init_service(App::new().configure(|config| playground.mount(config))).await;
    for path in ["/", "/playground/app.js", "/playground/message.js", "/playground/style.css"] {
        let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
        assert_eq!(response.status(), 200, "{path}");
        let policy = response.headers().get("content-security-policy").expect("a policy").to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let body = test::read_body(response).await;
        let text = String::from_utf8_lossy(&body);
        assert!(!text.contains("http://") && !text.contains("https://"), "{path} names another origin");
    }
}
