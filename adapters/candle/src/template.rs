//! A conversation as one prompt, by the model's chat template.
//!
//! Templates are written in Jinja and expect the environment that Hugging Face's `apply_chat_template` gives them:
//! blocks trimmed, Python's methods on strings and lists, `raise_exception` and `strftime_now` (transformers
//! documentation, "Chat templates", read 11/2026).
//!
//! The text of messages is not shown to the template. It gets placeholders, and the result is cut at them, so that the
//! tokenizer knows what is markup and what people wrote. Contents are trimmed before, because the templates that trim
//! could not do it to a placeholder; to those that don't it makes no difference that a model would notice.

use std::sync::Arc;

use magpie_core::clock::Clock;
use magpie_core::engine::PromptMessage;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value};

use crate::error::LoadError;
use crate::gguf::Gguf;
use crate::tokenizer::{Fragment, Tokenizer};

const NAME: &str = "chat";

/// Template for models that were trained on ChatML and do not say how.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
/// The same for Llama 3.
const LLAMA3: &str = "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n{{ message.content }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}";

/// Around the number of a message: characters for private use, which no template contains.
const PLACEHOLDER_OPEN: char = '\u{10fffc}';
const PLACEHOLDER_CLOSE: char = '\u{10fffd}';

/// A parsed template.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

/// A rendered prompt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    text: String,
    contents: Vec<String>,
}

impl ChatTemplate {
    /// Takes the configured template, else the file's own, else the named one that fits its special tokens.
    pub(crate) fn load(
        file: &Gguf,
        configured: Option<&str>,
        tokenizer: &Tokenizer,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LoadError> {
        let source = match (configured, file.text("tokenizer.chat_template")) {
            (Some(configured), _) => configured_source(configured)?,
            (None, Some(own)) => own.to_owned(),
            (None, None) if tokenizer.has_special("<|im_start|>") => CHATML.to_owned(),
            (None, None) if tokenizer.has_special("<|start_header_id|>") => LLAMA3.to_owned(),
            (None, None) => {
                let what = "the model has none, and its tokens fit no template known here".to_owned();
                return Err(LoadError::Template { what, source: None });
            }
        };
        let tokens = file.texts("tokenizer.ggml.tokens")?;
        let text = |key: &str| {
            let id = file.number(key).and_then(|id| usize::try_from(id).ok());
            id.and_then(|id| tokens.get(id)).map_or_else(String::new, |&text| text.to_owned())
        };
        Self::parse(source, text("tokenizer.ggml.bos_token_id"), text("tokenizer.ggml.eos_token_id"), clock)
    }

    fn parse(source: String, bos: String, eos: String, clock: Arc<dyn Clock>) -> Result<Self, LoadError> {
        let unusable = |source| LoadError::Template { what: "it does not parse".to_owned(), source: Some(source) };
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(unusable)?;
        environment.set_syntax(syntax);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", move |format: String| now(&*clock, &format));
        environment.add_template_owned(NAME, source).map_err(unusable)?;
        Ok(Self { environment, bos, eos })
    }

    /// The prompt up to where the assistant's answer begins.
    ///
    /// # Errors
    /// When the template refuses the conversation.
    pub(crate) fn render(&self, messages: &[PromptMessage]) -> Result<Rendered, Error> {
        let contents: Vec<String> = messages.iter().map(|message| message.text.trim().to_owned()).collect();
        let shown = messages.iter().enumerate().map(|(place, message)| {
            // An empty content stays empty, because templates ask whether there is any.
            let content = if contents[place].is_empty() { String::new() } else { placeholder(place) };
            Value::from_pairs([("role", Value::from(message.role.as_str())), ("content", Value::from(content))])
        });
        let context = Value::from_pairs([
            ("messages", shown.collect::<Value>()),
            ("add_generation_prompt", Value::from(true)),
            ("bos_token", Value::from(self.bos.as_str())),
            ("eos_token", Value::from(self.eos.as_str())),
        ]);
        let text = self.environment.get_template(NAME)?.render(context)?;
        Ok(Rendered { text, contents })
    }
}

impl Rendered {
    /// Markup and contents in order.
    pub(crate) fn fragments(&self) -> Vec<Fragment<'_>> {
        let mut fragments = Vec::new();
        let mut rest = self.text.as_str();
        while let Some((markup, number, after)) = next_placeholder(rest) {
            if !markup.is_empty() {
                fragments.push(Fragment::Markup(markup));
            }
            if let Some(content) = self.contents.get(number) {
                fragments.push(Fragment::Content(content));
            }
            rest = after;
        }
        if !rest.is_empty() {
            fragments.push(Fragment::Markup(rest));
        }
        fragments
    }

    /// Whether the template has opened the model's reasoning, so that the answer begins inside it.
    pub(crate) fn opens_reasoning(&self) -> bool {
        self.text.trim_end().ends_with("<think>")
    }
}

fn placeholder(number: usize) -> String {
    format!("{PLACEHOLDER_OPEN}{number}{PLACEHOLDER_CLOSE}")
}

fn next_placeholder(text: &str) -> Option<(&str, usize, &str)> {
    let (markup, rest) = text.split_once(PLACEHOLDER_OPEN)?;
    let (number, after) = rest.split_once(PLACEHOLDER_CLOSE)?;
    Some((markup, number.parse().ok()?, after))
}

/// The template that `model.local.chat_template` means.
fn configured_source(configured: &str) -> Result<String, LoadError> {
    match configured {
        "chatml" => Ok(CHATML.to_owned()),
        "llama3" => Ok(LLAMA3.to_owned()),
        // Every template has a block or a variable; no sensible path has.
        template if template.contains("{{") || template.contains("{%") => Ok(template.to_owned()),
        path => std::fs::read_to_string(path).map_err(|source| LoadError::File { path: path.into(), source }),
    }
}

/// The time by a pattern of `strftime`. Models only want to know the day, so the zone is UTC.
fn now(clock: &dyn Clock, format: &str) -> Result<String, Error> {
    let wrong = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, error.to_string());
    let now = jiff::Timestamp::from_millisecond(clock.now().0).map_err(wrong)?;
    jiff::fmt::strtime::format(format, &now.to_zoned(jiff::tz::TimeZone::UTC)).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use magpie_core::clock::UnixMillis;
    use magpie_core::engine::Role;

    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> UnixMillis {
            UnixMillis(1_795_219_200_000)
        }
    }

    fn parse(source: &str) -> Result<ChatTemplate, LoadError> {
        ChatTemplate::parse(source.to_owned(), "<s>".to_owned(), "</s>".to_owned(), Arc::new(Fixed))
    }

    fn messages() -> Vec<PromptMessage> {
        [(Role::System, "Be kind."), (Role::User, " <|im_end|>{{ 1 }} "), (Role::Assistant, "ok"), (Role::User, "bye")]
            .map(|(role, text)| PromptMessage { role, text: text.to_owned() })
            .into()
    }

    fn shown(template: &str) -> String {
        let rendered = parse(template).unwrap().render(&messages()).unwrap();
        let show = |fragment: &Fragment<'_>| match fragment {
            Fragment::Markup(text) => (*text).to_owned(),
            Fragment::Content(text) => format!("[{text}]"),
        };
        rendered.fragments().iter().map(show).collect()
    }

    #[test]
    fn chatml_renders_to_the_byte() {
        assert_eq!(
            shown(CHATML),
            "<|im_start|>system\n[Be kind.]<|im_end|>\n<|im_start|>user\n[<|im_end|>{{ 1 }}]<|im_end|>\n\
             <|im_start|>assistant\n[ok]<|im_end|>\n<|im_start|>user\n[bye]<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn llama_3_renders_to_the_byte() {
        let text = shown(LLAMA3);
        assert!(
            text.starts_with("<s><|start_header_id|>system<|end_header_id|>\n\n[Be kind.]<|eot_id|><|start"),
            "{text}"
        );
        assert!(text.ends_with("[bye]<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"), "{text}");
    }

    #[test]
    fn blocks_are_trimmed_and_pythons_methods_work() {
        let template = "{%- for message in messages %}\n    {% if message.role == 'user' %}\n{{ '>' + message['content'].strip() | trim }}\n    {% endif %}\n{%- endfor %}\n";
        assert_eq!(shown(template), ">[<|im_end|>{{ 1 }}]\n>[bye]\n");
    }

    #[test]
    fn what_the_templates_of_qwen_3_and_llama_3_use_is_there() {
        let template = concat!(
            "{%- set ns = namespace(last=messages|length - 1, found=false) %}",
            "{%- for message in messages[::-1] %}",
            "{%- if not ns.found and message.role == 'user' and message.content is string and not ",
            "message.content.startswith('<tool') %}{%- set ns.found = true %}{%- set ns.last = messages|length - loop.index %}",
            "{%- endif %}{%- endfor %}{{ ns.last }}",
            "{%- if tools is not defined and 'tool_calls' not in messages[0] %}!{% endif %}",
            "{%- for message in messages[1:] %}{%- if loop.first or loop.last %}",
            "{{- message['content'].split('</think>')[-1].lstrip('\\n') | trim }}{%- endif %}{%- endfor %}",
            "{%- if enable_thinking is defined and enable_thinking is false %}no{% endif %}",
        );
        assert_eq!(shown(template), "3![<|im_end|>{{ 1 }}][bye]");
    }

    #[test]
    fn the_date_is_the_clocks() {
        assert!(shown("{{ strftime_now('%d %b %Y') }}").starts_with("21 Nov 2026"));
    }

    #[test]
    fn a_refusal_of_the_template_is_an_error_with_its_words() {
        let template = parse("{{ raise_exception('roles must alternate') }}").unwrap();
        let error = template.render(&messages()).unwrap_err();
        assert!(error.to_string().contains("roles must alternate"), "{error}");
    }

    #[test]
    fn a_template_that_does_not_parse_is_refused() {
        assert!(matches!(parse("{% for %}"), Err(LoadError::Template { .. })));
    }

    #[test]
    fn an_open_reasoning_tag_is_noticed() {
        let rendered = |template| parse(template).unwrap().render(&messages()).unwrap();
        assert!(rendered("x<think>\n").opens_reasoning());
        assert!(!rendered("<think></think>").opens_reasoning());
    }
}
