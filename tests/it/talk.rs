//! What people do with a finished answer: ask anew, turn its pages, say why it is bad, go on by pressing.

use magpie_sim::view::{MessageView, SimulatedPlatform as _};
use serde_json::json;
use toml::Value;

use crate::harness::endpoint::usual_answer;
use crate::harness::seat::offers;
use crate::harness::stage::{DINGTALK, FEISHU};
use crate::harness::{Backing, Endpoint, Plan, Script, Seat, Stage};

pub const REGENERATE: &str = "Regenerate";

pub async fn stage_with(settings: &[(&str, Value)]) -> (Stage, Endpoint) {
    let model = Endpoint::start().await;
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &model);
    let plan = settings.iter().fold(plan, |plan, (key, value)| plan.set(key, value.clone()));
    (Stage::start(plan).await, model)
}

/// A world in which the second person of each platform may do everything.
async fn stage_with_admins() -> (Stage, Endpoint) {
    let people = crate::harness::stage::usual_people();
    let admins: Vec<Value> = people.iter().map(|people| Value::from(people[1].clone())).collect();
    stage_with(&[("chat.admin_users", admins.into())]).await
}

/// A finished answer that each of `texts` is to follow when the question is asked anew.
pub async fn answered(seat: &Seat, model: &Endpoint, texts: &[&str]) -> MessageView {
    let question = question_on(seat);
    for text in texts {
        model.when(&question, Script::answer(text));
    }
    seat.ask(&question, texts[0]).await
}

pub fn question_on(seat: &Seat) -> String {
    format!("tell me on {}", seat.platform.name())
}

fn bot_of(seat: &Seat) -> &'static str {
    if seat.platform.name() == "feishu" { FEISHU } else { DINGTALK }
}

fn somebody_else(stage: &Stage, seat: &Seat) -> Seat {
    let people = if seat.platform.name() == "feishu" { stage.feishu.people() } else { stage.dingtalk.people() };
    seat.with_user(&people[1].0)
}

pub fn shows_version(card: &MessageView, version: &str) -> bool {
    card.note.contains(version)
}

#[tokio::test]
async fn answers_are_regenerated_in_the_same_card_and_their_versions_turn() {
    let (stage, model) = stage_with_admins().await;
    let seats = stage.groups();
    futures::future::join_all(seats.iter().map(|seat| versions_turn(&stage, seat, &model))).await;
}

async fn versions_turn(stage: &Stage, seat: &Seat, model: &Endpoint) {
    let texts = ["The first answer.", "The second answer.", "The third answer."];
    let first = answered(seat, model, &texts).await;
    assert!(!offers(&first, "‹") && !offers(&first, "›"), "one version has no pages: {first:?}");
    assert_eq!(seat.press(&first, REGENERATE).await.status, 200);
    let second = seat.finished(texts[1]).await;
    assert!(second.id == first.id && shows_version(&second, "2/2"), "{second:?}");
    stage.tables.settled().await;
    let admin = somebody_else(stage, seat);
    admin.press(&second, REGENERATE).await;
    let third = seat.finished(texts[2]).await;
    assert!(third.id == first.id && shows_version(&third, "3/3") && !offers(&third, "›"), "{third:?}");

    let turned = async |card: &MessageView, label: &str, text: &str, version: &str| {
        stage.tables.settled().await;
        admin.press(card, label).await;
        let is_it = |card: &MessageView| card.markdown.contains(text) && shows_version(card, version);
        seat.changed(card, &format!("version {version}"), is_it).await
    };
    let back = turned(&third, "‹", texts[1], "2/3").await;
    assert!(offers(&back, "‹") && offers(&back, "›"), "{back:?}");
    let back = turned(&back, "‹", texts[0], "1/3").await;
    assert!(!offers(&back, "‹"), "{back:?}");
    turned(&back, "›", texts[1], "2/3").await;
    stage.tables.settled().await;

    // The conversation goes on from what is on show.
    let next = format!("and then on {}", seat.platform.name());
    seat.ask(&next, &usual_answer(&next)).await;
    let prompt = model.asked(&next).await;
    assert!(prompt.remembers(texts[1]) && !prompt.remembers(texts[0]) && !prompt.remembers(texts[2]), "{prompt:?}");
    assert_eq!(seat.answers().len(), 2, "{}", seat.described());
}

#[tokio::test]
async fn the_other_engine_answers_in_the_same_card() {
    let (model, other) = (Endpoint::start().await, Endpoint::start().await);
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &model).cloud("second", &other);
    let stage = Stage::start(plan).await;
    for (number, seat) in stage.groups().iter().enumerate() {
        let first = answered(seat, &model, &["From the first."]).await;
        other.next(Script::answer("From the second."));
        seat.press(&first, "Ask second").await;
        let second = seat.finished("From the second.").await;
        assert!(second.id == first.id && shows_version(&second, "2/2"), "{second:?}");
        assert!(offers(&second, "Ask primary"), "the way back: {second:?}");
        assert_eq!((model.prompts().len(), other.prompts().len()), (number + 1, number + 1));
    }
}

#[tokio::test]
async fn a_bad_answer_is_explained_by_a_form_or_by_buttons() {
    let (stage, _model) = stage_with(&[]).await;
    for seat in stage.groups() {
        let card = seat.ask("rate me", &usual_answer("rate me")).await;
        seat.press(&card, "👎").await;
        let (reason, comment) = if seat.platform.name() == "feishu" {
            let asking = seat.changed(&card, "a form", |card| !card.forms.is_empty()).await;
            let values = json!({"reason": "incomplete", "comment": " too short "});
            assert_eq!(seat.submit(&asking, "Send", &values).await.status, 200);
            ("incomplete", "too short")
        } else {
            let asking = seat.changed(&card, "reasons", |card| offers(card, "It is wrong")).await;
            assert_eq!(seat.press(&asking, "It is wrong").await.status, 200);
            ("wrong", "-")
        };
        let votes = format!("SELECT user_id, value, reason, comment FROM feedback WHERE bot = '{}'", bot_of(&seat));
        stage.tables.become_rows(&votes, &[&[&seat.user, "down", reason, comment]]).await;
        let closed = |card: &MessageView| card.forms.is_empty() && !offers(card, "It is wrong");
        let card = seat.changed(&card, "the form to be closed", closed).await;
        assert!(card.markdown.contains(&usual_answer("rate me")), "the answer stays: {card:?}");

        // A form that somebody only looks at can be closed; the vote stands.
        stage.tables.settled().await;
        let other = somebody_else(&stage, &seat);
        other.press(&card, "👎").await;
        let asking = seat.changed(&card, "a form", |card| offers(card, "Close")).await;
        other.press(&asking, "Close").await;
        seat.changed(&card, "the form to be closed", |card| !offers(card, "Close")).await;
        assert_eq!(stage.tables.count(&format!("feedback WHERE bot = '{}'", bot_of(&seat))).await, 2);
    }
}

#[tokio::test]
async fn proposed_questions_are_asked_by_pressing() {
    let (stage, model) = stage_with(&[("chat.follow_up_questions", 2.into())]).await;
    for seat in stage.groups() {
        model.when("Person: ", Script::answer("[\"How so?\", \"Since when?\", \"Says who?\"]"));
        let question = question_on(&seat);
        let card = seat.ask(&question, &usual_answer(&question)).await;
        let card = seat.changed(&card, "questions", |card| offers(card, "How so?")).await;
        assert!(offers(&card, "Since when?") && !offers(&card, "Says who?"), "two were wanted: {card:?}");
        stage.tables.settled().await;
        model.when("Person: ", Script::answer("nothing more"));
        somebody_else(&stage, &seat).press(&card, "How so?").await;
        let answer = seat.finished(&usual_answer("How so?")).await;
        assert_ne!(answer.id, card.id);
        stage.tables.settled().await;
    }
}

#[tokio::test]
async fn a_new_place_is_welcomed_with_questions_to_press() {
    let questions = vec![Value::from("What can you do?"), Value::from("Who made you?")];
    let (stage, _model) = stage_with(&[("chat.welcome_questions", questions.into())]).await;
    let direct = stage.feishu_direct();
    assert_eq!(direct.platform.open_direct(&direct.user).await.status, 200);
    let group = stage.dingtalk_group();
    let chat = group.platform.open_group("new", std::slice::from_ref(&group.user));
    assert_eq!(group.platform.invite_bot(&chat, &group.user).await.status, 200);
    for seat in [direct, Seat { chat, ..group }] {
        let welcome = seat.answer("a welcome", |card| offers(card, "Who made you?")).await;
        assert!(welcome.title.contains("Hello") && offers(&welcome, "What I can do"), "{welcome:?}");
        stage.tables.settled().await;
        seat.press(&welcome, "What can you do?").await;
        seat.finished(&usual_answer("What can you do?")).await;
        seat.press(&welcome, "What I can do").await;
        let help = seat.finished("`/export`").await;
        assert!(offers(&help, "Status"), "{help:?}");
    }
}

#[tokio::test]
async fn buttons_of_the_help_card_are_commands_of_whoever_presses() {
    let (stage, model) = stage_with(&[]).await;
    for seat in stage.groups() {
        let help = seat.ask("/help", "`/whoami`").await;
        let other = somebody_else(&stage, &seat);
        other.press(&help, "Who am I").await;
        seat.finished(&format!("`{}`", other.user)).await;
        other.press(&help, "Status").await;
        seat.finished("Answers running: 0").await;
        other.press(&help, "Stop the answer").await;
        seat.finished("Nothing is being answered for you here.").await;
        other.press(&help, "Earlier topics").await;
        seat.finished("There are no topics here yet.").await;
    }
    assert!(model.prompts().is_empty(), "no engine is needed");
}

#[tokio::test]
async fn pressed_twice_at_once_it_is_done_once() {
    let (stage, model) = stage_with(&[]).await;
    for seat in stage.groups() {
        let question = question_on(&seat);
        let first = answered(&seat, &model, &["The first answer.", "The second answer."]).await;
        let before = model.prompts().len();
        futures::join!(seat.press(&first, REGENERATE), seat.press(&first, REGENERATE));
        stage.tables.settled().await;
        let second = seat.answers().pop().expect("it is there");
        assert!(shows_version(&second, "2/2"), "{second:?}");
        assert_eq!(model.prompts().len(), before + 1, "{question} is asked once more");
        assert_eq!(seat.answers().len(), 1, "{}", seat.described());
    }
}

#[tokio::test]
async fn whoever_did_not_ask_is_told_so() {
    let (stage, model) = stage_with(&[]).await;
    for seat in stage.groups() {
        let card = answered(&seat, &model, &["The first answer."]).await;
        let before = model.prompts().len();
        for label in [REGENERATE, "New topic"] {
            let pushed = somebody_else(&stage, &seat).press(&card, label).await;
            assert_eq!(pushed.status, 200);
            assert!(pushed.answer.contains("Only the person who asked can do this"), "{label}: {pushed:?}");
        }
        stage.tables.settled().await;
        assert_eq!(model.prompts().len(), before);
    }
    let denied = "SELECT reason FROM events WHERE kind = 'action'";
    stage.tables.become_rows(denied, &[&["denied"], &["denied"], &["denied"], &["denied"]]).await;
}

#[tokio::test]
async fn a_topic_is_exported_by_a_link_that_nobody_can_bend() {
    let (stage, model) = stage_with(&[]).await;
    for seat in stage.groups() {
        answered(&seat, &model, &["The exported answer."]).await;
        seat.say_acknowledged("/export").await;
        let card = seat.answer("the link", |card| card.html.contains("/transcripts/")).await;
        let link = card.html.split('"').find(|part| part.contains("/transcripts/")).expect("a link's address");
        let link = link.replace("&amp;", "&");
        let client = crate::harness::service::client();
        let file = client.get(&link).send().await.expect("it answers");
        assert_eq!(file.status(), 200, "{link}");
        let text = file.text().await.expect("it is text");
        assert!(text.contains(&question_on(&seat)) && text.contains("The exported answer."), "{text}");
        for bent in [link.replace("expires=1", "expires=2"), link.replace("/transcripts/0", "/transcripts/1")] {
            assert_eq!(client.get(&bent).send().await.expect("it answers").status(), 404, "{bent}");
        }
    }
}
