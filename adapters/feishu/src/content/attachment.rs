//! Messages that are a file of some sort.

use magpie_core::event::ContentKind;
use serde_json::Value;

use super::{Converted, resource};

fn attachment(kind: ContentKind, content: &Value, key_field: &str) -> Option<Converted> {
    let resources = vec![resource(kind.clone(), content, key_field)?];
    Some(Converted { kind, text: String::new(), resources })
}

pub(super) fn image(content: &Value) -> Option<Converted> {
    attachment(ContentKind::Image, content, "image_key")
}

pub(super) fn file(content: &Value) -> Option<Converted> {
    attachment(ContentKind::File, content, "file_key")
}

pub(super) fn folder(content: &Value) -> Option<Converted> {
    attachment(ContentKind::Folder, content, "file_key")
}

pub(super) fn audio(content: &Value) -> Option<Converted> {
    attachment(ContentKind::Audio, content, "file_key")
}

/// The cover picture is not taken along: it is no part of what the person said.
pub(super) fn video(content: &Value) -> Option<Converted> {
    attachment(ContentKind::Video, content, "file_key")
}

pub(super) fn sticker(content: &Value) -> Option<Converted> {
    attachment(ContentKind::Sticker, content, "file_key")
}
