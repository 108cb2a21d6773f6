//! What an event only points to: quoted messages, and files.

use futures::TryStreamExt;
use magpie_core::event::{ContentKind, Resource};
use magpie_core::platform::{Platform, SendError};
use magpie_sim::feishu::{Call, Fault, Said, Target};
use magpie_sim::view::SimulatedPlatform;

use crate::scene::Scene;

fn person(scene: &Scene) -> String {
    scene.sim.people()[0].0.clone()
}

#[tokio::test]
async fn quoted_answer_of_the_bot_is_read_and_known_as_its_own() {
    let scene = Scene::new().await;
    let at = scene.whole_answer().await;
    let said = Said::text(scene.to.chat.as_str(), &person(&scene), "why?");
    let answer = at.message.expect("visible");
    let mut message = scene.heard(said.replying_to(answer.as_str())).await;
    assert_eq!(message.quote.as_ref().and_then(|quote| quote.text.clone()), None);
    scene.bot.enrich(&mut message).await.expect("enriched");
    let quote = message.quote.expect("a quote");
    assert_eq!((quote.text.as_deref(), quote.from_bot), (Some("Hello world"), true));
}

#[tokio::test]
async fn quoted_message_of_a_person_is_read() {
    let scene = Scene::new().await;
    let question = scene.to.message.clone().expect("a question");
    let said = Said::text(scene.to.chat.as_str(), &person(&scene), "again");
    let mut message = scene.heard(said.replying_to(question.as_str())).await;
    scene.bot.enrich(&mut message).await.expect("enriched");
    let quote = message.quote.expect("a quote");
    assert!(quote.text.as_deref().is_some_and(|text| text.ends_with("question")), "{quote:?}");
    assert!(!quote.from_bot);
}

#[tokio::test]
async fn quote_that_can_not_be_read_leaves_the_message_as_it_was() {
    let faults =
        [Fault::NoScope, Fault::ServerError(502), Fault::Refused { status: 400, code: 230_002 }, Fault::Dropped];
    for fault in faults {
        let scene = Scene::new().await;
        let question = scene.to.message.clone().expect("a question");
        let said = Said::text(scene.to.chat.as_str(), &person(&scene), "again");
        let mut message = scene.heard(said.replying_to(question.as_str())).await;
        let before = message.clone();
        scene.sim.faults().always(Target::Only(Call::ReadMessage), fault);
        scene.bot.enrich(&mut message).await.expect("enriched");
        assert_eq!(message, before);
    }
}

#[tokio::test]
async fn message_without_quote_asks_for_nothing() {
    let scene = Scene::new().await;
    let mut message = scene.heard(Said::text(scene.to.chat.as_str(), &person(&scene), "hi")).await;
    let calls = scene.sim.wire().all().len();
    scene.bot.enrich(&mut message).await.expect("enriched");
    assert_eq!(scene.sim.wire().all().len(), calls);
}

#[tokio::test]
async fn attached_files_are_downloaded() {
    let scene = Scene::new().await;
    let chat = scene.to.chat.as_str();
    let bytes: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    for said in
        [Said::file(chat, &person(&scene), "a.pdf", bytes.clone()), Said::image(chat, &person(&scene), bytes.clone())]
    {
        let message = scene.heard(said).await;
        let resource = &message.content.resources[0];
        scene.sim.faults().once(Target::Only(Call::Download), Fault::TokenInvalid { status: 400 });
        let download = scene.bot.fetch(&message, resource).await.expect("begun");
        assert!(!download.media_type.is_empty());
        assert_eq!(download.bytes, Some(200_000));
        let chunks: Vec<_> = download.stream.try_collect().await.expect("read to the end");
        assert_eq!(chunks.concat(), bytes);
    }
}

#[tokio::test]
async fn files_that_can_not_be_had_are_told_by_what_can_be_done() {
    let scene = Scene::new().await;
    let message = scene.heard(Said::file(scene.to.chat.as_str(), &person(&scene), "a.pdf", "x")).await;
    let resource = message.content.resources[0].clone();
    let refused = |code| Fault::Refused { status: 400, code };
    let expected = [
        (refused(234_037), "content_rejected"),
        (refused(234_004), "target_gone"),
        (Fault::NoScope, "platform_refused"),
        (Fault::RateLimited { reset_s: 30 }, "platform_unavailable"),
    ];
    for (fault, name) in expected {
        scene.sim.faults().once(Target::Only(Call::Download), fault);
        let failed = scene.bot.fetch(&message, &resource).await.map(|_| ()).expect_err("must fail");
        assert_eq!(failed.name(), name);
    }
    let calls = scene.sim.wire().all().len();
    let sticker = Resource { kind: ContentKind::Sticker, ..resource.clone() };
    let odd = Resource { key: "../../x".into(), ..resource };
    for resource in [sticker, odd] {
        let failed = scene.bot.fetch(&message, &resource).await.map(|_| ());
        assert!(matches!(failed, Err(SendError::Content { .. })), "{failed:?}");
    }
    assert_eq!(scene.sim.wire().all().len(), calls, "nothing is asked");
}
