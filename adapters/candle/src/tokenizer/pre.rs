//! How text is cut into words before byte pair encoding, by the name in `tokenizer.ggml.pre`.
//!
//! A wrong rule gives tokens that the model has never seen in that place, and answers that are bad without any error.
//! So the table holds the names whose rules are known for sure, and a name that is not in it is refused.
//! Source: the rules of each family's published `tokenizer.json`, under the names that llama.cpp's converter gives them
//! (`llama-vocab.cpp`, read 11/2026). Several rules are applied one after the other, each inside the pieces of the one
//! before; what a rule does not match stays a piece of its own.

/// The rules of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PreRules {
    pub patterns: &'static [&'static str],
    /// A word that is a token as a whole is that token, whatever the merges say.
    pub whole_words: bool,
    /// Whether a text begins with the token for beginnings, where the file does not say.
    pub adds_bos: bool,
}

const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The rules for a name, if they are known.
pub(crate) fn rules(name: &str) -> Option<PreRules> {
    let plain = |patterns| PreRules { patterns, whole_words: false, adds_bos: false };
    Some(match name {
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" => {
            PreRules { patterns: &[LLAMA3], whole_words: true, adds_bos: true }
        }
        "smaug-bpe" | "dbrx" => plain(&[LLAMA3]),
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" => plain(&[QWEN2]),
        "gpt-2" | "phi-2" | "mpt" | "olmo" => plain(&[GPT2]),
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" => plain(&[r"\p{N}", GPT2]),
        "deepseek-coder" => plain(&[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"]),
        "deepseek-v3" => plain(&[
            r"\p{N}{1,3}",
            r"[一-龥぀-ゟ゠-ヿ]+",
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
        ]),
        "default" => plain(&[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::rules;

    #[test]
    fn names_that_are_not_known_have_no_rules() {
        for name in ["", "llama4", "qwen2 ", "tekken", "made-up"] {
            assert_eq!(rules(name), None, "{name}");
        }
    }
}
