//! How far a model is loaded, for who waits at a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on standard error, if that is a terminal; nothing else.
pub struct LoadingBar(ProgressBar);

impl LoadingBar {
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::default_spinner());
        bar.set_message("loading the model");
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// So many of so many bytes are done.
    pub fn at(&mut self, done: u64, all: u64) {
        if self.0.length() != Some(all) {
            // The template is a constant and known to parse; without it the bar only looks plainer.
            if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {bytes} of {total_bytes}") {
                self.0.set_style(style.progress_chars("=> "));
            }
            self.0.set_length(all);
        }
        self.0.set_position(done);
    }

    /// How far it is, in words.
    pub fn say(&mut self, how_far: String) {
        self.0.set_message(how_far);
    }

    pub fn end(&mut self) {
        self.0.finish_and_clear();
    }
}
