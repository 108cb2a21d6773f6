use insta::{assert_json_snapshot, assert_snapshot, with_settings};
use magpie_core::card::Footer;
use magpie_core::engine::EngineKind;
use magpie_core::event::Action;
use proptest::prelude::*;

use super::*;

const EVENT: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

fn card(state: CardState) -> Card {
    let button = |action, label: &str, style| Button {
        action,
        label: label.to_owned(),
        style,
        event: EVENT.parse().unwrap(),
        argument: String::new(),
    };
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

proptest! {
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
