//! Files made here, read as somebody's attachments.

mod make;
mod office;
mod pdf;
mod strangers;

use magpie_core::attachment::{File, FileText, ReadError, Reader};
use magpie_documents::{DocumentLimits, Documents};

/// Small, so that bombs are small too.
const UNPACKED_BYTES: usize = 1 << 20;

/// Characters that are asked for.
const ENOUGH: usize = 10_000;

fn reader() -> Documents {
    Documents::new(DocumentLimits { unpacked_bytes: UNPACKED_BYTES, ..DocumentLimits::default() })
}

async fn read(name: &str, bytes: Vec<u8>) -> Result<FileText, ReadError> {
    let file = File { name: name.to_owned(), media_type: String::new(), bytes: bytes.into() };
    reader().read(file, ENOUGH).await
}

async fn text_of(name: &str, bytes: Vec<u8>) -> String {
    read(name, bytes).await.expect("it can be read").text
}

async fn reason_of(name: &str, bytes: Vec<u8>) -> &'static str {
    read(name, bytes).await.expect_err("it can't be read").reason()
}
