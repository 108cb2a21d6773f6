use magpie_core::card::{Button, Footer};
use magpie_core::engine::EngineKind;
use magpie_core::event::Action;
use magpie_core::ids::EventId;

use super::*;

fn button(action: Action, label: &str, style: ButtonStyle) -> Button {
    let event: EventId = "0190a6b2-0000-7000-8000-000000000001".parse().expect("an id");
    Button { action, label: label.to_owned(), style, event, argument: String::new() }
}

fn done() -> Card {
    Card {
        title: "怎么请假?".to_owned(),
        state: CardState::Done,
        text: "先在 **OA** 提交,再 <at id=all></at> 等审批。\n\n```rust\nlet x: Vec<u8> = vec![];\n```\n".to_owned(),
        reasoning: "The person asks about \"leave\".".to_owned(),
        notice: None,
        footer: Some(Footer {
            engine: "local".to_owned(),
            engine_kind: EngineKind::Local,
            model: "demo".to_owned(),
            fallback: None,
            took_ms: 1_200,
            completion_tokens: 42,
            line: "local · demo · 1.2 s · 42 tokens".to_owned(),
        }),
        buttons: vec![
            button(Action::VoteUp, "👍", ButtonStyle::Default),
            button(Action::NewTopic, "新话题", ButtonStyle::Primary),
        ],
        language: Language::Zh,
        ..Card::default()
    }
}

fn cards() -> Cards {
    Cards::load(&BotId::from("b"), None).expect("the built-in template works")
}

fn render(card: &Card, look: Look, flow: Flow) -> Value {
    let pages = pages(card);
    let page = Page { card, text: &pages[0], number: 1, of: pages.len() };
    let text = cards().render(&page, look, flow).expect("renders");
    serde_json::from_str(&text).expect("JSON")
}

/// Compares with the golden rendering of that name.
macro_rules! golden {
    ($name:literal, $card:expr) => {
        insta::with_settings!({snapshot_path => "../../../../cards/feishu/renderings", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_json_snapshot!($name, $card);
        });
    };
}

#[test]
fn finished_card_looks_like_its_golden_rendering() {
    golden!("done", render(&done(), Look::Rich, Flow::Whole));
}

#[test]
fn waiting_card_looks_like_its_golden_rendering() {
    let card = Card {
        state: CardState::Thinking,
        text: String::new(),
        reasoning: String::new(),
        footer: None,
        buttons: vec![button(Action::Stop, "停止", ButtonStyle::Danger)],
        ..done()
    };
    golden!("thinking", render(&card, Look::Rich, Flow::Streaming));
}

#[test]
fn stopped_card_looks_like_its_golden_rendering() {
    let card = Card { state: CardState::Stopped, notice: Some("已停止。".to_owned()), ..done() };
    golden!("stopped", render(&card, Look::Rich, Flow::Whole));
}

#[test]
fn failed_card_without_text_looks_like_its_golden_rendering() {
    let notice = Some("No model could answer; please try again.".to_owned());
    let card = Card {
        state: CardState::Failed,
        text: String::new(),
        reasoning: String::new(),
        notice,
        language: Language::En,
        ..done()
    };
    golden!("failed", render(&card, Look::Rich, Flow::Whole));
}

#[test]
fn refused_markup_is_shown_as_plain_text() {
    let plain = render(&done(), Look::Plain, Flow::Whole);
    let text = &plain["body"]["elements"][1]["text"];
    assert_eq!(text["tag"], "plain_text");
    assert!(text["content"].as_str().expect("text").contains("再 <\u{200b}at id=all>"), "{text}");
}

#[test]
fn texts_of_people_and_models_cannot_leave_their_place() {
    let mut card = done();
    card.title = "\"}},{{ 7*7 }}{% raw %}".to_owned();
    card.text = "{{ title }} \"\\u0041\" </script>\u{1}".to_owned();
    let rendered = render(&card, Look::Rich, Flow::Whole);
    assert_eq!(rendered["header"]["title"]["content"], card.title);
    assert_eq!(rendered["body"]["elements"][1]["content"], "{{ title }} \"\\u0041\" &#60;/script>\u{1}");
}

#[test]
fn largest_page_stays_under_the_platforms_limit() {
    let mut card = done();
    card.text = "<\"\\\n".repeat(20_000);
    card.reasoning = "\"嗯".repeat(20_000);
    let pages = pages(&card);
    assert!(pages.len() > 5);
    for (index, text) in pages.iter().enumerate() {
        let page = Page { card: &card, text, number: index + 1, of: pages.len() };
        let bytes = cards().render(&page, Look::Rich, Flow::Whole).expect("renders").len();
        assert!(bytes <= 28_000, "{bytes}");
    }
}

#[test]
fn template_of_the_operator_replaces_the_built_in_one_and_a_broken_one_is_refused() {
    let folder = std::env::temp_dir().join(format!("magpie-cards-{}", EventId::new()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |text: &str| std::fs::write(folder.join(TEMPLATE), text).expect("written");
    let load = || Cards::load(&BotId::from("b"), Some(&folder));
    write("{\"mine\": {{ title }}}");
    let card = done();
    let page = Page { card: &card, text: "", number: 1, of: 1 };
    let text = load().expect("works").render(&page, Look::Rich, Flow::Whole).expect("renders");
    assert_eq!(text, "{\"mine\":\"怎么请假?\"}");
    write("{\"mine\": \"{{ title }}\"}");
    assert!(matches!(load().map(|_| ()), Err(ConfigError::Template { .. })));
    std::fs::remove_dir_all(&folder).expect("removed");
}
