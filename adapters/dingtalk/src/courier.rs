//! What all deliveries of a bot share, and which form a delivery takes.

use std::sync::Arc;

use magpie_core::clock::Clock;
use magpie_core::event::ReplyTo;
use magpie_core::ids::CardId;
use magpie_core::platform::{CardRef, DeliveryKey};

use crate::api::Api;
use crate::calls::Target;
use crate::card::{Presses, Templates};
use crate::config::Timing;
use crate::form::{CardForm, Form, MessagesForm, Template};
use crate::gap::Gaps;
use crate::gate::Gate;
use crate::route::{WayBack, WebhookHosts};

/// The public AI card: title, streamed Markdown, buttons that call back. Works for every app without set-up; the
/// platform gives no written guarantee, hence the forms after it. Source: the vendor's Python SDK, August 2026.
const PUBLIC_TEMPLATE: &str = "382e4302-551d-4880-bf29-a30acfab2e71.schema";
/// Everything that sending needs and all deliveries share.
pub(crate) struct Courier {
    pub api: Api,
    pub templates: Templates,
    pub clock: Arc<dyn Clock>,
    pub hosts: WebhookHosts,
    pub robot_code: String,
    pub own_template: Option<String>,
    /// Key of the registered callback address; `None`: presses can't come back.
    pub callback_route: Option<String>,
    pub gate: Gate,
    pub gaps: Gaps,
    pub timing: Timing,
}

impl Courier {
    /// Chooses the form. Nothing is called: the card's id is ours.
    pub fn prepare(&self, to: &ReplyTo, key: &DeliveryKey) -> CardRef {
        let form = self.form_after(None, Target::of(to, &WayBack::of(to)).is_some());
        let mut at = CardRef {
            key: key.clone(),
            message: None,
            card: card_id(&form, key),
            sequence: 0,
            created_at: self.clock.now(),
            form: serde_json::Value::Null,
        };
        form.save(&mut at);
        at
    }

    /// The next form that may work.
    pub fn form_after(&self, refused: Option<Template>, can_reach: bool) -> Form {
        let now = self.clock.now();
        let candidates = match refused {
            None => &[Template::Own, Template::Public][..],
            Some(Template::Own) => &[Template::Public],
            Some(Template::Public) => &[],
        };
        let exists = |template: Template| template == Template::Public || self.own_template.is_some();
        let usable = |template: &&Template| can_reach && exists(**template) && self.gate.is_open(**template, now);
        candidates
            .iter()
            .find(usable)
            .map_or_else(|| Form::Messages(MessagesForm::default()), |template| Form::Card(CardForm::new(*template)))
    }

    pub fn presses(&self) -> Presses {
        if self.callback_route.is_some() { Presses::ComeBack } else { Presses::AreLost }
    }

    pub fn template_id(&self, template: Template) -> &str {
        match template {
            Template::Own => self.own_template.as_deref().unwrap_or(PUBLIC_TEMPLATE),
            Template::Public => PUBLIC_TEMPLATE,
        }
    }
}

/// The card's id, which is ours: derived from the event, so that a repeat names the same card.
pub(crate) fn card_id(form: &Form, key: &DeliveryKey) -> Option<CardId> {
    match form {
        Form::Card(form) => Some(CardId(key.step(form.template.step()))),
        Form::Messages(_) => None,
    }
}
