//! The environment that templates expect: that of Hugging Face's `apply_chat_template`.
//!
//! Blocks trimmed, Python's methods on strings, lists and dictionaries, `raise_exception`, `strftime_now`, and a `tojson`
//! that writes what Python writes (transformers' documentation, "Chat templates", and `chat_template_utils.py`, read
//! 11/2026). minijinja itself prints values as Python does.

use std::sync::Arc;

use magpie_core::clock::Clock;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};

/// An environment that holds one template under `name`.
///
/// # Errors
/// The template does not parse.
pub(crate) fn environment(
    name: &'static str,
    source: &str,
    clock: Arc<dyn Clock>,
) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_test("iterable", is_iterable);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", move |format: String| now(&*clock, &format));
    environment.add_template_owned(name, without_generation_blocks(source))?;
    Ok(environment)
}

/// Some templates enclose the assistant's words in `{% generation %}`, which only matters to training.
fn without_generation_blocks(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, block)) = rest.split_once("{%") {
        plain.push_str(before);
        plain.push_str("{%");
        let Some((inner, after)) = block.split_once("%}") else {
            rest = block;
            continue;
        };
        match inner.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+') {
            "generation" => plain.push_str(&inner.replace("generation", "if true")),
            "endgeneration" => plain.push_str(&inner.replace("endgeneration", "endif")),
            _ => plain.push_str(inner),
        }
        plain.push_str("%}");
        rest = after;
    }
    plain + rest
}

/// The time by a pattern of `strftime`. Models only want to know the day, so the zone is UTC.
fn now(clock: &dyn Clock, format: &str) -> Result<String, Error> {
    let wrong = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, error.to_string());
    let now = jiff::Timestamp::from_millisecond(clock.now().0).map_err(wrong)?;
    jiff::fmt::strtime::format(format, &now.to_zoned(jiff::tz::TimeZone::UTC)).map_err(wrong)
}

/// Jinja in Python does not iterate over nothing; templates ask this before they count tools.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// What `json.dumps` writes between and before the parts.
struct Layout {
    item: String,
    key: String,
    indent: Option<String>,
    sorted: bool,
    ascii: bool,
}

/// `json.dumps(value, ensure_ascii=…, indent=…, separators=…, sort_keys=…)`; the first is false unless asked for.
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<Value> = options.get("indent")?;
    let indent = indent.filter(|indent| !indent.is_none()).map(|indent| match usize::try_from(indent.clone()) {
        Ok(width) => " ".repeat(width),
        Err(_) => indent.to_string(),
    });
    let separators: Option<Vec<String>> = options.get::<Option<Vec<String>>>("separators")?;
    let [item, key] = separators
        .and_then(|separators| <[String; 2]>::try_from(separators).ok())
        .unwrap_or_else(|| [if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()]);
    let flag = |name| options.get::<Option<bool>>(name).map(|flag| flag.unwrap_or(false));
    let layout = Layout { item, key, indent, sorted: flag("sort_keys")?, ascii: flag("ensure_ascii")? };
    options.assert_all_used()?;
    let mut out = String::new();
    layout.write(value, 0, &mut out);
    Ok(out)
}

impl Layout {
    fn write(&self, value: &Value, depth: usize, out: &mut String) {
        let items = || value.try_iter().into_iter().flatten();
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => out.push_str("null"),
            ValueKind::Seq | ValueKind::Iterable => {
                self.write_parts(['[', ']'], items().map(|item| (None, item)).collect(), depth, out);
            }
            ValueKind::Map => {
                let field = |key: Value| {
                    let value = value.get_item(&key).unwrap_or_default();
                    (Some(key.to_string()), value)
                };
                let mut fields: Vec<_> = items().map(field).collect();
                if self.sorted {
                    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                self.write_parts(['{', '}'], fields, depth, out);
            }
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&value.to_string()),
            _ => self.write_text(&value.to_string(), out),
        }
    }

    fn write_parts(
        &self,
        [open, close]: [char; 2],
        parts: Vec<(Option<String>, Value)>,
        depth: usize,
        out: &mut String,
    ) {
        let line = |depth: usize| self.indent.as_ref().map(|indent| format!("\n{}", indent.repeat(depth)));
        let empty = parts.is_empty();
        out.push(open);
        for (place, (key, value)) in parts.into_iter().enumerate() {
            if place > 0 {
                out.push_str(&self.item);
            }
            out.extend(line(depth + 1));
            if let Some(key) = key {
                self.write_text(&key, out);
                out.push_str(&self.key);
            }
            self.write(&value, depth + 1, out);
        }
        if !empty {
            out.extend(line(depth));
        }
        out.push(close);
    }

    fn write_text(&self, text: &str, out: &mut String) {
        let quoted = serde_json::Value::from(text).to_string();
        if !self.ascii {
            out.push_str(&quoted);
            return;
        }
        for c in quoted.chars() {
            if matches!(c, ' '..='~') {
                out.push(c);
            } else {
                out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use magpie_core::clock::UnixMillis;

    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> UnixMillis {
            UnixMillis(1_795_219_200_000)
        }
    }

    fn rendered(source: &str) -> String {
        let environment = environment("t", source, Arc::new(Fixed)).unwrap();
        environment.get_template("t").unwrap().render(Value::from(())).unwrap()
    }

    #[test]
    fn json_is_what_python_writes() {
        let value = "{'b': [1, 2.5, none, true], 'a': {}, 'c': '<é\"\\n>'}";
        assert_eq!(
            rendered(&format!("{{{{ {value} | tojson }}}}")),
            r#"{"b": [1, 2.5, null, true], "a": {}, "c": "<é\"\n>"}"#
        );
        assert_eq!(
            rendered("{{ {'b': [1, {}], 'a': []} | tojson(indent=2, sort_keys=true) }}"),
            "{\n  \"a\": [],\n  \"b\": [\n    1,\n    {}\n  ]\n}"
        );
        assert_eq!(rendered("{{ [1, {'a': 2}] | tojson(separators=(',', ':')) }}"), r#"[1,{"a":2}]"#);
    }

    #[test]
    fn values_are_printed_as_python_prints_them() {
        let value = "[none, true, 'it\\'s', 1.0, {'a': [false]}]";
        assert_eq!(rendered(&format!("{{{{ {value} }}}}")), r#"[None, True, "it's", 1.0, {'a': [False]}]"#);
        assert_eq!(rendered("{{ none }}{{ 'x' }}{{ missing }}{{ 1 == 1 }}"), "NonexTrue");
    }

    #[derive(serde::Deserialize)]
    struct Vectors {
        conversations: Vec<Vec<Message>>,
        cases: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Message {
        role: String,
        content: String,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        feature: String,
        template: String,
        /// For each of the conversations.
        outcomes: Vec<Outcome>,
    }

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Outcome {
        Text(String),
        /// What the template says to refuse.
        Error(String),
    }

    fn context(messages: &[Message]) -> Value {
        let pairs = |message: &Message| {
            Value::from_pairs([("role", message.role.as_str()), ("content", message.content.as_str())])
        };
        Value::from_pairs([
            ("messages", messages.iter().map(pairs).collect::<Value>()),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(true)),
            ("bos_token", Value::from("<s>")),
            ("eos_token", Value::from("</s>")),
        ])
    }

    #[test]
    fn every_feature_of_templates_gives_what_python_gives() {
        let vectors = include_str!("../../tests/vectors/templates.json");
        let Vectors { conversations, cases } = serde_json::from_str(vectors).unwrap();
        let mut different = Vec::new();
        for Case { feature, template, outcomes } in &cases {
            assert_eq!(outcomes.len(), conversations.len(), "{feature}");
            for (messages, outcome) in conversations.iter().zip(outcomes) {
                let rendered = environment("t", template, Arc::new(Fixed))
                    .and_then(|environment| environment.get_template("t")?.render(context(messages)));
                match (outcome, &rendered) {
                    (Outcome::Text(expected), Ok(text)) if text == expected => {}
                    (Outcome::Error(expected), Err(error)) if error.to_string().contains(expected) => {}
                    (Outcome::Text(expected) | Outcome::Error(expected), _) => {
                        different.push(format!("{feature}:\n{expected}\n{rendered:?}"));
                    }
                }
            }
        }
        assert!(different.is_empty(), "{}", different.join("\n\n"));
    }

    #[test]
    fn blocks_for_training_are_passed_over() {
        let source = "a\n{%- generation -%}\n b{{ 1 }}\n{%- endgeneration %}\nc{% if true %}d{% endif %}";
        assert_eq!(rendered(source), "ab1cd");
    }
}
