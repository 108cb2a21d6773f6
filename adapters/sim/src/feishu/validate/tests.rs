use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

struct Known;

impl Directory for Known {
    fn has_image(&self, key: &str) -> bool {
        key == "img_v3_known"
    }

    fn has_person(&self, id: &str) -> bool {
        id == "ou_known"
    }
}

fn card(elements: Value) -> Value {
    json!({"schema": "2.0", "config": {"update_multi": true}, "body": {"elements": elements}})
}

fn code(card: &Value) -> i64 {
    check_card(card, &Known).map_or_else(|flaw| flaw.code, |()| 0)
}

fn button(id: &str) -> Value {
    json!({"tag": "button", "element_id": id, "text": {"tag": "plain_text", "content": "👍"}, "type": "default",
        "size": "small", "behaviors": [{"type": "callback", "value": {"a": "fb"}}],
        "confirm": {"title": {"tag": "plain_text", "content": "?"}, "text": {"tag": "plain_text", "content": "!"}}})
}

#[test]
fn full_card_passes() {
    let card = json!({"schema": "2.0",
        "config": {"update_multi": true, "streaming_mode": true, "width_mode": "fill", "enable_forward": true,
            "summary": {"content": "Ready"},
            "streaming_config": {"print_frequency_ms": {"default": 70}, "print_step": {"default": 1}, "print_strategy": "fast"}},
        "header": {"title": {"tag": "plain_text", "content": "Helpdesk"}, "subtitle": {"tag": "plain_text", "content": "m"},
            "template": "blue", "icon": {"tag": "standard_icon", "token": "emoji_outlined", "color": "blue"},
            "text_tag_list": [{"tag": "text_tag", "text": {"tag": "plain_text", "content": "local"}, "color": "turquoise"}]},
        "body": {"direction": "vertical", "padding": "12px 12px 12px 12px", "vertical_spacing": "8px", "elements": [
            {"tag": "markdown", "element_id": "answer", "content": "# T\n![x](img_v3_known) <at id=ou_known></at>"},
            {"tag": "hr", "element_id": "line"},
            {"tag": "collapsible_panel", "expanded": false, "header": {"title": {"tag": "plain_text", "content": "…"}},
                "elements": [{"tag": "markdown", "content": "thinking"}]},
            {"tag": "column_set", "element_id": "acts", "flex_mode": "flow", "columns": [
                {"tag": "column", "width": "auto", "elements": [button("up")]}]},
            {"tag": "form", "name": "f", "elements": [{"tag": "input", "name": "why"},
                {"tag": "button", "name": "send", "form_action_type": "submit", "text": {"tag": "plain_text", "content": "Send"}}]},
            {"tag": "div", "element_id": "foot",
                "text": {"tag": "plain_text", "content": "AI", "text_size": "notation", "text_color": "grey"}}]}});
    assert_eq!(check_card(&card, &Known), Ok(()));
}

#[test]
fn parts_of_the_old_version_are_refused_with_their_own_code() {
    assert_eq!(code(&card(json!([{"tag": "action", "actions": []}]))), 200_861);
    assert_eq!(code(&card(json!([{"tag": "note", "elements": []}]))), 200_861);
    let mut old = card(json!([]));
    old["i18n_elements"] = json!({});
    assert_eq!(code(&old), 200_861);
    assert_eq!(code(&json!({"elements": []})), 300_303);
}

#[test]
fn unknown_keys_and_values_are_refused_with_their_path() {
    let flaw = check_card(&card(json!([{"tag": "markdown", "content": "x", "colour": "red"}])), &Known).unwrap_err();
    assert_eq!(flaw.code, 200_621);
    assert_eq!(flaw.path, "ROOT -> body -> elements -> [0](tag: markdown)");
    assert!(flaw.text().contains("unknown property colour"));
    let mut wide = card(json!([]));
    wide["config"]["wide_screen_mode"] = json!(true);
    assert_eq!(code(&wide), 200_621);
    let mut colour = card(json!([]));
    colour["header"] = json!({"title": {"tag": "plain_text", "content": "T"}, "template": "pink"});
    assert_eq!(code(&colour), 200_621);
    assert_eq!(
        code(&card(json!([{"tag": "button", "text": {"tag": "plain_text", "content": "x"}, "value": {}}]))),
        200_621
    );
}

#[test]
fn update_multi_must_not_be_false() {
    let mut card = card(json!([]));
    card["config"]["update_multi"] = json!(false);
    assert_eq!(code(&card), 300_302);
}

#[test]
fn element_ids_are_well_formed_and_unique() {
    assert_eq!(code(&card(json!([{"tag": "hr", "element_id": "1st"}]))), 200_621);
    assert_eq!(code(&card(json!([{"tag": "hr", "element_id": "a".repeat(21)}]))), 200_621);
    assert_eq!(code(&card(json!([button("same"), {"tag": "hr", "element_id": "same"}]))), 300_301);
}

#[test]
fn elements_tables_and_nesting_are_limited() {
    assert_eq!(code(&card(vec![json!({"tag": "hr"}); 200].into())), 0);
    assert_eq!(code(&card(vec![json!({"tag": "hr"}); 201].into())), 300_305);
    let table = json!({"tag": "markdown", "content": "| a |\n|---|\n| b |"});
    assert_eq!(code(&card(vec![table.clone(); 5].into())), 0);
    assert_eq!(code(&card(vec![table; 6].into())), 11_310);
    let mut nested = json!({"tag": "hr"});
    for _ in 0..6 {
        nested = json!({"tag": "collapsible_panel", "elements": [nested]});
    }
    assert_eq!(code(&card(json!([nested]))), 11_310);
}

#[test]
fn foreign_images_and_unknown_people_are_refused() {
    assert_eq!(code(&card(json!([{"tag": "markdown", "content": "![x](https://example.com/a.png)"}]))), 200_570);
    assert_eq!(code(&card(json!([{"tag": "img", "img_key": "img_v3_other"}]))), 200_570);
    assert_eq!(code(&card(json!([{"tag": "markdown", "content": "hi <at id=ou_other></at>"}]))), 100_290);
}

#[test]
fn forms_need_names_and_a_submit_button() {
    let form = |elements: Value| card(json!([{"tag": "form", "name": "f", "elements": elements}]));
    assert_eq!(code(&form(json!([{"tag": "input", "name": "a"}]))), 200_621);
    let submit = json!({"tag": "button", "name": "go", "form_action_type": "submit", "text": {"tag": "plain_text", "content": "Go"}});
    assert_eq!(code(&form(json!([{"tag": "input"}, submit]))), 200_530);
    assert_eq!(code(&form(json!([{"tag": "input", "name": "go"}, submit]))), 200_530);
    assert_eq!(code(&form(json!([{"tag": "input", "name": "f"}, submit]))), 200_530);
    assert_eq!(code(&form(json!([{"tag": "input", "name": "a"}, submit]))), 0);
    assert_eq!(code(&card(json!([submit]))), 200_621, "outside a form there is nothing to submit");
    let whole = form(json!([{"tag": "input", "name": "a"}, submit]))["body"]["elements"][0].clone();
    assert_eq!(code(&card(json!([whole, whole]))), 200_530);
    let column = json!({"tag": "column", "elements": [whole]});
    assert_eq!(code(&card(json!([{"tag": "column_set", "columns": [column]}]))), 200_621);
    assert_eq!(code(&form(json!([{"tag": "form", "name": "g", "elements": []}, submit]))), 200_621);
}

#[test]
fn fields_of_forms_have_limits_and_options() {
    let submit = json!({"tag": "button", "name": "go", "form_action_type": "submit", "text": {"tag": "plain_text", "content": "Go"}});
    let with = |field: Value| code(&card(json!([{"tag": "form", "name": "f", "elements": [field, submit]}])));
    let input = |changes: Value| {
        let mut input = json!({"tag": "input", "name": "a", "input_type": "multiline_text", "max_length": 1000,
            "placeholder": {"tag": "plain_text", "content": "…"}, "required": true});
        input.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        with(input)
    };
    assert_eq!(input(json!({})), 0);
    assert_eq!(input(json!({"max_length": 1001})), 200_621);
    assert_eq!(input(json!({"max_length": 2, "default_value": "abc"})), 200_621);
    assert_eq!(input(json!({"input_type": "textarea"})), 200_621);
    assert_eq!(input(json!({"placeholder": "…"})), 200_621);
    assert_eq!(input(json!({"required": "yes"})), 200_621);
    let option = |value: Value| json!({"value": value, "text": {"tag": "plain_text", "content": "A"}});
    let select = |options: Value| with(json!({"tag": "select_static", "name": "a", "options": options}));
    assert_eq!(select(json!([option(json!("a")), option(json!("b"))])), 0);
    assert_eq!(select(json!([option(json!(1))])), 200_621);
    assert_eq!(select(json!([{"value": "a", "text": "A"}])), 200_621);
    assert_eq!(select(json!("a")), 200_621);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop_oneof!["markdown", "div", "column_set", "column", "form", "button", "table", "2.0", ".{0,8}"]
            .prop_map(Value::from),
    ];
    let keys = prop_oneof![
        "tag",
        "elements",
        "columns",
        "text",
        "content",
        "header",
        "body",
        "config",
        "behaviors",
        "schema",
        "element_id",
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::hash_map(keys.clone(), inner, 0..5)
                .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_judged_without_a_panic(body in any_json(), elements in any_json()) {
        let whole = json!({"schema": "2.0", "body": {"elements": elements}});
        prop_assert!(check_card(&whole, &Known).is_err() || whole["body"]["elements"].is_array());
        prop_assert!(check_card(&body, &Known).is_err() || body["schema"] == "2.0");
    }
}
