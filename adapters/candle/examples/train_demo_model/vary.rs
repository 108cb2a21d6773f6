//! Variety for the trained questions: synonyms, word order, courtesy, case, punctuation and slips of
//! the keyboard, so that the model learns topics and not sentences.

use super::corpus::Language;
use super::seeded::Seeded;

/// Groups of interchangeable pieces; any member may become any other.
const SYNONYMS_ZH: &[&[&str]] = &[
    &["怎么", "如何", "怎样", "咋", "该怎么", "要怎么"],
    &["什么", "啥"],
    &["可以", "能", "能够"],
    &["哪里", "哪儿", "什么地方"],
    &["支持", "能用"],
    &["配置", "设置", "配"],
    &["吗", "么", "不"],
    &["为什么", "为啥", "为何"],
    &["机器人", "bot"],
    &["Magpie", "magpie", "鹊桥", "喜鹊"],
    &["你", "您"],
    &["有哪些", "都有什么", "有什么"],
    &["作用", "用处", "用途"],
    &["是干什么的", "是做什么的", "是什么", "有什么用", "干嘛用的"],
    &["接入", "连接", "对接", "接"],
    &["群里", "群聊里", "群组里"],
    &["启动", "运行", "跑起来"],
    &["查看", "看", "看到"],
    &["修改", "改", "调整"],
    &["消息", "信息"],
    &["多少", "几"],
    &["怎么办", "怎么处理", "怎么解决"],
];

const SYNONYMS_EN: &[&[&str]] = &[
    &[
        "how do i ",
        "how can i ",
        "how to ",
        "how should i ",
        "how would i ",
        "i want to ",
        "what is the way to ",
        "i'd like to ",
        "how do you ",
        "how do we ",
        "can i ",
        "help me ",
        "i need to ",
    ],
    &["what is ", "what's ", "explain ", "tell me about ", "what about "],
    &["which ", "what "],
    &["does it ", "does magpie ", "can it ", "do you "],
    &["is there ", "do you have ", "is there any "],
    &["configure ", "set up ", "setup ", "set "],
    &["connect ", "integrate ", "hook up ", "link "],
    &["where is ", "where's ", "where do i find "],
    &["why ", "how come "],
    &["what happens when ", "what happens if ", "what if "],
    &["how are ", "how do you have "],
    &["start ", "run ", "launch "],
    &["change ", "modify ", "switch "],
    &["messages", "message", "events"],
    &["the bot", "my bot", "your bot", "this bot"],
    &["the service", "magpie", "the server"],
    &["supported", "available"],
];

const OPENINGS_ZH: &[&str] = &[
    "请问",
    "请问一下，",
    "我想问一下，",
    "想问下",
    "麻烦问一下",
    "请告诉我",
    "我想知道",
    "那",
    "那么",
    "你好，",
    "你好，请问",
    "您好，",
    "能不能告诉我",
    "问一下",
    "嗯，",
    "@Magpie ",
    "还有，",
    "帮我看看",
    "另外，",
    "好的，",
    "给我说说",
    "你知道",
];
const OPENINGS_EN: &[&str] = &[
    "please tell me ",
    "hi, ",
    "hello, ",
    "hey, ",
    "can you tell me ",
    "could you tell me ",
    "so ",
    "and ",
    "ok, ",
    "please, ",
    "i'd like to know ",
    "excuse me, ",
    "@Magpie ",
    "magpie, ",
    "well, ",
    "then ",
    "quick question: ",
    "do you know ",
    "i wonder ",
    "sorry, ",
    "please explain: ",
];
/// What may come before a greeting or a thank-you.
const CASUAL_OPENINGS: [&[&str]; 2] = [
    &["嗯，", "好的，", "好，", "哈，", "那", "哦，", "啊，", "好吧，", "嘿，"],
    &["ok, ", "ok ", "okay, ", "hey, ", "oh, ", "well, ", "so ", "alright, ", "and ", "wow, ", "hi, "],
];
const CLOSINGS_ZH: &[&str] = &["？", "？", "?", "。", "！", "呢", "呢？", "呀", "啊？", "，谢谢", "？？"];
const CLOSINGS_EN: &[&str] = &["?", "?", "?", ".", "!", " please", " please?", "??", ", thanks", " ?", " in magpie?"];
const FILLERS_ZH: &[char] = &['的', '了', '是', '我', '在', '一', '请', '下', '能'];
const FILLERS_EN: &[&str] = &["the", "a", "is", "do", "i", "my", "it", "to", "of", "me"];

/// One variation of `question`; what is itself a courtesy gets a casual opening at most.
pub fn vary(question: &str, language: Language, small_talk: bool, seed: &mut Seeded) -> String {
    let mut text = question.to_owned();
    // A fifth of the questions stay exactly as written, so that those are answered for certain.
    if seed.chance(0.2) {
        return text;
    }
    let synonyms = match language {
        Language::Zh => SYNONYMS_ZH,
        Language::En => {
            text = lower_first(&text);
            SYNONYMS_EN
        }
    };
    if !text.starts_with('/') {
        text = replace_synonyms(&text, synonyms, seed);
        text = reorder(text, language, seed);
        text = drop_filler(text, language, seed);
    }
    if seed.chance(0.2) {
        text = slip(&text, seed);
    }
    if seed.chance(0.35) {
        let openings = match (small_talk, language) {
            (true, Language::Zh) => CASUAL_OPENINGS[0],
            (true, Language::En) => CASUAL_OPENINGS[1],
            (false, Language::Zh) => OPENINGS_ZH,
            (false, Language::En) => OPENINGS_EN,
        };
        text.insert_str(0, openings[seed.below(openings.len())]);
    }
    if seed.chance(0.5) {
        let closings = match language {
            Language::Zh => CLOSINGS_ZH,
            Language::En => CLOSINGS_EN,
        };
        text.push_str(closings[seed.below(closings.len())]);
    }
    change_case(text, seed)
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn replace_synonyms(text: &str, groups: &[&[&str]], seed: &mut Seeded) -> String {
    let mut text = text.to_owned();
    for group in groups {
        let Some(found) = group.iter().find(|piece| text.contains(**piece)) else {
            continue;
        };
        if seed.chance(0.3) {
            text = text.replacen(found, group[seed.below(group.len())], 1);
        }
    }
    text
}

/// Puts what is asked about in front: "怎么配置飞书" becomes "飞书怎么配置".
fn reorder(text: String, language: Language, seed: &mut Seeded) -> String {
    if !seed.chance(0.2) {
        return text;
    }
    match language {
        Language::Zh => ["怎么", "如何"]
            .iter()
            .find_map(|asking| {
                let rest = text.strip_prefix(asking)?;
                let verb: String = rest.chars().take(2).collect();
                let object = &rest[verb.len()..];
                (object.chars().count() >= 2).then(|| format!("{object}{asking}{verb}"))
            })
            .unwrap_or(text),
        Language::En => ["how do i ", "how do I ", "what is the ", "what is ", "which ", "where is the "]
            .iter()
            .find_map(|asking| text.strip_prefix(asking).map(str::to_owned))
            .unwrap_or(text),
    }
}

fn drop_filler(text: String, language: Language, seed: &mut Seeded) -> String {
    if !seed.chance(0.25) {
        return text;
    }
    match language {
        Language::Zh if text.chars().count() > 5 => {
            let filler = *seed.pick(FILLERS_ZH);
            text.replacen(filler, "", 1)
        }
        Language::En if text.split(' ').count() > 3 => {
            let kept = text.split(' ').filter(|word| !FILLERS_EN.contains(word) || seed.chance(0.4));
            kept.collect::<Vec<_>>().join(" ")
        }
        _ => text,
    }
}

/// A slip of the keyboard: one character lost, doubled, or swapped with its neighbour.
fn slip(text: &str, seed: &mut Seeded) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    if letters.len() < 5 {
        return text.to_owned();
    }
    let at = 1 + seed.below(letters.len() - 2);
    match seed.below(4) {
        0 | 1 => drop(letters.remove(at)),
        2 => letters.swap(at, at + 1),
        _ => letters.insert(at, letters[at]),
    }
    letters.into_iter().collect()
}

fn change_case(text: String, seed: &mut Seeded) -> String {
    match seed.below(20) {
        0..=5 => {
            let mut letters = text.chars();
            let first = letters.next().map(|letter| letter.to_uppercase().to_string());
            first.into_iter().chain([letters.as_str().to_owned()]).collect()
        }
        6..=9 => text.to_lowercase(),
        10 => text.to_uppercase(),
        _ => text,
    }
}
