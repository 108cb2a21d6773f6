//! Templates for models that do not bring their own.

/// A template by its name in the configuration, and the special tokens by which a model that needs it is known.
struct Named {
    name: &'static str,
    tokens: &'static [&'static str],
    source: &'static str,
}

/// The first whose tokens a model has is taken. Without a model's own template there is no knowing, so a family is here
/// only if its tokens tell it from all others; `llama2` has none of its own and must be asked for.
const ALL: [Named; 6] = [
    Named {
        name: "chatml",
        tokens: &["<|im_start|>", "<|im_end|>"],
        source: "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    },
    Named {
        name: "llama3",
        tokens: &["<|start_header_id|>", "<|eot_id|>"],
        source: "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n{{ message.content }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    },
    Named {
        name: "gemma",
        tokens: &["<start_of_turn>", "<end_of_turn>"],
        source: "{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}{% if message.role == 'system' %}{% set ns.system = message.content + '\n\n' %}{% else %}<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}\n{{ ns.system }}{{ message.content }}<end_of_turn>\n{% set ns.system = '' %}{% endif %}{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
    },
    Named {
        name: "phi3",
        tokens: &["<|user|>", "<|assistant|>", "<|end|>"],
        source: "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    },
    Named {
        name: "mistral",
        tokens: &["[INST]", "[/INST]"],
        source: "{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}{% if message.role == 'system' %}{% set ns.system = message.content + '\n\n' %}{% elif message.role == 'user' %}[INST] {{ ns.system }}{{ message.content }} [/INST]{% set ns.system = '' %}{% else %} {{ message.content }}{{ eos_token }}{% endif %}{% endfor %}",
    },
    Named {
        name: "llama2",
        tokens: &[],
        source: "{% set ns = namespace(system='') %}{% for message in messages %}{% if message.role == 'system' %}{% set ns.system = '<<SYS>>\n' + message.content + '\n<</SYS>>\n\n' %}{% elif message.role == 'user' %}{{ bos_token }}[INST] {{ ns.system }}{{ message.content }} [/INST]{% set ns.system = '' %}{% else %} {{ message.content }} {{ eos_token }}{% endif %}{% endfor %}",
    },
];

/// The template of a name.
pub(crate) fn source(name: &str) -> Option<&'static str> {
    ALL.iter().find(|named| named.name == name).map(|named| named.source)
}

/// Name and template for a model with these special tokens.
pub(crate) fn fitting(has_token: impl Fn(&str) -> bool) -> Option<(&'static str, &'static str)> {
    let fits = |named: &&Named| !named.tokens.is_empty() && named.tokens.iter().all(|token| has_token(token));
    ALL.iter().find(fits).map(|named| (named.name, named.source))
}
