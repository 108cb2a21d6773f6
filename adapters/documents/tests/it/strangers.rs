//! Whatever a stranger sends: nothing panics, nothing hangs, everything has an answer.

use magpie_core::attachment::{File, ReadError, Reader};
use magpie_documents::{DocumentLimits, Documents};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::make::{LATIN, docx, page, stream};

fn samples() -> Vec<Vec<u8>> {
    let body = "<w:p><w:r><w:t>some text</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p/></w:tc></w:tr></w:tbl>";
    let content = stream("", b"q 1 0 0 1 0 0 cm BT /F 10 Tf [(some) -300 (text)] TJ ET Q");
    vec![docx(body), page("", content, LATIN, &[]), "some text,一些文字\n".as_bytes().to_vec()]
}

/// The answer, which has to be one that is meant: not that of a reader which stumbled.
fn check(name: &str, bytes: Vec<u8>) {
    let runtime = Runtime::new().expect("a runtime can be made");
    let file = File { name: name.to_owned(), media_type: String::new(), bytes: bytes.into() };
    let answer = runtime.block_on(crate::reader().read(file, 1000));
    match answer {
        Ok(read) => {
            assert!(!read.text.trim().is_empty() && read.text.chars().count() <= 1000);
            assert!(!read.text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')));
        }
        Err(ReadError::Timeout(_)) => panic!("it hangs"),
        Err(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_have_an_answer(
        beginning in prop::sample::select(vec!["", "%PDF-1.7\n", "PK\u{3}\u{4}", "{\\rtf", "\u{feff}"]),
        rest in prop::collection::vec(any::<u8>(), 0..400),
        name in prop::sample::select(vec!["a.txt", "a.pdf", "a.docx", "", "a.csv"]),
    ) {
        check(name, [beginning.as_bytes(), &rest].concat());
    }

    #[test]
    fn files_with_wrong_bytes_have_an_answer(
        which in 0_usize..3,
        wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let mut bytes = samples().swap_remove(which);
        for (place, byte) in wrong {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if !whole {
            bytes.truncate(length.index(bytes.len()));
        }
        check("a", bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_answered_at_the_deadline() {
    // Nobody's turn ever comes.
    let limits = DocumentLimits { at_once: 0, ..DocumentLimits::default() };
    let file = File { name: "a.txt".into(), media_type: String::new(), bytes: "text".into() };
    let answer = Documents::new(limits).read(file, 1000).await;
    assert!(matches!(answer, Err(ReadError::Timeout(_))));
}

#[tokio::test]
async fn many_files_are_read_with_few_threads() {
    let reader = crate::reader();
    let files = (0..20).map(|number| {
        let bytes = format!("file {number}").into();
        reader.read(File { name: "a.txt".into(), media_type: String::new(), bytes }, 1000)
    });
    for (number, read) in futures::future::join_all(files).await.into_iter().enumerate() {
        assert_eq!(read.expect("it can be read").text, format!("file {number}"));
    }
}
