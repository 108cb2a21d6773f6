//! In which order engines are asked.

use crate::engine::{EngineInfo, EngineKind};
use crate::settings::{ModelChoice, Strategy};

/// Places of the engines in the order of asking; within one kind it is the configured order. A named engine comes
/// first even where the strategy would leave it out; a name that nobody has changes nothing.
pub(super) fn order(engines: &[EngineInfo], strategy: Strategy, choice: &ModelChoice) -> Vec<usize> {
    let of_kind = |kind| (0..engines.len()).filter(move |&place| engines[place].kind == kind);
    let kinds: &[EngineKind] = match strategy {
        Strategy::LocalFirst => &[EngineKind::Local, EngineKind::Cloud],
        Strategy::CloudFirst => &[EngineKind::Cloud, EngineKind::Local],
        Strategy::LocalOnly => &[EngineKind::Local],
        Strategy::CloudOnly => &[EngineKind::Cloud],
    };
    let named = named_place(engines, choice);
    let others = kinds.iter().flat_map(|&kind| of_kind(kind)).filter(|&place| Some(place) != named);
    named.into_iter().chain(others).collect()
}

/// The name that was asked for and that no engine has.
pub(super) fn missing<'a>(engines: &[EngineInfo], choice: &'a ModelChoice) -> Option<&'a str> {
    match choice {
        ModelChoice::Named(name) if named_place(engines, choice).is_none() => Some(name),
        _ => None,
    }
}

/// The name that was asked for and whose engine does not understand images.
pub(super) fn blind<'a>(engines: &[EngineInfo], choice: &'a ModelChoice) -> Option<&'a str> {
    match choice {
        ModelChoice::Named(name) if named_place(engines, choice).is_some_and(|place| !engines[place].vision) => {
            Some(name)
        }
        _ => None,
    }
}

fn named_place(engines: &[EngineInfo], choice: &ModelChoice) -> Option<usize> {
    match choice {
        ModelChoice::Named(name) => engines.iter().position(|engine| engine.name == *name),
        ModelChoice::Auto => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engines() -> Vec<EngineInfo> {
        [("first", EngineKind::Cloud), ("local", EngineKind::Local), ("second", EngineKind::Cloud)]
            .map(|(name, kind)| EngineInfo {
                name: name.into(),
                kind,
                model: "m".into(),
                context_tokens: None,
                vision: false,
            })
            .into()
    }

    #[test]
    fn strategies_order_and_choose_by_kind() {
        let auto = |strategy| order(&engines(), strategy, &ModelChoice::Auto);
        assert_eq!(auto(Strategy::LocalFirst), [1, 0, 2]);
        assert_eq!(auto(Strategy::CloudFirst), [0, 2, 1]);
        assert_eq!(auto(Strategy::LocalOnly), [1]);
        assert_eq!(auto(Strategy::CloudOnly), [0, 2]);
    }

    #[test]
    fn a_named_engine_is_first_whatever_the_strategy() {
        let named = |name: &str, strategy| order(&engines(), strategy, &ModelChoice::Named(name.into()));
        assert_eq!(named("second", Strategy::LocalFirst), [2, 1, 0]);
        assert_eq!(named("second", Strategy::LocalOnly), [2, 1]);
        assert_eq!(named("nobody", Strategy::LocalOnly), [1]);
    }

    #[test]
    fn only_a_name_that_nobody_has_is_missing() {
        assert_eq!(missing(&engines(), &ModelChoice::Named("nobody".into())), Some("nobody"));
        assert_eq!(missing(&engines(), &ModelChoice::Named("local".into())), None);
        assert_eq!(missing(&engines(), &ModelChoice::Auto), None);
    }

    #[test]
    fn only_a_named_engine_without_vision_is_blind() {
        let mut engines = engines();
        engines[0].vision = true;
        assert_eq!(blind(&engines, &ModelChoice::Named("first".into())), None);
        assert_eq!(blind(&engines, &ModelChoice::Named("local".into())), Some("local"));
        assert_eq!(blind(&engines, &ModelChoice::Named("nobody".into())), None);
        assert_eq!(blind(&engines, &ModelChoice::Auto), None);
    }
}
