//! Cards as they were sent, which is how the OpenAPI gives them: our own are known by the element of the answer.

use serde_json::Value;

use crate::card::ANSWER;
use crate::field;
use crate::markdown::readable;

/// The text of a whole card; `None` if it is not one, but the reduced form of events.
pub(crate) fn sent_card(content: &Value) -> Option<String> {
    // With the card as text inside of an object, by how it was asked for.
    let inner = ["user_dsl", "json_card"].into_iter().find_map(|key| field::text(content, key));
    let parsed: Option<Value> = inner.and_then(|text| serde_json::from_str(text).ok());
    let card = parsed.as_ref().unwrap_or(content);
    let elements = card.get("body")?.get("elements")?.as_array()?;
    let mut texts = Vec::new();
    collect(elements, &mut texts);
    let answer = texts.iter().find(|(id, _)| *id == Some(ANSWER));
    let shown = match answer {
        Some((_, text)) => (*text).to_owned(),
        None => texts.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n"),
    };
    Some(readable(&shown))
}

/// Texts with the ids of their elements. Small print, forms and what is folded are left out.
fn collect<'a>(elements: &'a [Value], texts: &mut Vec<(Option<&'a str>, &'a str)>) {
    for element in elements {
        let id = field::text(element, "element_id");
        match field::text(element, "tag").unwrap_or_default() {
            "markdown" => texts.extend(field::text(element, "content").map(|text| (id, text))),
            "div" => {
                let text = element.get("text").unwrap_or(&Value::Null);
                let small = field::text(text, "text_size") == Some("notation");
                texts.extend(field::text(text, "content").filter(|_| !small).map(|text| (id, text)));
            }
            "column_set" => {
                for column in field::list(element, "columns") {
                    collect(field::list(column, "elements"), texts);
                }
            }
            "interactive_container" => collect(field::list(element, "elements"), texts),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn own_card_is_its_answer_and_another_one_all_its_text() {
        let card = |id: &str| {
            json!({"schema": "2.0", "body": {"elements": [
                {"tag": "collapsible_panel", "elements": [{"tag": "markdown", "content": "because"}]},
                {"tag": "markdown", "element_id": id, "content": "a &#60; b"},
                {"tag": "div", "text": {"tag": "plain_text", "content": "beside"}},
                {"tag": "div", "text": {"tag": "plain_text", "content": "1.2 s", "text_size": "notation"}}
            ]}})
        };
        assert_eq!(sent_card(&card("answer")).as_deref(), Some("a < b"));
        assert_eq!(sent_card(&json!({"user_dsl": card("x").to_string()})).as_deref(), Some("a < b\nbeside"));
        assert_eq!(sent_card(&json!({"title": "T", "elements": [[]]})), None);
    }
}
