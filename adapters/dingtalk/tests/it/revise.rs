//! Finished cards that change once more, with everything going wrong that can.

use std::time::Duration;

use magpie_core::card::{Card, CardState, Form, Reason, Version};
use magpie_core::platform::{CardRef, Platform as _, SendError};
use magpie_sim::dingtalk::{Api, Ending, Fault, Target, Times};
use magpie_sim::view::CardState as Shown;

use crate::sim::{Asker, EVENT, Scene, done, streaming, thinking};

fn version(number: u32, text: &str) -> Card {
    Card { version: Some(Version { number, of: 2 }), ..done(text) }
}

fn with_form(text: &str) -> Card {
    let reason = Reason { name: "wrong".to_owned(), label: "不正确".to_owned() };
    let form = Form {
        event: EVENT.parse().unwrap(),
        title: "哪里不好？".to_owned(),
        reasons: vec![reason],
        comment: String::new(),
        submit: "提交".to_owned(),
        close: "关闭".to_owned(),
    };
    Card { form: Some(form), ..done(text) }
}

#[tokio::test]
async fn a_finished_card_shows_other_versions_and_a_form() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.answer().await;
    for number in [1, 2, 1] {
        let text = format!("第 {number} 版");
        scene.revise(&version(number, &text), &mut at).await;
        let shown = scene.only();
        assert_eq!((shown.state, shown.markdown), (Shown::Final, text));
        assert_eq!(shown.note, format!("{number}/2"));
    }
    scene.revise(&with_form("一"), &mut at).await;
    let shown = scene.only();
    assert_eq!(shown.markdown, "一\n\n**哪里不好？**");
    let labels: Vec<&str> = shown.buttons.iter().map(|button| button.label.as_str()).collect();
    assert_eq!(labels, ["不正确", "关闭", "👍"]);
    scene.revise(&done("一"), &mut at).await;
    assert_eq!((scene.only().markdown.as_str(), scene.only().buttons.len()), ("一", 1));
    assert_eq!(scene.report(&at).oddities, [] as [String; 0]);
}

#[tokio::test]
async fn a_card_that_was_made_in_one_call_can_be_revised_too() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.prepare(&done("帮助")).await;
    scene.start(&done("帮助"), &mut at).await;
    scene.revise(&done("更多帮助"), &mut at).await;
    assert_eq!(scene.only().markdown, "更多帮助");
}

#[tokio::test]
async fn messages_can_not_be_changed() {
    let scene = Scene::new(Asker::OutsiderAlone).await;
    let mut at = scene.answer().await;
    let revised = scene.bot.revise(&scene.to, &done("二"), &mut at).await.unwrap_err();
    let reopened = scene.bot.reopen(&scene.to, &thinking(), &mut at).await.unwrap_err();
    assert!(matches!(revised, SendError::Unchangeable { .. }) && matches!(reopened, SendError::Unchangeable { .. }));
    assert_eq!(scene.only().markdown, "一二三四");
}

#[tokio::test]
async fn a_new_answer_comes_into_the_same_card_without_frames() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.answer().await;
    let frames = scene.report(&at).frames;
    scene.reopen(&thinking(), &mut at).await;
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Streaming, ""));
    scene.update(&streaming("甲"), &mut at).await;
    scene.update(&streaming("甲乙"), &mut at).await;
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Streaming, "甲乙"));
    scene.finish(&version(2, "甲乙丙"), &mut at).await;
    scene.finish(&version(2, "甲乙丙"), &mut at).await;
    let shown = scene.only();
    assert_eq!((shown.state, shown.markdown.as_str(), shown.buttons.len()), (Shown::Final, "甲乙丙", 1));
    let report = scene.report(&at);
    assert_eq!((report.frames, report.refused, report.concurrency_violations), (frames, 0, 0));
    assert_eq!(report.endings, [Ending::FinalFrame, Ending::FinishedStatus, Ending::FinishedStatus]);
    scene.revise(&version(1, "一二三四"), &mut at).await;
    assert_eq!(scene.only().markdown, "一二三四");
}

#[tokio::test]
async fn what_the_reopened_card_has_no_room_for_goes_on_in_messages() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let long = |mark: &str| (0..6_000).map(|number| format!("{mark}{number}")).collect::<Vec<_>>().join("\n\n");
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    scene.finish(&done(&long("a")), &mut at).await;
    let before = scene.said().len();
    assert!(before > 1);
    scene.reopen(&thinking(), &mut at).await;
    scene.finish(&done(&long("b")), &mut at).await;
    let whole: String = scene.said().iter().map(|message| format!("{}\n", message.markdown)).collect();
    let seen: Vec<&str> = whole.lines().filter(|line| line.starts_with('b')).collect();
    assert_eq!(seen, long("b").lines().filter(|line| !line.is_empty()).collect::<Vec<_>>());
    let after = scene.said().len();
    scene.revise(&done(&long("a")), &mut at).await;
    assert_eq!(scene.said().len(), after, "what was sent as messages stays, and is not sent again");
}

#[tokio::test]
async fn faults_that_pass_lose_nothing() {
    let faults = [
        Fault::RateLimited,
        Fault::TokenInvalid,
        Fault::ServerError,
        Fault::Disconnect,
        Fault::AnswerLost,
        Fault::PunishPage,
        Fault::Slow(Duration::from_millis(20)),
    ];
    for fault in faults {
        let scene = Scene::new(Asker::MemberInGroup).await;
        let mut at = scene.answer().await;
        let strike = || scene.sim.faults().inject(Target::Api(Api::CardUpdate), fault.clone(), Times::Next(1));
        strike();
        scene.revise(&done("改"), &mut at).await;
        assert_eq!(scene.only().markdown, "改", "{fault:?}");
        strike();
        scene.reopen(&thinking(), &mut at).await;
        strike();
        // An update that fails is made good by the next.
        drop(scene.bot.update(&scene.to, &streaming("甲"), &mut at).await);
        scene.update(&streaming("甲乙"), &mut at).await;
        strike();
        scene.finish(&done("甲乙丙"), &mut at).await;
        assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Final, "甲乙丙"), "{fault:?}");
    }
}

#[tokio::test]
async fn an_end_that_fails_for_now_is_made_good_by_another_process() {
    let mut scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.answer().await;
    scene.reopen(&thinking(), &mut at).await;
    scene.update(&streaming("甲"), &mut at).await;
    scene.sim.faults().inject(Target::Api(Api::CardUpdate), Fault::ServerError, Times::Next(3));
    let error = scene.bot.finish(&scene.to, &done("甲乙"), &mut at).await.unwrap_err();
    assert!(matches!(error, SendError::Retry { .. }), "{error}");
    scene.restart();
    at.take_over();
    scene.finish(&done("甲乙"), &mut at).await;
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Final, "甲乙"));
}

#[tokio::test]
async fn a_process_that_died_before_it_saved_reopens_once_more() {
    let mut scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.answer().await;
    let saved = at.clone();
    scene.reopen(&thinking(), &mut at).await;
    scene.update(&streaming("甲"), &mut at).await;
    scene.restart();
    let mut at = saved;
    at.take_over();
    scene.reopen(&thinking(), &mut at).await;
    scene.update(&streaming("乙"), &mut at).await;
    scene.finish(&done("乙丙"), &mut at).await;
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Final, "乙丙"));
}

#[tokio::test]
async fn a_card_that_can_not_be_reopened_stays_as_it_was() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at: CardRef = scene.answer().await;
    let saved = at.clone();
    scene.sim.faults().inject(Target::Cards, Fault::PermissionMissing, Times::Always);
    for error in [
        scene.bot.reopen(&scene.to, &thinking(), &mut at).await.unwrap_err(),
        scene.bot.revise(&scene.to, &done("改"), &mut at).await.unwrap_err(),
    ] {
        assert!(matches!(error, SendError::Unchangeable { .. }), "{error}");
    }
    assert_eq!(at, saved);
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Final, "一二三四"));
}

#[tokio::test]
async fn a_reopened_card_that_can_not_be_ended_leaves_the_answer_in_messages() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.answer().await;
    scene.reopen(&thinking(), &mut at).await;
    scene.sim.faults().inject(Target::Cards, Fault::PermissionMissing, Times::Always);
    scene.finish(&done("甲乙"), &mut at).await;
    scene.finish(&done("甲乙"), &mut at).await;
    let messages: Vec<_> = scene.said().into_iter().filter(|message| !message.card).collect();
    assert_eq!((messages.len(), messages[0].markdown.as_str()), (1, "甲乙"));
}

#[tokio::test]
async fn a_failed_new_answer_says_so_and_the_card_is_closed() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.answer().await;
    scene.reopen(&thinking(), &mut at).await;
    let failed = Card { state: CardState::Failed, notice: Some("模型出错了。".to_owned()), ..done("") };
    scene.finish(&failed, &mut at).await;
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Failed, "模型出错了。"));
}
