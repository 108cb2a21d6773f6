//! Questions that could follow an answer: what an engine is asked for, and what is taken from what it says.

use serde_json::{Value, json};

use crate::engine::{AnswerSchema, Prompt, PromptMessage, ResponseFormat, Role, Sampling};
use crate::store::StoredMessage;

/// What fits on a button.
const QUESTION_CHARS: usize = 60;
const ANSWER_TOKENS: u32 = 200;
const TEXT_CHARS: usize = 2_000;

/// Asks for `count` questions that could follow `turn`, a question with its answer.
#[must_use]
pub fn prompt(turn: &[StoredMessage], count: u32) -> Prompt {
    let instructions = format!(
        "Propose {count} short questions that the person could ask next, each at most {QUESTION_CHARS} characters, in \
         the language of the person. Answer with a JSON array of strings and nothing else."
    );
    let shorten = |text: &str| text.chars().take(TEXT_CHARS).collect::<String>();
    let lines = turn.iter().map(|message| {
        let who = if message.role == Role::User { "Person" } else { "Assistant" };
        format!("{who}: {}", shorten(&message.text))
    });
    let text = lines.collect::<Vec<_>>().join("\n\n");
    let schema = json!({"type": "array", "items": {"type": "string"}, "maxItems": count});
    let message = |role, text: String| PromptMessage { role, text };
    Prompt {
        messages: vec![message(Role::System, instructions), message(Role::User, text)],
        images: Vec::new(),
        sampling: Sampling {
            max_tokens: Some(ANSWER_TOKENS),
            response_format: ResponseFormat::JsonSchema(AnswerSchema {
                name: "questions".to_owned(),
                schema,
                strict: false,
            }),
            ..Sampling::default()
        },
        conversation: None,
    }
}

/// The questions in what an engine wrote; none if it is something else. Whatever stands around the array is passed over.
#[must_use]
pub fn read(text: &str, count: u32) -> Vec<String> {
    let array = text.find('[').zip(text.rfind(']')).and_then(|(from, to)| text.get(from..=to));
    let Some(Ok(Value::Array(items))) = array.map(serde_json::from_str) else { return Vec::new() };
    let texts =
        items.iter().filter_map(Value::as_str).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let good = texts.filter(|text| !text.is_empty() && text.chars().count() <= QUESTION_CHARS * 2);
    good.take(usize::try_from(count).unwrap_or(usize::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_from_an_array_and_from_nothing_else() {
        assert_eq!(
            read("Sure:\n[\"Why?\", \" How\\nso? \", \"\", 3, \"And then?\"]", 3),
            ["Why?", "How so?", "And then?"]
        );
        assert_eq!(read("[\"a\", \"b\", \"c\"]", 2), ["a", "b"]);
        for odd in ["", "Why? How?", "{\"questions\": 1}", "][", "[\"unfinished"] {
            assert!(read(odd, 3).is_empty(), "{odd}");
        }
    }
}
