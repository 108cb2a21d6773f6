//! Files that people send, and what the bot hears of voices and pictures.

use bytes::Bytes;
use futures::StreamExt as _;
use magpie_core::event::{ContentKind, Message};
use magpie_core::platform::{Platform as _, SendError};
use magpie_sim::dingtalk::{Api, Content, Fault, Quote, RichPart, Said, Target, Times};

use crate::sim::{Asker, Scene};

async fn sent(scene: &Scene, content: Content) -> Message {
    let chat = scene.to.chat.as_str();
    scene.hear(Said { content, ..Said::text(chat, "u1", "") }).await
}

async fn whole(scene: &Scene, message: &Message, number: usize) -> Result<(String, Option<u64>, Vec<u8>), SendError> {
    let download = scene.bot.fetch(message, &message.content.resources[number]).await?;
    let pieces: Vec<Bytes> = download.stream.map(Result::unwrap).collect().await;
    Ok((download.media_type, download.bytes, pieces.concat()))
}

#[tokio::test]
async fn a_file_is_read_to_its_last_byte() {
    let scene = Scene::new(Asker::MemberAlone).await;
    let bytes = Bytes::from(vec![7_u8; 300_000]);
    let message = sent(&scene, Content::File { name: "表.csv".to_owned(), bytes: bytes.clone() }).await;
    assert_eq!(message.content.resources[0].name.as_deref(), Some("表.csv"));
    let (media_type, length, read) = whole(&scene, &message, 0).await.unwrap();
    assert!(!media_type.is_empty() && !media_type.contains(';'), "{media_type}");
    assert_eq!((length, read), (Some(300_000), bytes.to_vec()));
}

#[tokio::test]
async fn rich_text_is_text_with_its_pictures() {
    let scene = Scene::new(Asker::MemberAlone).await;
    let picture = Bytes::from_static(b"png");
    let parts =
        vec![RichPart::Text("看".to_owned()), RichPart::Picture(picture), RichPart::Text("这是什么？".to_owned())];
    let message = sent(&scene, Content::RichText(parts)).await;
    assert_eq!((message.text.as_str(), message.content.resources.len()), ("看这是什么？", 1));
    assert_eq!(message.content.resources[0].kind, ContentKind::Image);
    assert_eq!(whole(&scene, &message, 0).await.unwrap().2, b"png");
}

#[tokio::test]
async fn what_the_platform_heard_is_what_was_said() {
    let scene = Scene::new(Asker::MemberAlone).await;
    let content = Content::Audio { recognition: "明天放假吗".to_owned(), bytes: Bytes::from_static(b"amr") };
    let message = sent(&scene, content).await;
    assert_eq!((message.text.as_str(), message.content.kind.clone()), ("明天放假吗", ContentKind::Audio));
}

#[tokio::test]
async fn a_quote_brings_its_text_and_author_along() {
    let scene = Scene::new(Asker::MemberAlone).await;
    let chat = scene.to.chat.as_str();
    let first = scene.hear(Said::text(chat, "u1", "本月新增 12,408")).await;
    let quoting = Said { quote: Some(Quote::Full(first.id.0.clone())), ..Said::text(chat, "u1", "对吗？") };
    let mut message = scene.hear(quoting).await;
    scene.bot.enrich(&mut message).await.unwrap();
    let quote = message.quote.unwrap();
    assert_eq!((quote.text.as_deref(), quote.from_bot), (Some("本月新增 12,408"), false));
}

#[tokio::test]
async fn trouble_on_the_way_is_told_apart() {
    let scene = Scene::new(Asker::MemberAlone).await;
    let file = Content::File { name: "a.txt".to_owned(), bytes: Bytes::from_static(b"x") };
    let mut message = sent(&scene, file).await;
    for fault in [Fault::RateLimited, Fault::TokenInvalid, Fault::ServerError, Fault::Disconnect] {
        scene.sim.faults().inject(Target::Api(Api::FileDownload), fault, Times::Next(1));
        assert_eq!(whole(&scene, &message, 0).await.unwrap().2, b"x");
    }
    scene.sim.faults().inject(Target::Api(Api::FileDownload), Fault::ServerError, Times::Next(3));
    let busy = whole(&scene, &message, 0).await.unwrap_err();
    assert!(matches!(busy, SendError::Retry { .. }), "{busy}");
    message.content.resources[0].key = "expired".to_owned();
    let gone = whole(&scene, &message, 0).await.unwrap_err();
    assert!(matches!(gone, SendError::Gone { .. }), "{gone}");
}

#[tokio::test]
async fn an_address_of_an_inner_network_is_not_called() {
    let scene = Scene::with(Asker::MemberAlone, Default::default(), |config| config.webhook_hosts.clear()).await;
    let file = Content::File { name: "a.txt".to_owned(), bytes: Bytes::from_static(b"x") };
    let message = sent(&scene, file).await;
    let error = whole(&scene, &message, 0).await.unwrap_err();
    assert!(error.to_string().contains("address_not_allowed"), "{error}");
}
