//! Files, pictures and recordings of people, and quotes of them.

use magpie_sim::dingtalk::{Content, DingTalkSim, Quote, RichPart, Said};
use magpie_sim::view::{Attachment, AttachmentKind, SimulatedPlatform, Speech, Utterance};
use serde_json::{Value, json};

use crate::support::{Caller, GROUP, Got, Service, ZHANG, code, start};

fn ok(_: usize, _: &Got) -> (u16, String) {
    (200, "{}".to_owned())
}

fn listening() -> (DingTalkSim, Service) {
    let (sim, service) = (start(), Service::start(ok));
    sim.set_webhook_url(Some(service.url.clone()));
    (sim, service)
}

async fn download(bot: &Caller, code: &Value) -> Vec<u8> {
    let ask = json!({"robotCode": "dingsimmagpie0001", "downloadCode": code});
    let (status, answer) = bot.post("/v1.0/robot/messageFiles/download", &ask).await;
    assert_eq!(status, 200, "{answer}");
    let url = answer["downloadUrl"].as_str().expect("an address");
    bot.http.get(url).send().await.expect("an answer").bytes().await.expect("bytes").to_vec()
}

#[tokio::test]
async fn attachments_are_downloaded_by_their_codes() {
    let (sim, service) = listening();
    let bot = Caller::new(&sim).await;
    let chat = sim.direct_chat(ZHANG);
    let kinds = [
        (AttachmentKind::File, "", "file", "/downloadCode"),
        (AttachmentKind::Voice, "你好", "audio", "/downloadCode"),
        (AttachmentKind::Image, "", "picture", "/downloadCode"),
        (AttachmentKind::Image, "这是什么", "richText", "/richText/1/downloadCode"),
    ];
    for (number, (kind, text, msgtype, pointer)) in kinds.into_iter().enumerate() {
        let attachment = Attachment { kind, name: "报告.csv".into(), bytes: b"a,b".as_slice().into() };
        let said = Utterance { chat: chat.clone(), user: ZHANG.into(), text: text.into(), mention_bot: false };
        let pushed = sim.speak(Speech { attachment: Some(attachment), ..said.into() }).await;
        assert_eq!(pushed.status, 200);
        let body = service.pushes(number + 1).await[number].json();
        assert_eq!(body["msgtype"], msgtype);
        let code = body["content"].pointer(pointer).unwrap_or_else(|| panic!("{body}"));
        assert_eq!(download(&bot, code).await, b"a,b");
        if kind == AttachmentKind::Voice {
            assert_eq!(body["content"]["recognition"], "你好");
        }
    }
    let unknown = json!({"robotCode": "dingsimmagpie0001", "downloadCode": "none"});
    let (status, answer) = bot.post("/v1.0/robot/messageFiles/download", &unknown).await;
    assert_eq!((status, code(&answer)), (400, "invalidParameter.downloadCode"));
}

#[tokio::test]
async fn files_and_recordings_in_groups_do_not_reach_the_robot() {
    let (sim, _service) = listening();
    for content in [
        Content::File { name: "a.txt".into(), bytes: b"x".as_slice().into() },
        Content::Audio { recognition: "x".into(), bytes: b"x".as_slice().into() },
    ] {
        assert_eq!(sim.post(Said { content, ..Said::text(GROUP, ZHANG, "") }).await.status, 0);
    }
    let content = Content::Picture(b"x".as_slice().into());
    assert_eq!(sim.post(Said { content, ..Said::text(GROUP, ZHANG, "") }).await.status, 200);
}

/// Sends `content`, quotes it, and gives what the quote repeats.
async fn quoted(chat: &str, content: Content) -> Value {
    let (sim, service) = listening();
    let bot = Caller::new(&sim).await;
    let first = sim.post(Said { content, mention_bot: false, ..Said::text(chat, ZHANG, "") }).await;
    let quote = Some(Quote::Full(first.id.clone()));
    sim.post(Said { quote, ..Said::text(chat, ZHANG, "这个呢") }).await;
    let got = service.got.lock().expect("no panic while held").last().expect("a push").json();
    assert_eq!((&got["originalMsgId"], &got["text"]["isReplyMsg"]), (&json!(first.id), &json!(true)));
    let replied = got["text"]["repliedMsg"].clone();
    assert_eq!(replied["senderId"], got["senderId"]);
    if let Some(code) = replied["content"].get("downloadCode") {
        assert_eq!(download(&bot, code).await, b"bytes");
    }
    replied
}

#[tokio::test]
async fn a_quote_repeats_what_the_platform_gives_for_its_kind() {
    let bytes = || bytes::Bytes::from_static(b"bytes");
    let text = quoted(GROUP, Content::Text("原话".into())).await;
    assert_eq!((&text["msgType"], &text["content"]), (&json!("text"), &json!({"text": "原话"})));
    assert_eq!(quoted(GROUP, Content::Picture(bytes())).await["msgType"], "picture");
    let rich = Content::RichText(vec![RichPart::Text("看".into()), RichPart::Picture(bytes())]);
    let rich = quoted(GROUP, rich).await;
    assert_eq!(rich["content"]["richText"][0], json!({"msgType": "text", "content": "看"}));
    assert_eq!(rich["content"]["richText"][1]["msgType"], "picture");
    let file = || Content::File { name: "a.txt".into(), bytes: bytes() };
    assert_eq!(quoted(GROUP, file()).await["msgType"], "unknownMsgType");
    let direct = quoted("cidSimDirect01486223571234567==", file()).await;
    assert_eq!((&direct["msgType"], &direct["content"]["fileName"]), (&json!("file"), &json!("a.txt")));
}
