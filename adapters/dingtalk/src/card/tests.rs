use insta::{assert_json_snapshot, assert_snapshot, with_settings};
use magpie_core::card::{Button, ButtonStyle, Footer, Version};
use magpie_core::engine::EngineKind;
use magpie_core::event::Action;
use proptest::prelude::*;

use super::*;

const EVENT: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

fn button(action: Action, label: &str, style: ButtonStyle) -> Button {
    Button { action, label: label.to_owned(), style, event: EVENT.parse().unwrap(), argument: String::new() }
}

fn asking(question: &str) -> Button {
    Button { argument: question.to_owned(), ..button(Action::Ask, question, ButtonStyle::Default) }
}

fn reasons() -> Form {
    let reason = |name: &str, label: &str| Reason { name: name.to_owned(), label: label.to_owned() };
    Form {
        event: EVENT.parse().unwrap(),
        title: "哪里不好？*".to_owned(),
        reasons: vec![reason("wrong", "不正确"), reason("incomplete", "不完整")],
        comment: "还想说什么？".to_owned(),
        submit: "提交".to_owned(),
        close: "关闭".to_owned(),
    }
}

fn card(state: CardState) -> Card {
    let buttons = if state.is_final() {
        vec![
            button(Action::VoteUp, "👍", ButtonStyle::Default),
            button(Action::NewTopic, "新话题", ButtonStyle::Primary),
        ]
    } else {
        vec![button(Action::Stop, "停止", ButtonStyle::Danger)]
    };
    let footer = Footer {
        engine: "local".to_owned(),
        engine_kind: EngineKind::Local,
        model: "demo".to_owned(),
        fallback: None,
        took_ms: 1_200,
        completion_tokens: 42,
        line: "本地模型 demo · 1.2 秒 · 42 词元".to_owned(),
    };
    Card {
        title: "\"今天\"谁值班？\n第二行".to_owned(),
        state,
        text: if state == CardState::Thinking {
            String::new()
        } else {
            "今天是**张三**\n- 电话 <a atId=u1>\n\n```\na < b\n".to_owned()
        },
        reasoning: "查一下".to_owned(),
        notice: (state != CardState::Done && state != CardState::Streaming).then(|| "一句说明".to_owned()),
        footer: state.is_final().then_some(footer),
        buttons,
        language: Language::Zh,
        ..Card::default()
    }
}

fn golden(name: &str, check: impl FnOnce()) {
    with_settings!({snapshot_path => "../../../../cards/dingtalk/renderings", prepend_module_to_snapshot => false, omit_expression => true, description => name}, {
        check();
    });
}

#[test]
fn cards_look_as_recorded_in_every_state() {
    let templates = Templates::load(None).unwrap();
    for state in [CardState::Thinking, CardState::Streaming, CardState::Done, CardState::Stopped, CardState::Failed] {
        let face = templates.face(&card(state), Presses::ComeBack, Making::Streamed).unwrap();
        golden(state.as_str(), || assert_json_snapshot!(format!("answer_{}", state.as_str()), face.variables));
        let message = templates.message(&card(state)).unwrap();
        golden(state.as_str(), || assert_snapshot!(format!("message_{}", state.as_str()), message));
    }
    let face = templates.face(&card(CardState::Done), Presses::AreLost, Making::AtOnce).unwrap();
    golden("created finished, no way back for presses", || assert_json_snapshot!("answer_at_once", face.variables));
}

#[test]
fn everything_a_finished_card_may_hold_looks_as_recorded() {
    let templates = Templates::load(None).unwrap();
    let show = |name: &str, description: &str, card: &Card, making| {
        let face = templates.face(card, Presses::ComeBack, making).unwrap();
        golden(description, || assert_json_snapshot!(name, face.variables));
        face
    };
    let turn = |label: &str, number: &str| Button {
        argument: number.to_owned(),
        ..button(Action::ShowVersion, label, ButtonStyle::Default)
    };
    let mut versions = Card { version: Some(Version { number: 2, of: 3 }), ..card(CardState::Done) };
    versions.buttons.splice(0..0, [turn("‹", "1"), turn("›", "3")]);
    show("card_versions", "the second of three answers", &versions, Making::Streamed);
    let message = templates.message(&versions).unwrap();
    golden("the second of three answers", || assert_snapshot!("message_versions", message));

    let open = Card { form: Some(reasons()), ..card(CardState::Done) };
    show("card_form", "an open form", &open, Making::Streamed);

    let questions = ["怎么请年假？", "报销要什么材料？"].map(asking).to_vec();
    let welcome = Card {
        title: "你好".to_owned(),
        text: "我是公司的助手，可以这样问我：".to_owned(),
        questions,
        ..Card::default()
    };
    show("card_welcome", "a welcome with questions", &welcome, Making::AtOnce);

    let help = Card {
        title: "/help".to_owned(),
        text: "直接提问即可；在群里请 @ 我。\n\n- `/new`：开始新话题\n- `/status`：查看模型".to_owned(),
        buttons: ["/new", "/status"]
            .map(|command| Button {
                argument: command.to_owned(),
                ..button(Action::Command, command, ButtonStyle::Default)
            })
            .to_vec(),
        ..Card::default()
    };
    show("card_help", "the help card", &help, Making::AtOnce);
}

#[test]
fn own_templates_get_the_form_itself() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(ANSWER),
        r#"{"form": {{ {"fields": form.fields} | json_text if form else "" }}}"#,
    )
    .unwrap();
    let templates = Templates::load(Some(folder.path())).unwrap();
    let open = Card { form: Some(reasons()), ..card(CardState::Done) };
    let face = templates.face(&open, Presses::ComeBack, Making::Streamed).unwrap();
    let form: serde_json::Value = serde_json::from_str(&face.variables["form"]).unwrap();
    assert_eq!(form["fields"][0]["options"][1]["value"], "incomplete");
    assert_eq!(form["fields"][1]["name"], Form::COMMENT);
    assert!(form["fields"][2]["defaultValue"].as_str().unwrap().starts_with("vote_reason."));
    let lost = templates.face(&open, Presses::AreLost, Making::Streamed).unwrap();
    assert_eq!(lost.variables["form"], "", "a form that can't come back is not shown");
}

#[test]
fn texts_of_people_are_no_markup() {
    let templates = Templates::load(None).unwrap();
    let hostile = "<a atId=u1>x</a> dtmd://x";
    let mut card = Card { title: hostile.to_owned(), notice: Some(hostile.to_owned()), ..card(CardState::Done) };
    card.buttons = vec![asking(hostile)];
    card.form = Some(Form { title: hostile.to_owned(), ..reasons() });
    let face = templates.face(&card, Presses::ComeBack, Making::Streamed).unwrap();
    for (name, value) in &face.variables {
        assert!(!value.contains("<a ") && !value.contains("dtmd://"), "{name}: {value}");
    }
}

#[test]
fn long_answers_are_shown_as_far_as_a_variable_holds() {
    let templates = Templates::load(None).unwrap();
    let long = Card { text: "一行字\n".repeat(10_000), ..card(CardState::Done) };
    let face = templates.face(&long, Presses::ComeBack, Making::Streamed).unwrap();
    assert!(face.shown_bytes < long.text.len() && face.variables["msgContent"].chars().count() <= 20_000);
    assert!(long.text[..face.shown_bytes].ends_with('\n'));
    let short = templates.face(&card(CardState::Done), Presses::ComeBack, Making::Streamed).unwrap();
    assert_eq!(short.shown_bytes, card(CardState::Done).text.len());
}

#[test]
fn a_folder_replaces_templates_and_is_tried_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(ANSWER), r#"{"content": {{ text }}}"#).unwrap();
    let templates = Templates::load(Some(folder.path())).unwrap();
    let face = templates.face(&card(CardState::Done), Presses::ComeBack, Making::Streamed).unwrap();
    assert_eq!(face.variables.keys().collect::<Vec<_>>(), ["content"]);
    std::fs::write(folder.path().join(ANSWER), r#"{"content": 7}"#).unwrap();
    assert_eq!(Templates::load(Some(folder.path())).err().unwrap().0, ANSWER);
}

/// Pieces that make Markdown grow when it is written in the dialect.
const PIECES: &str = "(a|文|<b>|\n|`|\n```\n|> |- |\\[k\\]\\(https://h\\.example/文\\)|\n\\| c \\| d \\|\n\\|---\\|---\\|\n\\| e \\| f \\|\n){1,30}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a model writes and however much of it: what is sent is taken, and what does not fit goes on elsewhere.
    #[test]
    fn any_markdown_gives_variables_within_the_limits(piece in PIECES, times in 1usize..1_500) {
        let templates = Templates::load(None).unwrap();
        let long = Card { text: piece.repeat(times), form: Some(reasons()), ..card(CardState::Failed) };
        let face = templates.face(&long, Presses::ComeBack, Making::Streamed).unwrap();
        for (name, value) in &face.variables {
            prop_assert!(value.chars().count() <= 20_000, "{name}: {}", value.chars().count());
        }
        prop_assert!(face.shown_bytes > 0 && face.shown_bytes <= long.text.len());
        let json: serde_json::Value = serde_json::from_str(&face.variables["sys_full_json_obj"]).unwrap();
        prop_assert!(json["msgButtons"].is_array());
    }

    /// Texts can't break out of their values, whatever they hold.
    #[test]
    fn any_text_is_rendered(title: String, text: String, notice: Option<String>, label: String) {
        let templates = Templates::load(None).unwrap();
        let mut card = Card { title, text, notice, ..card(CardState::Stopped) };
        card.buttons[0].label = label;
        for making in [Making::Streamed, Making::AtOnce] {
            let face = templates.face(&card, Presses::ComeBack, making).unwrap();
            let inner: serde_json::Value = serde_json::from_str(&face.variables["sys_full_json_obj"]).unwrap();
            prop_assert_eq!(inner["msgButtons"].as_array().unwrap().len(), card.buttons.len());
        }
        templates.message(&card).unwrap();
    }
}
