use proptest::prelude::*;

use super::{MAX_EVENT_BYTES, SseError, SseEvent, SseParser};

fn parse(bytes: &[u8]) -> (Vec<SseEvent>, Result<(), SseError>) {
    parse_chunks([bytes])
}

fn parse_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<SseEvent>, Result<(), SseError>) {
    let mut parser = SseParser::default();
    let mut events = Vec::new();
    for chunk in chunks {
        if let Err(error) = parser.feed(chunk, &mut events) {
            return (events, Err(error));
        }
    }
    (events, Ok(()))
}

fn data(bytes: &[u8]) -> Vec<String> {
    let (events, result) = parse(bytes);
    result.expect("the stream is well formed");
    events.into_iter().map(|event| event.data).collect()
}

#[test]
fn an_event_ends_at_an_empty_line_whatever_the_line_ending() {
    assert_eq!(data(b"data: a\n\ndata: b\r\n\r\ndata: c\r\r"), ["a", "b", "c"]);
}

#[test]
fn comments_and_other_fields_are_passed_over() {
    assert_eq!(data(b": ping\n\nevent: message\nid: 1\nretry: 10\ndata: a\n\n: ping\n\n"), ["a"]);
}

#[test]
fn data_lines_are_joined_and_lose_one_space_only() {
    assert_eq!(data(b"data:  two\ndata\ndata:x:y\n\n"), [" two\n\nx:y"]);
}

#[test]
fn an_event_without_its_empty_line_is_not_given_out() {
    assert_eq!(data(b"data: a\n\ndata: half\n"), ["a"]);
}

#[test]
fn a_byte_order_mark_at_the_start_is_dropped() {
    assert_eq!(data("\u{feff}data: a\n\n".as_bytes()), ["a"]);
}

#[test]
fn what_is_not_an_event_stream_is_an_error() {
    assert_eq!(parse(b"<html>\n").1, Err(SseError::UnknownField));
    assert_eq!(parse(b"data: \xff\n").1, Err(SseError::NotUtf8));
}

#[test]
fn endless_lines_and_endless_events_are_refused() {
    let line = vec![b'x'; MAX_EVENT_BYTES + 1];
    assert_eq!(parse(&line).1, Err(SseError::TooLong));
    let event = "data: 0123456789\n".repeat(MAX_EVENT_BYTES / 10);
    assert_eq!(parse(event.as_bytes()).1, Err(SseError::TooLong));
}

fn chop(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut positions: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    positions.extend([0, bytes.len()]);
    positions.sort_unstable();
    positions.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

proptest! {
    #[test]
    fn any_chopping_gives_the_same_events(
        texts in prop::collection::vec("[^\r\n]{0,20}(\n[^\r\n]{0,20}){0,2}", 0..6),
        ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut stream = String::new();
        for text in &texts {
            for line in text.split('\n') {
                stream.push_str(&format!("data: {line}{ending}"));
            }
            stream.push_str(&format!(": keep alive{ending}{ending}"));
        }
        let chunks = chop(stream.as_bytes(), &cuts);
        let (events, result) = parse_chunks(chunks.iter().map(Vec::as_slice));
        prop_assert_eq!(result, Ok(()));
        let found: Vec<String> = events.into_iter().map(|event| event.data).collect();
        prop_assert_eq!(found, texts);
    }

    #[test]
    fn any_bytes_give_the_same_result_however_chopped(
        bytes in prop::collection::vec(prop::sample::select(b"data:evnti \r\n\xc3\xa4\xf0{}".to_vec()), 0..120),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let chunks = chop(&bytes, &cuts);
        prop_assert_eq!(parse_chunks(chunks.iter().map(Vec::as_slice)), parse(&bytes));
    }
}
