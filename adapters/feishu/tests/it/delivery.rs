//! Answers on their way to a simulated Feishu: whatever goes wrong, one message with the final state is seen.

use std::sync::Arc;
use std::time::Duration;

use magpie_core::budget::{Budget, BudgetSettings, CallClass};
use magpie_core::card::CardState;
use magpie_core::clock::{Clock, UnixMillis};
use magpie_core::event::{ChatKind, ReplyTo, Route};
use magpie_core::ids::ChatId;
use magpie_core::platform::{Health, Platform, SendError};
use magpie_sim::feishu::{Call, Fault, Target, Topics};
use magpie_sim::view::{CardState as Seen, SimulatedPlatform};

use crate::scene::{Scene, bot_on, card, done, streaming, thinking};

#[tokio::test]
async fn card_streams_and_ends_with_buttons() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    let message = at.message.clone().expect("visible");
    assert_eq!(scene.answers()[0].state, Seen::Streaming);
    for text in ["Hel", "Hello", "Hello wor"] {
        scene.update(&mut at, text).await;
    }
    scene.finish(&mut at, "Hello world").await;
    let answer = scene.the_answer("Hello world");
    assert_eq!(answer.reply_to, scene.to.message.as_ref().map(ToString::to_string));
    assert_eq!(answer.buttons.iter().map(|button| button.label.as_str()).collect::<Vec<_>>(), ["👍", "👎"]);
    let report = scene.sim.card_report(message.as_str()).expect("a report");
    assert_eq!((report.refused, report.content_updates, report.streaming, report.max_in_flight), (0, 4, false, 1));
    assert_eq!(report.rewrites, 0, "text was only added to");
}

#[tokio::test]
async fn finishing_again_does_nothing() {
    let scene = Scene::new().await;
    let mut at = scene.whole_answer().await;
    let calls = scene.sim.wire().all().len();
    scene.finish(&mut at, "Hello world").await;
    assert_eq!(scene.sim.wire().all().len(), calls);
}

#[tokio::test]
async fn without_permission_for_entities_the_card_is_replaced_as_a_whole() {
    let scene = Scene::new().await;
    scene.sim.faults().always(Target::CardKit, Fault::NoScope);
    scene.whole_answer().await;
    let answer = scene.the_answer("Hello world");
    assert_eq!((answer.updates, answer.buttons.len()), (2, 2));
    // The next answer does not ask again.
    let asked = scene.calls("/cardkit/");
    scene.bot.prepare(&scene.to, &thinking(), &scene.key).await.expect("prepared");
    assert_eq!(scene.calls("/cardkit/"), asked);
}

#[tokio::test]
async fn near_the_end_of_the_month_an_answer_costs_two_calls() {
    let mut scene = Scene::new().await;
    let app = "feishu/cli_a".to_owned();
    let settings = BudgetSettings { bot: "helpdesk".into(), app, calls_per_second: 0, calls_per_month: 1 };
    let clock = Arc::clone(&scene.clock) as Arc<dyn Clock>;
    let budget = Budget::new(settings, Arc::clone(&clock));
    budget.permit(CallClass::Other).await;
    scene.bot = bot_on(&scene.sim, clock, Arc::clone(&budget));
    let mut at = scene.started().await;
    scene.finish(&mut at, "Hello world").await;
    scene.the_answer("Hello world");
    assert_eq!((scene.calls("/im/v1/"), scene.calls("/cardkit/")), (2, 0));
    assert_eq!(budget.spent().calls, 4, "with the token's and the one before");
}

#[tokio::test]
async fn finished_notice_is_one_call_and_ends_at_once() {
    let scene = Scene::new().await;
    let notice = done("/help: …");
    let mut at = scene.bot.prepare(&scene.to, &notice, &scene.key).await.expect("prepared");
    scene.bot.start(&scene.to, &notice, &mut at).await.expect("started");
    scene.bot.finish(&scene.to, &notice, &mut at).await.expect("finished");
    scene.the_answer("/help");
    assert_eq!(scene.sim.wire().all().iter().filter(|of| of.path.contains("/im/v1/messages/")).count(), 1);
}

#[tokio::test]
async fn token_that_ends_in_mid_stream_is_replaced_once() {
    for status in [200, 400, 401] {
        let scene = Scene::new().await;
        let mut at = scene.started().await;
        scene.sim.faults().once(Target::Only(Call::ElementContent), Fault::TokenInvalid { status });
        scene.update(&mut at, "Hello").await;
        scene.finish(&mut at, "Hello world").await;
        scene.the_answer("Hello world");
        assert_eq!(scene.calls("/tenant_access_token/"), 2);
    }
}

#[tokio::test]
async fn long_rate_limit_is_told_to_the_caller_and_a_short_one_waited_for() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    scene.sim.faults().once(Target::Only(Call::ElementContent), Fault::RateLimited { reset_s: 30 });
    let refused = scene.bot.update(&scene.to, &streaming("Hello"), &mut at).await;
    let Err(SendError::Retry { after, code, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((after, code.as_str()), (Some(Duration::from_secs(30)), "99991400"));
    scene.sim.faults().times(Target::Only(Call::ElementContent), Fault::Refused { status: 400, code: 230_020 }, 2);
    scene.update(&mut at, "Hello").await;
    scene.finish(&mut at, "Hello world").await;
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn streaming_that_was_closed_is_switched_on_again() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    // Nobody was there for longer than streaming lasts: the platform has closed it.
    scene.sim.clock().advance(Duration::from_mins(11));
    scene.update(&mut at, "Hello").await;
    assert_eq!(scene.answers()[0].state, Seen::Streaming);
    scene.finish(&mut at, "Hello world").await;
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn streaming_is_renewed_before_it_closes() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    for minute in 1..=25 {
        scene.advance(Duration::from_mins(1));
        scene.update(&mut at, &"word ".repeat(minute)).await;
    }
    let message = at.message.clone().expect("visible");
    let report = scene.sim.card_report(message.as_str()).expect("a report");
    assert_eq!((report.refused, report.streaming), (0, true));
    scene.finish(&mut at, "Hello world").await;
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn streaming_that_stays_closed_leaves_a_card_that_is_replaced() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    scene.sim.faults().always(Target::Only(Call::ElementContent), Fault::Refused { status: 400, code: 300_309 });
    scene.update(&mut at, "Hello").await;
    assert!(scene.answers()[0].markdown.contains("Hello"));
    scene.update(&mut at, "Hello wor").await;
    assert_eq!(scene.calls("/content"), 2, "one attempt to open it again, no more");
    scene.finish(&mut at, "Hello world").await;
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn entity_that_can_no_longer_be_changed_is_replaced_in_its_message() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    scene.sim.faults().always(Target::CardKit, Fault::Refused { status: 400, code: 200_750 });
    scene.update(&mut at, "Hello").await;
    scene.finish(&mut at, "Hello world").await;
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn lost_answers_change_nothing() {
    let calls = [
        Call::CreateCard,
        Call::ReplyMessage,
        Call::ElementContent,
        Call::CardSettings,
        Call::ReplaceCard,
        Call::TenantToken,
    ];
    for call in calls {
        let scene = Scene::new().await;
        scene.sim.faults().once(Target::Only(call), Fault::AnswerLost);
        scene.whole_answer().await;
        scene.the_answer("Hello world");
    }
}

#[tokio::test]
async fn platform_that_is_down_is_a_reason_to_try_later_and_to_say_so() {
    let scene = Scene::new().await;
    scene.bot.connect().await.expect("connected");
    assert_eq!(scene.bot.health(), Health::Ok);
    let mut at = scene.started().await;
    scene.sim.faults().always(Target::Everything, Fault::ServerError(502));
    let failed = scene.bot.finish(&scene.to, &done("Hello world"), &mut at).await;
    assert!(matches!(failed, Err(SendError::Retry { .. })), "{failed:?}");
    assert!(matches!(scene.bot.health(), Health::Degraded { .. }));
    scene.sim.faults().clear();
    scene.finish(&mut at, "Hello world").await;
    scene.the_answer("Hello world");
    assert_eq!(scene.bot.health(), Health::Ok);
}

#[tokio::test]
async fn another_process_goes_on_from_every_stage() {
    for stage in ["prepared", "start lost", "started", "update lost", "end lost"] {
        let scene = Scene::new().await;
        let mut at = scene.prepared().await;
        let mut saved = at.clone();
        if stage != "prepared" {
            scene.bot.start(&scene.to, &thinking(), &mut at).await.expect("started");
        }
        if !["prepared", "start lost"].contains(&stage) {
            saved = at.clone();
        }
        if stage.ends_with("lost") && stage != "start lost" {
            scene.update(&mut at, "Hello").await;
        }
        if stage == "end lost" {
            scene.finish(&mut at, "Hello world").await;
        }
        let (bot, mut at) = scene.restarted(&saved);
        bot.start(&scene.to, &thinking(), &mut at).await.expect(stage);
        bot.update(&scene.to, &streaming("Hello wor"), &mut at).await.expect(stage);
        bot.finish(&scene.to, &done("Hello world"), &mut at).await.expect(stage);
        let answer = scene.the_answer("Hello world");
        assert_eq!(answer.buttons.len(), 2, "{stage}");
    }
}

#[tokio::test]
async fn card_that_was_sent_long_ago_is_not_sent_again_though_its_message_was_never_learnt() {
    let scene = Scene::new().await;
    let saved = scene.prepared().await;
    scene.bot.start(&scene.to, &thinking(), &mut saved.clone()).await.expect("started");
    // The platform has forgotten by now under which key it was sent.
    scene.advance(Duration::from_hours(2));
    let (bot, mut at) = scene.restarted(&saved);
    bot.start(&scene.to, &thinking(), &mut at).await.expect("started");
    bot.finish(&scene.to, &done("Hello world"), &mut at).await.expect("finished");
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn answer_ends_well_though_streaming_has_closed_meanwhile() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    scene.advance(Duration::from_mins(11));
    scene.finish(&mut at, "Hello world").await;
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn another_process_only_finishes_what_was_prepared() {
    let scene = Scene::new().await;
    let saved = scene.prepared().await;
    let (bot, mut at) = scene.restarted(&saved);
    bot.finish(&scene.to, &done("Hello world"), &mut at).await.expect("finished");
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn process_that_was_replaced_is_told_so() {
    let scene = Scene::new().await;
    let mut old = scene.started().await;
    let (bot, mut new) = scene.restarted(&old);
    bot.update(&scene.to, &streaming("new"), &mut new).await.expect("updated");
    let refused = scene.bot.update(&scene.to, &streaming("old"), &mut old).await;
    assert!(matches!(refused, Err(SendError::Superseded { .. })), "{refused:?}");
    let refused = scene.bot.finish(&scene.to, &done("old"), &mut old).await;
    assert!(matches!(refused, Err(SendError::Superseded { .. })), "{refused:?}");
    bot.finish(&scene.to, &done("new"), &mut new).await.expect("finished");
    scene.the_answer("new");
}

#[tokio::test]
async fn recalled_question_is_answered_to_the_chat() {
    let scene = Scene::new().await;
    let question = scene.to.message.clone().expect("a question");
    scene.sim.recall(question.as_str()).await;
    scene.whole_answer().await;
    assert_eq!(scene.the_answer("Hello world").reply_to, None);
}

#[tokio::test]
async fn chat_without_topics_gets_an_ordinary_reply() {
    let mut scene = Scene::new().await;
    scene.sim.allow_topics(scene.to.chat.as_str(), Topics::Refused);
    scene.to.route = Route(serde_json::json!({"in_topic": true}));
    scene.whole_answer().await;
    assert!(scene.the_answer("Hello world").reply_to.is_some());
}

#[tokio::test]
async fn chat_that_is_gone_ends_the_delivery() {
    let scene = Scene::new().await;
    let mut at = scene.prepared().await;
    scene.sim.remove_bot(scene.to.chat.as_str(), &scene.sim.people()[0].0).await;
    let failed = scene.bot.start(&scene.to, &thinking(), &mut at).await;
    assert!(matches!(failed, Err(SendError::Gone { .. })), "{failed:?}");
}

#[tokio::test]
async fn menu_press_is_answered_in_the_persons_direct_chat() {
    let mut scene = Scene::new().await;
    let (person, chat) = scene.sim.add_person("Wu");
    scene.to = ReplyTo {
        chat: ChatId::from(person),
        chat_kind: ChatKind::Direct,
        user: None,
        message: None,
        thread: None,
        route: Route(serde_json::json!({"to_person": true})),
    };
    scene.whole_answer().await;
    scene.to.chat = ChatId::from(chat);
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn content_that_is_refused_ends_in_a_plainer_card_and_at_last_in_text() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    scene.sim.faults().once(Target::Only(Call::ReplaceCard), Fault::Refused { status: 400, code: 300_121 });
    scene.finish(&mut at, "**Hello** world").await;
    scene.the_answer("**Hello** world");

    let scene = Scene::new().await;
    scene.sim.faults().always(Target::CardKit, Fault::NoScope);
    scene.sim.faults().times(Target::Only(Call::ReplyMessage), Fault::Refused { status: 400, code: 230_099 }, 3);
    let mut at = scene.started().await;
    scene.finish(&mut at, "Hello <at id=all></at>").await;
    let answer = scene.the_answer("Hello <\u{200b}at id=all>");
    assert!(!answer.card);
}

#[tokio::test]
async fn refused_words_are_told_to_the_caller_who_can_end_with_others() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    scene.sim.faults().once(Target::Only(Call::ReplaceCard), Fault::Refused { status: 400, code: 230_028 });
    let refused = scene.bot.finish(&scene.to, &done("secret words"), &mut at).await;
    assert!(matches!(refused, Err(SendError::Content { .. })), "{refused:?}");
    scene.finish(&mut at, "The platform refused this answer.").await;
    let answer = scene.the_answer("The platform refused this answer.");
    assert!(!answer.markdown.contains("secret words"), "{answer:#?}");
}

#[tokio::test]
async fn card_that_may_not_be_changed_is_taken_back_for_the_final_one() {
    let scene = Scene::new().await;
    scene.sim.faults().always(Target::CardKit, Fault::NoScope);
    scene.sim.faults().always(Target::Only(Call::PatchMessage), Fault::NoScope);
    let mut at = scene.started().await;
    scene.finish(&mut at, "Hello world").await;
    let answers = scene.answers();
    let states: Vec<Seen> = answers.iter().map(|answer| answer.state).collect();
    assert_eq!(states, [Seen::Recalled, Seen::Final]);
    assert!(answers[1].markdown.contains("Hello world"));
}

#[tokio::test]
async fn lost_answer_to_a_patch_changes_nothing() {
    let scene = Scene::new().await;
    scene.sim.faults().always(Target::CardKit, Fault::NoScope);
    scene.sim.faults().times(Target::Only(Call::PatchMessage), Fault::AnswerLost, 2);
    scene.whole_answer().await;
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn entities_that_are_down_leave_cards_in_messages() {
    let scene = Scene::new().await;
    scene.sim.faults().always(Target::CardKit, Fault::ServerError(503));
    scene.whole_answer().await;
    scene.the_answer("Hello world");
}

#[tokio::test]
async fn long_answer_goes_on_in_further_cards_and_loses_nothing() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    let lines: Vec<String> = (0..4_000).map(|number| format!("line {number} of the answer")).collect();
    scene.update(&mut at, &lines[..2_500].join("\n")).await;
    scene.finish(&mut at, &lines.join("\n")).await;
    let answers = scene.answers();
    assert!(answers.len() > 3, "{}", answers.len());
    assert!(answers.iter().all(|answer| answer.state == Seen::Final && answer.buttons.len() == 2));
    let shown: String = answers.iter().map(|answer| answer.markdown.as_str()).collect::<Vec<_>>().join("\n");
    assert!(lines.iter().all(|line| shown.contains(line.as_str())));
}

#[tokio::test]
async fn whatever_a_model_writes_is_taken_and_only_added_to() {
    let scene = Scene::new().await;
    let table = "| a | b |\n|---|---|\n| 1 | `x` |\n\n";
    let text = format!(
        "# Title\n\n<at id=all></at> ![x](https://a.b/c.png) [good.com](https://evil.com) [f](file:///x)\n\n{}- [x] `<b>`\n\n\
        <font color='red'>red</font> <person id=ou_1></person> &lt;at id=all&gt;\n\n```html\n<at id=all></at>\n```\n\n[1]: https://x",
        table.repeat(7)
    );
    let mut at = scene.started().await;
    let ends = (1..text.len()).step_by(11).filter(|end| text.is_char_boundary(*end));
    for end in ends {
        scene.update(&mut at, &text[..end]).await;
    }
    scene.finish(&mut at, &text).await;
    let answer = scene.the_answer("evil.com");
    assert!(!answer.html.contains("所有人") && !answer.html.contains("<font"), "{}", answer.html);
    let report = scene.sim.card_report(at.message.expect("visible").as_str()).expect("a report");
    assert_eq!((report.refused, report.rewrites), (0, 0));
}

#[tokio::test]
async fn answer_that_outgrows_its_card_is_only_added_to_while_it_runs() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    let text: String = (0..2_000).map(|number| format!("- entry {number} of `this` list\n  goes on\n")).collect();
    for end in (9_000..text.len()).step_by(3_001) {
        scene.update(&mut at, &text[..end]).await;
    }
    let report = scene.sim.card_report(at.message.as_ref().expect("visible").as_str()).expect("a report");
    assert_eq!((report.refused, report.rewrites), (0, 0));
    scene.finish(&mut at, &text).await;
    assert!(scene.answers().iter().all(|answer| answer.state == Seen::Final));
}

#[tokio::test]
async fn failed_answer_says_so_in_its_card() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    let mut failed = card(CardState::Failed, "");
    failed.notice = Some("No model could answer.".into());
    scene.bot.finish(&scene.to, &failed, &mut at).await.expect("finished");
    let answers = scene.answers();
    assert_eq!((answers.len(), answers[0].state), (1, Seen::Failed));
    assert!(answers[0].markdown.contains("No model could answer."), "{answers:#?}");
}

#[tokio::test]
async fn unknown_own_id_is_learnt_to_settle_a_group_message() {
    use magpie_core::event::{Addressed, Body};
    use magpie_core::platform::Inbound;

    let scene = Scene::new().await;
    let theirs = scene.sim.config();
    let event = serde_json::json!({
        "schema": "2.0",
        "header": {
            "event_id": "e", "token": theirs.verification_token, "event_type": "im.message.receive_v1",
            "app_id": theirs.app_id
        },
        "event": {
            "message": {
                "message_id": "om_9", "chat_id": "oc_9", "chat_type": "group", "message_type": "text",
                "content": "{\"text\":\"@_user_1 hi\"}",
                "mentions": [{"key": "@_user_1", "id": {"open_id": theirs.bot_open_id}, "name": "Magpie"}]
            },
            "sender": {"sender_id": {"open_id": "ou_1"}, "sender_type": "user"}
        }
    });
    let request = crate::support::plain_request(&event);
    let Ok(Inbound::Event(received)) = scene.bot.open(&request, UnixMillis(0)) else { panic!("no event") };
    let Body::Message(mut message) = received.event.body else { panic!("no message") };
    assert_eq!(message.addressed, Addressed::Unknown);
    scene.bot.settle(&mut message).await.expect("settled");
    assert_eq!((message.addressed, message.text.as_str()), (Addressed::Bot, "hi"));
}
