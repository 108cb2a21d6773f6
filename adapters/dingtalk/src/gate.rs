//! Remembers for some minutes that the platform refuses cards to this bot, so that answers go straight to Markdown.

use std::sync::{Mutex, PoisonError};

use magpie_core::clock::UnixMillis;

use crate::form::Template;

#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: Mutex<Closed>,
}

#[derive(Debug, Default)]
struct Closed {
    own_until: Option<UnixMillis>,
    public_until: Option<UnixMillis>,
}

impl Gate {
    pub fn is_open(&self, template: Template, now: UnixMillis) -> bool {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let until = match template {
            Template::Own => closed.own_until,
            Template::Public => closed.public_until,
        };
        until.is_none_or(|until| until <= now)
    }

    pub fn close(&self, template: Template, until: UnixMillis) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        match template {
            Template::Own => closed.own_until = Some(until),
            Template::Public => closed.public_until = Some(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_template_is_tried_again_later_and_the_other_meanwhile() {
        let gate = Gate::default();
        gate.close(Template::Own, UnixMillis(10));
        assert!(!gate.is_open(Template::Own, UnixMillis(9)) && gate.is_open(Template::Public, UnixMillis(9)));
        assert!(gate.is_open(Template::Own, UnixMillis(10)));
    }
}
