use magpie_core::card::Footer;
use magpie_core::engine::EngineKind;
use proptest::prelude::*;

use super::*;

fn event() -> EventId {
    "0190a6b2-0000-7000-8000-000000000001".parse().expect("an id")
}

fn button(action: Action, label: &str, style: ButtonStyle) -> Button {
    Button { action, label: label.to_owned(), style, event: event(), argument: String::new() }
}

fn about(action: Action, label: &str, argument: &str) -> Button {
    Button { argument: argument.to_owned(), ..button(action, label, ButtonStyle::Default) }
}

fn form() -> Form {
    let reasons = [("wrong", "不正确"), ("outdated", "过时")];
    Form {
        event: event(),
        title: "哪里不好?".to_owned(),
        reasons: reasons.map(|(name, label)| Reason { name: name.to_owned(), label: label.to_owned() }).to_vec(),
        comment: "补充说明".to_owned(),
        submit: "提交".to_owned(),
        close: "关闭".to_owned(),
    }
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
fn second_of_three_versions_looks_like_its_golden_rendering() {
    let buttons = vec![
        button(Action::Regenerate, "重新生成", ButtonStyle::Default),
        about(Action::ShowVersion, "‹", "1"),
        about(Action::ShowVersion, "›", "3"),
        button(Action::VoteUp, "👍", ButtonStyle::Default),
    ];
    let card = Card { buttons, version: Some(Version { number: 2, of: 3 }), ..done() };
    golden!("versions", render(&card, Look::Rich, Flow::Whole));
}

#[test]
fn open_form_looks_like_its_golden_rendering() {
    golden!("form", render(&Card { form: Some(form()), ..done() }, Look::Rich, Flow::Whole));
}

#[test]
fn welcome_looks_like_its_golden_rendering() {
    let card = Card {
        title: "你好,我是 Magpie".to_owned(),
        text: "问我任何问题,或按下面的问题:".to_owned(),
        reasoning: String::new(),
        footer: None,
        buttons: Vec::new(),
        questions: vec![about(Action::Ask, "怎么请假?", "怎么请假?"), about(Action::Ask, "怎么报销?", "怎么报销?")],
        ..done()
    };
    golden!("welcome", render(&card, Look::Rich, Flow::Whole));
}

#[test]
fn help_looks_like_its_golden_rendering() {
    let card = Card {
        title: "/help".to_owned(),
        text: "- `/new` starts a new topic\n- `/status` shows what is going on\n".to_owned(),
        reasoning: String::new(),
        footer: None,
        buttons: vec![about(Action::Command, "New topic", "/new"), about(Action::Command, "Status", "/status")],
        language: Language::En,
        ..done()
    };
    golden!("help", render(&card, Look::Rich, Flow::Whole));
}

/// What stands in the row of buttons.
fn row(card: &Card) -> Vec<String> {
    let rendered = render(card, Look::Rich, Flow::Whole);
    let elements = rendered["body"]["elements"].as_array().expect("elements");
    let set = elements.iter().find(|element| element["element_id"] == "buttons").expect("a row");
    let shown = |column: &Value| column["elements"][0]["text"]["content"].as_str().expect("text").to_owned();
    set["columns"].as_array().expect("columns").iter().map(shown).collect()
}

#[test]
fn place_among_versions_stands_between_the_buttons_that_turn() {
    let card = |number, buttons: &[Button]| Card {
        version: Some(Version { number, of: 3 }),
        buttons: buttons.to_vec(),
        ..done()
    };
    let (back, forth) = (about(Action::ShowVersion, "‹", "2"), about(Action::ShowVersion, "›", "2"));
    let vote = button(Action::VoteUp, "👍", ButtonStyle::Default);
    assert_eq!(row(&card(1, &[forth, vote.clone()])), ["1/3", "›", "👍"]);
    assert_eq!(row(&card(3, &[back, vote.clone()])), ["‹", "3/3", "👍"]);
    assert_eq!(row(&card(3, &[vote])), ["👍", "3/3"]);
    assert_eq!(row(&card(3, &[])), ["3/3"]);
}

#[test]
fn names_and_labels_hold_no_tags() {
    let tag = "<at id=all></at>";
    let card = Card {
        title: tag.to_owned(),
        reasoning: tag.to_owned(),
        notice: Some(tag.to_owned()),
        footer: done().footer.map(|footer| Footer { line: tag.to_owned(), ..footer }),
        buttons: vec![button(Action::Ask, tag, ButtonStyle::Default)],
        questions: vec![button(Action::Ask, tag, ButtonStyle::Default)],
        form: Some(Form { title: tag.to_owned(), comment: tag.to_owned(), submit: tag.to_owned(), ..form() }),
        ..done()
    };
    assert!(!render(&card, Look::Rich, Flow::Whole).to_string().contains("<at"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_markdown_makes_cards_within_the_platforms_limits(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "# T\n\n", "word ", "你好", "\n\n", "- a\n", "```rust\n", "`x`", "<at id=all>", "![a](b)", "\"\\\n",
            "| a |\n|---|\n| b |\n\n", "| c | d |\n|---|---|\n", "[b.c](https://d.e)", "> ", "\u{1}",
        ]), 0..60),
        times in 1_usize..120,
    ) {
        let card = Card {
            text: pieces.concat().repeat(times),
            reasoning: "because \"".repeat(900),
            questions: vec![about(Action::Ask, &"问".repeat(90), &"问".repeat(90)); 3],
            form: Some(form()),
            ..done()
        };
        let pages = pages(&card);
        for (index, text) in pages.iter().enumerate() {
            let page = Page { card: &card, text, number: index + 1, of: pages.len() };
            let json = cards().render(&page, Look::Rich, Flow::Whole).expect("renders");
            prop_assert!(json.len() <= CARD_BYTES, "{}", json.len());
        }
    }
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
    card.questions = vec![about(Action::Ask, &"问".repeat(100), &"问".repeat(100)); 4];
    card.form = Some(form());
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
