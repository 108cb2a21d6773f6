//! Text of a PDF.
//!
//! `lopdf` reads the objects; what is on a page is followed here (`page`), with just as much of fonts (`font`) as tells
//! characters and their widths, because where one text ends and the next begins is all that makes words and lines in
//! a PDF (ISO 32000-1, §9). Pictures are not looked at.

mod font;
mod matrix;
mod page;
mod table;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lopdf::{DecompressError, Document, Error, LoadOptions, Object, ObjectId};
use magpie_core::attachment::ReadError;

use crate::output::{Halt, Output};
use page::Pages;

/// Pages that are read; a text that long was cut off before.
const MAX_PAGES: usize = 500;
/// Objects of the whole file.
const MAX_OBJECTS: usize = 1_000_000;

pub(crate) fn read(bytes: &[u8], unpacked_bytes: usize, output: &mut Output) -> Result<(), Halt> {
    let document = load(bytes, unpacked_bytes, output)?;
    if document.is_encrypted() {
        return Err(ReadError::Locked.into());
    }
    let mut pages = Pages::new(&document, unpacked_bytes);
    for (number, page) in document.page_iter().enumerate() {
        if number == MAX_PAGES {
            output.cut();
            break;
        }
        pages.read(page, output)?;
        output.push("\n\n")?;
    }
    Ok(())
}

fn load(bytes: &[u8], unpacked_bytes: usize, output: &Output) -> Result<Document, ReadError> {
    let load = |force_reconstruct| {
        LOADING.set(Some(Loading { given_up: output.given_up(), objects: 0 }));
        let filter: lopdf::FilterFunc = thinned;
        let options = LoadOptions {
            filter: Some(filter),
            // Tables of objects, which take many times their length.
            max_decompressed_size: Some(unpacked_bytes / 4),
            force_reconstruct,
            ..LoadOptions::default()
        };
        Document::load_mem_with_options(bytes, options).map_err(|error| meaning(&error))
    };
    let document = load(false)?;
    // A table of objects that leads nowhere is common in files that a mail program has rewritten.
    if !document.is_encrypted() && document.page_iter().next().is_none() { load(true) } else { Ok(document) }
}

thread_local! {
    /// The library's filter is a bare function, so what it needs to know lies here.
    static LOADING: RefCell<Option<Loading>> = const { RefCell::new(None) };
}

struct Loading {
    given_up: Arc<AtomicBool>,
    objects: usize,
}

/// Thrown to get out of the library, which unpacks every table of objects that a file names before it returns.
pub(crate) struct TooMuch;

/// Called with each object that is loaded: drops pictures, and ends it all when there are too many objects.
fn thinned(id: ObjectId, object: &mut Object) -> Option<(ObjectId, Object)> {
    let enough = LOADING.with_borrow_mut(|loading| {
        loading.as_mut().is_some_and(|loading| {
            loading.objects += 1;
            loading.objects > MAX_OBJECTS || loading.given_up.load(Ordering::Relaxed)
        })
    });
    if enough {
        std::panic::resume_unwind(Box::new(TooMuch));
    }
    match object {
        // For objects in the file itself only the mutation counts; no stream is in a table of objects.
        Object::Stream(stream) => {
            if stream.dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|subtype| subtype == b"Image") {
                stream.content = Vec::new();
            }
            Some((id, Object::Null))
        }
        other => Some((id, other.clone())),
    }
}

fn meaning(error: &Error) -> ReadError {
    match error {
        Error::InvalidPassword | Error::Decryption(_) | Error::UnsupportedSecurityHandler(_) => ReadError::Locked,
        Error::Decompress(DecompressError::MemoryLimitExceeded { .. }) => {
            ReadError::TooLarge { what: "it is too long when unpacked" }
        }
        _ => ReadError::Damaged { what: "its structure can't be read" },
    }
}
