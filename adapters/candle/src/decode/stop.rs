//! Texts that end an answer, found across the borders of its pieces.

/// Holds back what may be the beginning of a stop string.
#[derive(Debug)]
pub(crate) struct StopStrings {
    stops: Vec<String>,
    held: String,
}

impl StopStrings {
    pub(crate) fn new(stops: &[String]) -> Self {
        Self { stops: stops.iter().filter(|stop| !stop.is_empty()).cloned().collect(), held: String::new() }
    }

    /// Gives the text that is certain, and whether a stop string followed it.
    pub(crate) fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let certain = self.held.len() - longest_beginning(&self.held, self.stops.iter().map(String::as_str));
        let held = self.held.split_off(certain);
        (std::mem::replace(&mut self.held, held), false)
    }

    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length of the longest end of `text` that is a proper beginning of one of `wanted`.
pub(super) fn longest_beginning<'a>(text: &str, wanted: impl Iterator<Item = &'a str>) -> usize {
    let of_one = |wanted: &str| {
        let lengths = wanted.char_indices().map(|(at, _)| at).rev();
        lengths.into_iter().find(|&length| text.ends_with(&wanted[..length])).unwrap_or(0)
    };
    wanted.map(of_one).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::StopStrings;

    #[test]
    fn a_stop_string_is_found_across_pieces_and_cut_off() {
        let mut stops = StopStrings::new(&["###".to_owned(), String::new()]);
        assert_eq!(stops.push("a#"), ("a".to_owned(), false));
        assert_eq!(stops.push("#b##"), ("##b".to_owned(), false));
        assert_eq!(stops.push("#c"), (String::new(), true));
    }

    #[test]
    fn what_was_held_back_in_vain_comes_at_the_end() {
        let mut stops = StopStrings::new(&["###".to_owned()]);
        assert_eq!(stops.push("a##").0, "a");
        assert_eq!(stops.finish(), "##");
    }
}
