use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use strum::VariantArray;

use super::*;

const LANGUAGES: [(Language, &str); 2] = [(Language::Zh, SOURCE_ZH), (Language::En, SOURCE_EN)];

/// The names in a file, each with the variables that its message names anywhere.
fn names(source: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    let mut name = "";
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with(|first: char| first.is_ascii_alphabetic()) {
            name = line.split_once('=').expect("a name and `=`").0.trim();
            assert!(found.insert(name, BTreeSet::new()).is_none(), "{name} is there twice");
        }
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let variables = line.split('$').skip(1).filter_map(|rest| rest.split(ends).next());
        found.entry(name).or_default().extend(variables);
    }
    found.remove("");
    found
}

#[test]
fn the_names_in_both_files_are_those_of_the_enum() {
    let expected: BTreeSet<_> = Text::VARIANTS.iter().map(|text| text.id()).collect();
    for (language, source) in LANGUAGES {
        assert_eq!(names(source).into_keys().collect::<BTreeSet<_>>(), expected, "{language:?}");
    }
}

#[test]
fn a_text_has_the_same_variables_in_both_files() {
    assert_eq!(names(SOURCE_ZH), names(SOURCE_EN));
}

#[test]
fn both_files_parse_and_every_text_formats() {
    for (language, source) in LANGUAGES {
        FluentResource::try_new(source.to_owned()).unwrap_or_else(|(_, errors)| panic!("{language:?}: {errors:?}"));
        let variables = names(source);
        for text in Text::VARIANTS {
            for number in [1_u64, 2] {
                let values: Vec<_> =
                    variables[text.id()].iter().map(|name| (*name, FluentValue::from(number))).collect();
                let sentence = text.with(language, &values);
                assert!(!sentence.trim().is_empty() && !sentence.contains(['{', '}']), "{text:?}: {sentence}");
            }
        }
    }
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "Took in En")]
fn a_value_forgotten_is_noticed_in_tests() {
    let _ = Text::Took.of(Language::En);
}

#[test]
fn a_text_of_several_paragraphs_keeps_them() {
    let help = Text::Help.of(Language::En);
    assert!(help.starts_with("Just ask; in a group, @mention me.\n\n- `/help`: this page\n- `/new`: "), "{help}");
    assert!(
        Text::Help.of(Language::Zh).ends_with("\n- `/pause`、`/resume` 或 `/暂停`、`/恢复`：管理员用，对当前会话生效")
    );
}

proptest! {
    #[test]
    fn what_a_person_wrote_is_inserted_as_it_is(cause in any::<String>()) {
        for cause in [cause.as_str(), "{ $cause }", "{ -x }\u{5d0}", "3"] {
            let sentence = Text::FellBack.with(Language::En, &[("cause", cause.into())]);
            prop_assert_eq!(sentence, format!("fell back ({cause})"));
        }
    }
}

#[test]
fn people_are_told_how_many_are_before_them_and_how_long_it_takes() {
    let line = |waiting, seconds: Option<u64>, language| {
        in_line(Backlog { running: 1, waiting, expected_wait: seconds.map(Duration::from_secs) }, language)
    };
    assert_eq!(line(0, None, Language::En), None);
    assert_eq!(line(0, Some(2), Language::Zh), None);
    assert_eq!(line(0, Some(9), Language::Zh).unwrap(), "大约 9 秒后开始回答。");
    assert_eq!(line(0, Some(9), Language::En).unwrap(), "The answer will begin in about 9 s.");
    assert_eq!(line(1, None, Language::En).unwrap(), "1 question before yours.");
    assert_eq!(line(2, None, Language::Zh).unwrap(), "前面还有 2 个问题。");
    assert_eq!(line(2, Some(1), Language::En).unwrap(), "2 questions before yours.");
    assert_eq!(line(1, Some(40), Language::En).unwrap(), "1 question before yours; about 40 s to wait.");
    assert_eq!(line(1200, Some(40), Language::En).unwrap(), "1200 questions before yours; about 40 s to wait.");
    assert_eq!(line(2, Some(40), Language::Zh).unwrap(), "前面还有 2 个问题，大约 40 秒后开始回答。");
}
