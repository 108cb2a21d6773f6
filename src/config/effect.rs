//! Keys that are understood but not acted on yet. Set to another value than their default they are refused where
//! ignoring them would be dangerous, else reported at start: nothing is ignored in silence.

use super::problem::{Origin, Problem};
use super::schema::{Place, Schema};
use super::tree::{Kind, Node};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// Somebody would rely on it.
    Refuse,
    Warn,
}

/// `*` stands for any bot or list index.
const WITHOUT_EFFECT: &[(&str, Treatment, &str)] = &[
    ("server.tls.cert", Treatment::Refuse, "TLS is not served yet; put a reverse proxy in front"),
    ("server.tls.key", Treatment::Refuse, "TLS is not served yet; put a reverse proxy in front"),
    ("server.trusted_proxies.*", Treatment::Warn, "no decision depends on client addresses yet"),
    ("store.encryption_key", Treatment::Refuse, "nothing is encrypted at rest yet; use an encrypted volume"),
    ("store.encrypt_messages", Treatment::Refuse, "nothing is encrypted at rest yet; use an encrypted volume"),
    ("bots.*.transport", Treatment::Refuse, "only webhook works yet"),
    ("auth.jwt_secret", Treatment::Warn, "there is no chat API yet"),
    ("auth.token_ttl_seconds", Treatment::Warn, "there is no chat API yet"),
    ("auth.key_rotation_days", Treatment::Warn, "there are no API keys yet"),
    ("auth.auto_rotate", Treatment::Warn, "there are no API keys yet"),
    ("auth.keep_key_versions", Treatment::Warn, "there are no API keys yet"),
    ("auth.admin_allow.*", Treatment::Warn, "there is no admin API yet"),
    ("auth.api_allow.*", Treatment::Warn, "there is no chat API yet"),
    ("limits.api_requests_per_minute", Treatment::Warn, "there is no chat API yet"),
    ("limits.audit_retention_days", Treatment::Warn, "there is no audit log yet"),
];

/// Problems for what is refused, sentences for what is only reported.
pub(super) fn check(root: &Node, schema: &Schema) -> (Vec<Problem>, Vec<String>) {
    let mut found = Found { schema, problems: Vec::new(), warnings: Vec::new() };
    found.below(root, schema.root(), &mut Vec::new());
    (found.problems, found.warnings)
}

struct Found<'s> {
    schema: &'s Schema,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl<'s> Found<'s> {
    fn below(&mut self, node: &Node, place: Place<'s>, path: &mut Vec<String>) {
        let children: Vec<(String, &Node)> = match &node.kind {
            Kind::Table(table) => table.iter().map(|(key, child)| (key.clone(), child)).collect(),
            Kind::Array(items) => items.iter().enumerate().map(|(i, child)| (i.to_string(), child)).collect(),
            _ => return self.leaf(node, place, path),
        };
        for (key, child) in children {
            if let Some(below) = self.schema.child(place, path, &key) {
                path.push(key);
                self.below(child, below, path);
                path.pop();
            }
        }
    }

    fn leaf(&mut self, node: &Node, place: Place<'s>, path: &[String]) {
        let is_default =
            node.origin == Origin::Default || matches!(place, Place::Known(default) if default.kind == node.kind);
        let row = WITHOUT_EFFECT.iter().find(|(pattern, ..)| fits(pattern, path));
        let Some((_, treatment, why)) = row.filter(|_| !is_default) else { return };
        let problem = Problem {
            origin: node.origin.clone(),
            key: path.join("."),
            what: format!("has no effect in this version: {why}"),
        };
        match treatment {
            Treatment::Refuse => self.problems.push(problem),
            Treatment::Warn => self.warnings.push(problem.to_string()),
        }
    }
}

fn fits(pattern: &str, path: &[String]) -> bool {
    let mut parts = pattern.split('.');
    path.iter().all(|key| parts.next().is_some_and(|part| part == "*" || part == key)) && parts.next().is_none()
}
