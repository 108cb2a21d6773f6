//! Answers on their way to a simulated platform, in every form, with everything going wrong that can.

use std::sync::Arc;
use std::time::Duration;

use magpie_core::budget::Budget;
use magpie_core::card::{Card, CardState, Language};
use magpie_core::clock::UnixMillis;
use magpie_core::event::{Action, Body, Press};
use magpie_core::platform::{CardRef, Health, Inbound, Platform as _, RawRequest, SendError, Toast};
use magpie_dingtalk::Secret;
use magpie_sim::dingtalk::{Api, DingTalkConfig as SimConfig, Ending, Fault, Target, Times, card_sign};
use magpie_sim::view::CardState as Shown;
use serde_json::{Value, json};

use crate::sim::{Asker, EVENT, Scene, done, key, streaming, thinking};

#[tokio::test]
async fn an_answer_streams_into_one_card_and_ends_with_buttons() {
    for asker in [Asker::MemberInGroup, Asker::MemberAlone, Asker::OutsiderInGroup] {
        let scene = Scene::new(asker).await;
        let at = scene.answer().await;
        let shown = scene.only();
        assert_eq!((shown.card, shown.state, shown.markdown.as_str()), (true, Shown::Final, "一二三四"));
        assert_eq!((shown.title.as_str(), shown.buttons.len()), ("谁值班？", 1));
        let report = scene.report(&at);
        assert_eq!(report.oddities, [] as [String; 0]);
        assert_eq!((report.refused, report.frames, report.concurrency_violations), (0, 3, 0));
        assert_eq!(report.endings, [Ending::FinalFrame, Ending::FinishedStatus]);
        assert_eq!(scene.calls(Api::Token), 1);
        assert!(at.message.is_some(), "the key that quotes name is kept");
    }
}

#[tokio::test]
async fn a_finished_notice_takes_one_call() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.prepare(&done("帮助")).await;
    assert_eq!(scene.sim.monthly_api_calls(), 0, "preparing calls nobody");
    scene.start(&done("帮助"), &mut at).await;
    scene.finish(&done("帮助"), &mut at).await;
    let shown = scene.only();
    assert_eq!((shown.state, shown.markdown.as_str(), shown.buttons.len()), (Shown::Final, "帮助", 1));
    assert_eq!(scene.sim.monthly_api_calls(), 1);
}

#[tokio::test]
async fn an_answer_without_frames_takes_two_calls_that_count() {
    let budget = Budget::unlimited();
    let its = Arc::clone(&budget);
    let scene = Scene::with(Asker::MemberInGroup, SimConfig::default(), |config| config.budget = its).await;
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    scene.finish(&done("一二三四"), &mut at).await;
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Final, "一二三四"));
    assert_eq!((scene.sim.monthly_api_calls(), budget.spent().calls), (2, 2), "we count as the platform does");
}

#[tokio::test]
async fn a_failed_answer_says_so_in_the_card() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    let failed = Card { state: CardState::Failed, notice: Some("没有可用的模型。".to_owned()), ..done("") };
    scene.finish(&failed, &mut at).await;
    let shown = scene.only();
    assert_eq!((shown.state, shown.markdown.as_str()), (Shown::Failed, "没有可用的模型。"));
}

#[tokio::test]
async fn a_pressed_button_comes_back_with_its_meaning() {
    let secret = "cardsecret";
    let scene = Scene::with(Asker::MemberInGroup, SimConfig::default(), |config| {
        config.card_callback_secret = Some(Secret::from(secret));
    })
    .await;
    let at = scene.answer().await;
    let time = scene.sim.clock().now_ms().to_string();
    let content = json!({"cardPrivateData": {"actionIds": [scene.only().buttons[0].id], "params": {}}});
    let body = json!({"type": "actionCallback", "outTrackId": at.card, "corpId": "c", "userId": "u1", "content": content.to_string()});
    let headers = [("x-ddpaas-signature", card_sign(secret, &time)), ("x-ddpaas-signature-timestamp", time.clone())];
    let raw = RawRequest {
        headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        body: body.to_string().into(),
        ..RawRequest::default()
    };
    let Ok(Inbound::Event(received)) = scene.bot.open(&raw, UnixMillis(time.parse().unwrap())) else {
        panic!("the press was refused")
    };
    let Body::Action(action) = &received.event.body else { panic!("not a press") };
    assert_eq!(
        action.press,
        Some(Press { action: Action::VoteUp, event: EVENT.parse().unwrap(), argument: String::new() })
    );
    assert_eq!(action.card, at.card);
    let toast = Toast { text: "谢谢".to_owned(), success: true, language: Language::Zh };
    let answer: Value = serde_json::from_slice(&scene.bot.ack(&received, Some(&toast)).0).unwrap();
    assert_eq!(answer["cardData"]["cardParamMap"]["staticMsgContent"], "谢谢", "a streamed card has room for a hint");
}

#[tokio::test]
async fn without_a_way_back_cards_carry_no_buttons() {
    let scene =
        Scene::with(Asker::MemberInGroup, SimConfig::default(), |config| config.public_webhook_url = None).await;
    scene.answer().await;
    assert_eq!(scene.only().buttons.len(), 0);
}

#[tokio::test]
async fn an_own_template_is_preferred_and_replaced_when_it_is_refused() {
    let own = || SimConfig { own_templates: vec!["own.schema".to_owned()], ..SimConfig::default() };
    let scene =
        Scene::with(Asker::MemberInGroup, own(), |config| config.card_template_id = Some("own.schema".to_owned()))
            .await;
    let at = scene.answer().await;
    assert!(scene.only().markdown.contains("一二三四"));
    assert_eq!(scene.report(&at).endings, [Ending::FinalFrame, Ending::FinishedStatus]);

    let scene = Scene::with(Asker::MemberInGroup, SimConfig::default(), |config| {
        config.card_template_id = Some("another-apps.schema".to_owned());
    })
    .await;
    scene.answer().await;
    assert_eq!((scene.only().card, scene.only().markdown.as_str()), (true, "一二三四"));
}

#[tokio::test]
async fn a_refused_card_becomes_markdown_and_cards_rest_for_a_while() {
    for fault in [Fault::TemplateNotExist, Fault::DeliverRefused, Fault::PermissionMissing] {
        let scene = Scene::new(Asker::MemberInGroup).await;
        scene.sim.faults().inject(Target::Api(Api::CardCreateAndDeliver), fault.clone(), Times::Next(1));
        let at = scene.answer().await;
        let shown = scene.only();
        assert_eq!((shown.card, shown.markdown.as_str()), (false, "一二三四"), "{fault:?}");
        assert_eq!(scene.calls(Api::SessionWebhook), 1);
        assert_eq!(at.card, None);
        let next = scene.prepare(&thinking()).await;
        assert_eq!(next.card, None, "no card is tried at once after {fault:?}");
    }
}

#[tokio::test]
async fn without_member_id_a_direct_chat_is_answered_by_webhook() {
    let scene = Scene::new(Asker::OutsiderAlone).await;
    scene.answer().await;
    assert_eq!((scene.only().card, scene.only().markdown.as_str()), (false, "一二三四"));
    assert_eq!(scene.calls(Api::SessionWebhook), 1);
}

#[tokio::test]
async fn an_expired_webhook_gives_way_to_the_robot_api() {
    for (asker, api) in [(Asker::MemberInGroup, Api::GroupSend), (Asker::MemberAlone, Api::OtoSend)] {
        let scene = Scene::new(asker).await;
        scene.sim.faults().inject(Target::Cards, Fault::PermissionMissing, Times::Always);
        scene.sim.expire_sessions();
        scene.answer().await;
        assert_eq!((scene.only().card, scene.only().markdown.as_str()), (false, "一二三四"));
        assert_eq!(scene.calls(api), 1);
    }
}

#[tokio::test]
async fn a_webhook_that_ends_during_the_answer_is_not_called() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    scene.sim.faults().inject(Target::Cards, Fault::PermissionMissing, Times::Always);
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    scene.sim.clock().advance(Duration::from_secs(86 * 60));
    scene.finish(&done("晚了"), &mut at).await;
    assert_eq!(scene.only().markdown, "晚了");
    assert_eq!((scene.calls(Api::SessionWebhook), scene.calls(Api::GroupSend)), (0, 1));
}

#[tokio::test]
async fn nobody_to_reach_is_said_so() {
    let scene = Scene::new(Asker::OutsiderAlone).await;
    scene.sim.expire_sessions();
    let mut at = scene.prepare(&done("x")).await;
    let error = scene.bot.start(&scene.to, &done("x"), &mut at).await.unwrap_err();
    assert!(matches!(error, SendError::Gone { .. }), "{error}");
}

#[tokio::test]
async fn a_webhook_that_fails_for_now_does_not_lose_the_answer_of_who_has_no_other_way() {
    let scene = Scene::new(Asker::OutsiderAlone).await;
    let card = done("x");
    let mut at = scene.prepare(&card).await;
    let limited = scene.sim.faults().inject(Target::Api(Api::SessionWebhook), Fault::RateLimited, Times::Always);
    let error = scene.bot.finish(&scene.to, &card, &mut at).await.unwrap_err();
    assert!(matches!(error, SendError::Retry { .. }), "{error}");
    scene.sim.faults().remove(limited);
    scene.finish(&card, &mut at).await;
    assert_eq!(scene.only().markdown, "x");
}

#[tokio::test]
async fn flow_control_and_rate_limits_delay_and_do_not_lose() {
    let scene = Scene::new(Asker::MemberAlone).await;
    scene.sim.faults().inject(Target::Cards, Fault::PermissionMissing, Times::Always);
    scene.sim.faults().inject(Target::Api(Api::OtoSend), Fault::FlowControlled, Times::Next(1));
    scene.sim.expire_sessions();
    scene.answer().await;
    assert_eq!(scene.only().markdown, "一二三四");

    let scene = Scene::new(Asker::MemberInGroup).await;
    for api in [Api::CardCreateAndDeliver, Api::CardUpdate] {
        scene.sim.faults().inject(Target::Api(api), Fault::RateLimited, Times::Next(1));
    }
    scene.sim.faults().inject(Target::FinalFrame, Fault::RateLimited, Times::Next(2));
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    let limited = scene.bot.update(&scene.to, &streaming("一"), &mut at).await.unwrap_err();
    assert!(matches!(limited, SendError::Retry { .. }), "{limited}");
    scene.update(&streaming("一二"), &mut at).await;
    scene.finish(&done("一二三"), &mut at).await;
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Final, "一二三"));
    assert_eq!(scene.report(&at).oddities, [] as [String; 0]);
}

#[tokio::test]
async fn a_token_that_dies_in_mid_stream_is_replaced() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    scene.update(&streaming("一"), &mut at).await;
    scene.sim.invalidate_token();
    scene.update(&streaming("一二"), &mut at).await;
    scene.sim.invalidate_token();
    scene.finish(&done("一二三"), &mut at).await;
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Final, "一二三"));
    assert_eq!(scene.calls(Api::Token), 3);
}

#[tokio::test]
async fn a_last_frame_that_fails_for_now_is_made_good_later() {
    for fault in [Fault::ServerError, Fault::Disconnect, Fault::PunishPage] {
        let scene = Scene::new(Asker::MemberInGroup).await;
        let mut at = scene.prepare(&thinking()).await;
        scene.start(&thinking(), &mut at).await;
        scene.update(&streaming("一"), &mut at).await;
        scene.sim.faults().inject(Target::FinalFrame, fault.clone(), Times::Next(3));
        let error = scene.bot.finish(&scene.to, &done("一二"), &mut at).await.unwrap_err();
        assert!(matches!(error, SendError::Retry { .. }), "{fault:?}: {error}");
        scene.finish(&done("一二"), &mut at).await;
        assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Final, "一二"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_card_that_can_not_be_ended_for_long_is_given_up_for_messages() {
    for started in [true, false] {
        let scene = Scene::new(Asker::MemberInGroup).await;
        let mut at = scene.prepare(&thinking()).await;
        if started {
            scene.start(&thinking(), &mut at).await;
            scene.update(&streaming("一"), &mut at).await;
        }
        scene.sim.faults().inject(Target::Cards, Fault::ServerError, Times::Always);
        let error = scene.bot.finish(&scene.to, &done("一二"), &mut at).await.unwrap_err();
        assert!(matches!(error, SendError::Retry { .. }), "{error}");
        scene.sim.clock().advance(Duration::from_secs(10 * 60));
        scene.finish(&done("一二"), &mut at).await;
        scene.finish(&done("一二"), &mut at).await;
        let messages: Vec<_> = scene.said().into_iter().filter(|message| !message.card).collect();
        assert_eq!((messages.len(), messages[0].markdown.as_str()), (1, "一二"), "started: {started}");
    }
}

#[tokio::test]
async fn an_end_that_fails_for_good_sends_the_whole_text_once() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    scene.update(&streaming("一"), &mut at).await;
    scene.sim.faults().inject(Target::Cards, Fault::PermissionMissing, Times::Always);
    scene.finish(&done("一二"), &mut at).await;
    scene.finish(&done("一二"), &mut at).await;
    let messages: Vec<_> = scene.said().into_iter().filter(|message| !message.card).collect();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].markdown, "一二");
}

#[tokio::test]
async fn without_permission_to_stream_the_card_is_updated_whole() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    scene.sim.faults().inject(Target::Api(Api::CardStreaming), Fault::PermissionMissing, Times::Always);
    let at = scene.answer().await;
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Final, "一二三四"));
    assert_eq!(scene.report(&at).endings, [Ending::FinishedStatus]);
}

#[tokio::test]
async fn answers_lost_after_their_effect_are_asked_for_again_without_harm() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    for api in [Api::CardCreateAndDeliver, Api::CardStreaming] {
        scene.sim.faults().inject(Target::Api(api), Fault::AnswerLost, Times::Next(1));
    }
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    scene.update(&streaming("一"), &mut at).await;
    assert!(scene.bot.update(&scene.to, &streaming("一二"), &mut at).await.is_err());
    scene.update(&streaming("一二三"), &mut at).await;
    scene.sim.faults().inject(Target::FinalFrame, Fault::AnswerLost, Times::Next(1));
    scene.sim.faults().inject(Target::Api(Api::CardUpdate), Fault::AnswerLost, Times::Next(1));
    scene.finish(&done("一二三四"), &mut at).await;
    let shown = scene.only();
    assert_eq!((shown.state, shown.markdown.as_str(), shown.buttons.len()), (Shown::Final, "一二三四", 1));
    assert_eq!(scene.report(&at).oddities, [] as [String; 0]);
}

#[tokio::test]
async fn another_process_goes_on_from_any_saved_state() {
    // Every state the caller may have saved last, against every point at which the process may have died.
    for died_after in 0..6 {
        for lag in 0..=died_after {
            let mut scene = Scene::new(Asker::MemberInGroup).await;
            let mut at = scene.prepare(&thinking()).await;
            let mut saved = vec![at.clone()];
            for step in 1..=died_after {
                run_step(&scene, step, &mut at).await;
                saved.push(at.clone());
            }
            scene.restart();
            let mut at = saved[saved.len() - 1 - lag].clone();
            at.take_over();
            scene.start(&thinking(), &mut at).await;
            if died_after < 4 {
                scene.update(&streaming("二"), &mut at).await;
                scene.update(&streaming("二三"), &mut at).await;
            }
            scene.finish(&done("二三四"), &mut at).await;
            let shown = scene.only();
            let context = format!("died after {died_after}, saved {lag} steps before");
            assert_eq!((shown.state, shown.markdown.as_str()), (Shown::Final, "二三四"), "{context}");
            assert_eq!(shown.buttons.len(), 1, "{context}");
        }
    }
}

async fn run_step(scene: &Scene, step: usize, at: &mut CardRef) {
    match step {
        1 => scene.start(&thinking(), at).await,
        2 => scene.update(&streaming("一"), at).await,
        3 => scene.update(&streaming("一二"), at).await,
        // The end, step by step: the last update is lost, then made good.
        4 => {
            scene.sim.faults().inject(Target::Api(Api::CardUpdate), Fault::ServerError, Times::Next(3));
            scene.bot.finish(&scene.to, &done("二三四"), at).await.unwrap_err();
        }
        _ => scene.finish(&done("二三四"), at).await,
    }
}

#[tokio::test]
async fn a_card_closed_by_somebody_else_is_not_opened_again_by_the_latecomer() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    scene.update(&streaming("一"), &mut at).await;
    let mut late = at.clone();
    at.take_over();
    scene.finish(&done("一二"), &mut at).await;
    scene.update(&streaming("一二三"), &mut late).await;
    scene.update(&streaming("一二三四"), &mut late).await;
    assert_eq!((scene.only().state, scene.only().markdown.as_str()), (Shown::Final, "一二"));
}

#[tokio::test]
async fn the_saved_state_does_not_change_with_every_frame() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    scene.update(&streaming("一"), &mut at).await;
    let form = at.form.clone();
    scene.update(&streaming("一二"), &mut at).await;
    assert_eq!(at.form, form);
}

#[tokio::test]
async fn long_answers_go_on_in_messages_and_lose_nothing() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    let lines: Vec<String> = (0..6_000).map(|number| format!("第 {number} 行")).collect();
    let long = done(&lines.join("\n\n"));
    let mut at = scene.prepare(&thinking()).await;
    scene.start(&thinking(), &mut at).await;
    scene.update(&Card { state: CardState::Streaming, ..long.clone() }, &mut at).await;
    scene.finish(&long, &mut at).await;
    scene.finish(&long, &mut at).await;
    let said = scene.said();
    assert!(said[0].card && said.len() > 2 && said[1..].iter().all(|message| !message.card));
    let whole: String = said.iter().map(|message| format!("{}\n", message.markdown)).collect();
    let seen: Vec<&str> = whole.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(seen, lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_that_were_sent_are_not_sent_again() {
    let scene = Scene::new(Asker::OutsiderAlone).await;
    let long = done(&"很长的一行。\n".repeat(1_500));
    let mut at = scene.prepare(&long).await;
    scene.start(&long, &mut at).await;
    let count = scene.said().len();
    assert!(count > 1);
    scene.finish(&long, &mut at).await;
    assert_eq!(scene.said().len(), count);
}

#[tokio::test]
async fn connecting_registers_callbacks_and_shows_in_health() {
    let scene = Scene::new(Asker::MemberInGroup).await;
    assert!(matches!(scene.bot.health(), Health::Degraded { .. }));
    scene.sim.faults().inject(Target::Api(Api::CallbackRegister), Fault::PermissionMissing, Times::Next(1));
    let error = scene.bot.connect().await.unwrap_err();
    assert!(error.to_string().contains("Card.Instance.Write"), "{error}");
    assert!(matches!(scene.bot.health(), Health::Degraded { .. }));
    scene.bot.connect().await.unwrap();
    assert_eq!(scene.bot.health(), Health::Ok);
}

#[tokio::test]
async fn wrong_credentials_name_what_to_fix() {
    let scene = Scene::with(Asker::MemberInGroup, SimConfig::default(), |_| {}).await;
    let mut config = magpie_dingtalk::DingTalkConfig::new("it".into(), "dingsimmagpie0001", "wrong");
    config.base_url = Some(magpie_sim::view::SimulatedPlatform::base_url(&scene.sim));
    let bot = crate::bot::start(config);
    let error = bot.connect().await.unwrap_err();
    assert!(matches!(&error, SendError::Refused { fix, .. } if fix.contains("client_secret")), "{error}");
    assert_eq!(key().step("card"), key().step("card"), "ids derive from the event alone");
}
