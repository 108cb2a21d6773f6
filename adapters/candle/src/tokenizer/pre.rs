//! How text is cut into words before byte pair encoding, by the name in `tokenizer.ggml.pre`.
//!
//! A wrong rule gives tokens that the model has never seen in that place, and answers that are bad without any error.
//! So the table holds the names whose rules are known for sure, and a name that is not in it is refused.
//!
//! Source: the rules of each family's published `tokenizer.json`, under the names that llama.cpp's converter gives them
//! (`llama-vocab.cpp`, read 11/2026). llama.cpp runs some of them simplified, because its regular expressions know the
//! main categories of Unicode only; here they are what the models were trained with. So ids differ from llama.cpp's
//! where `tekken`, `gpt-4o`, `youtu`, `kimi-k2` and their kin meet capital letters or combining marks outside ASCII,
//! where the `deepseek` rules meet blanks outside ASCII, and where `afmoe` and `tiny_aya` meet blanks before digits.

use super::split::Blanks::{AllButLast, Powers};
use super::split::Step::{self, DigitGroups, Words, WordsAndBlanks};

/// The rules of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PreRules {
    /// Applied one after the other, each inside the pieces of the one before.
    pub steps: &'static [Step],
    /// A word that is a token as a whole is that token, whatever the merges say.
    pub whole_words: bool,
    /// Whether a text begins with the token for beginnings, where the file does not say.
    pub adds_bos: bool,
    pub spelling: Spelling,
}

/// How tokens are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Each byte as a character of the byte-level alphabet.
    Bytes,
    /// As text, with `▁` for spaces and `<0x0A>` for the bytes of characters that are no token.
    Text,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+";
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+";
const QWEN2: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+";
const QWEN35: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+";
const MINICPM5: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+";
const UFAKZEKA: &str = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+";
const SEED_CODER: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+";
const BAILING: &str =
    r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]";
const EXAONE_MOE: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]";
const DEEPSEEK3: &str = r"[!\x22#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+";
const SPARK: &str =
    r"[!\x22#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+";
const YOUTU: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+";
const KIMI: &str = r"\p{Han}+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+";
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const CJK: &str = r"[一-龥぀-ゟ゠-ヿ]+";
const ASIAN: &str = r"[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+";
const DEEPSEEK_LETTERS: &str = r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
const DEEPSEEK_SIGNS: &str = r"\s?[!-/:-~！-／：-～‘-‟　-。]+";
const YOUTU_SCRIPTS: &str = r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+";
const DIGIT: &str = r"\p{N}";
const LINES: &str = r"[^\n]+|\n+";

/// The rules for a name, if they are known.
pub(crate) fn rules(name: &str) -> Option<PreRules> {
    let rules = |steps| PreRules { steps, whole_words: false, adds_bos: false, spelling: Spelling::Bytes };
    let whole = |steps| PreRules { whole_words: true, ..rules(steps) };
    let begun = |rules| PreRules { adds_bos: true, ..rules };
    let spelled_out = PreRules { spelling: Spelling::Text, ..rules(&[Words(LINES)]) };
    Some(match name {
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2"
        | "jina-v5-nano" => begun(whole(&[WordsAndBlanks(LLAMA3, AllButLast)])),
        "glm4" | "glm5" => whole(&[WordsAndBlanks(LLAMA3, AllButLast)]),
        "smaug-bpe" | "dbrx" | "chatglm-bpe" => rules(&[WordsAndBlanks(LLAMA3, AllButLast)]),
        "jais-2" => rules(&[WordsAndBlanks(LLAMA3, Powers)]),
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "megrez" | "hunyuan" | "solar-open" | "kormo" | "f2llmv2"
        | "grok-2" => rules(&[WordsAndBlanks(QWEN2, AllButLast)]),
        "laguna" => rules(&[Words(LINES), WordsAndBlanks(QWEN2, AllButLast)]),
        "qwen35" => rules(&[WordsAndBlanks(QWEN35, AllButLast)]),
        "minicpm5" => whole(&[Words(r"\p{N}{1,3}"), WordsAndBlanks(MINICPM5, AllButLast)]),
        "ufakzeka" => rules(&[WordsAndBlanks(UFAKZEKA, AllButLast)]),
        "seed-coder" => rules(&[WordsAndBlanks(SEED_CODER, AllButLast)]),
        "bailingmoe" | "bailingmoe2" | "llada-moe" => rules(&[WordsAndBlanks(BAILING, AllButLast)]),
        "exaone-moe" => rules(&[WordsAndBlanks(EXAONE_MOE, AllButLast)]),
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" | "exaone4" | "trillion" | "granite-docling" | "gigachat"
        | "mellum" | "modern-bert" | "a.x-4.0" | "roberta-bpe" | "jina-es" | "jina-de" | "jina-v1-en"
        | "jina-v2-es" | "jina-v2-de" | "jina-v2-code" => rules(&[WordsAndBlanks(GPT2, AllButLast)]),
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" | "mellum2" => {
            rules(&[Words(DIGIT), WordsAndBlanks(GPT2, AllButLast)])
        }
        "gpt-4o" | "llama4" | "kanana2" | "talkie" | "minimax-m2" => rules(&[WordsAndBlanks(GPT4O, AllButLast)]),
        "granite-embed-multi-97m" => whole(&[WordsAndBlanks(GPT4O, AllButLast)]),
        "tiny_aya" | "cohere2moe" => rules(&[DigitGroups, WordsAndBlanks(GPT4O, AllButLast)]),
        "tekken" => begun(whole(&[WordsAndBlanks(TEKKEN, AllButLast)])),
        "youtu" => whole(&[Words(YOUTU_SCRIPTS), WordsAndBlanks(YOUTU, AllButLast)]),
        "kimi-k2" => rules(&[WordsAndBlanks(KIMI, AllButLast)]),
        "deepseek-llm" => rules(&[
            Words(r"[\r\n]"),
            Words(DEEPSEEK_LETTERS),
            Words(DEEPSEEK_SIGNS),
            Words(r"\s+$"),
            Words("[一-龥ࠀ-一가-퟿]+"),
            Words(r"\p{N}+"),
        ]),
        "deepseek-coder" => rules(&[
            Words(r"[\r\n]"),
            Words(r"\s?\p{L}+"),
            Words(r"\s?\p{P}+"),
            Words("[一-龥ࠀ-一가-퟿]+"),
            Words(DIGIT),
        ]),
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" | "hy_v4" => {
            rules(&[Words(r"\p{N}{1,3}"), Words(CJK), WordsAndBlanks(DEEPSEEK3, AllButLast)])
        }
        "spark2_5" => rules(&[Words(r"\p{N}{1,3}"), Words(CJK), WordsAndBlanks(SPARK, AllButLast), Words(DIGIT)]),
        "afmoe" => rules(&[DigitGroups, Words(ASIAN), WordsAndBlanks(DEEPSEEK3, AllButLast)]),
        "falcon" => {
            rules(&[Words(r"[\p{P}\$\+<=>\^~\|`]+"), WordsAndBlanks(GPT2, AllButLast), Words("[0-9][0-9][0-9]")])
        }
        "default" => rules(&[
            Words(r"[\p{P}\$\+<=>\^~\|]+"),
            WordsAndBlanks(GPT2, AllButLast),
            Words(r"\p{N}+"),
            Words("[0-9][0-9][0-9]"),
        ]),
        "bloom" | "poro-chat" | "gpt3-finnish" => rules(&[Words(BLOOM)]),
        "viking" => rules(&[Words(BLOOM), Words(DIGIT)]),
        "superbpe" => rules(&[DigitGroups]),
        "chameleon" => begun(rules(&[
            Words("<sentinel:[0-9]+>"),
            Words("IMGIMG[A-I]{1,4}Z"),
            Words(r"[\t\n]|    |  "),
            Words(DIGIT),
            Words(r"[\p{P}!-/:-@\[-`{-~]"),
            WordsAndBlanks(GPT2, AllButLast),
        ])),
        "gemma4" | "granite-embed-multi-311m" => begun(spelled_out),
        "sarvam-moe" => spelled_out,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::rules;

    #[test]
    fn names_that_are_not_known_have_no_rules() {
        for name in ["", "qwen2 ", "made-up", "QWEN2"] {
            assert_eq!(rules(name), None, "{name}");
        }
    }
}
