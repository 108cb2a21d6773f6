//! A download as a whole, within a limit.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use crate::platform::{Download, SendError};

/// Why a download was given up.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    #[error("the file is longer than {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
    #[error(transparent)]
    Send(#[from] SendError),
}

/// The whole of a download, if that is not longer than `max_bytes`. Gives up as soon as more is announced or comes, so
/// that never more than that is held.
///
/// # Errors
/// [`GatherError::TooLarge`], or what the platform said.
pub async fn gather(download: Download, max_bytes: usize) -> Result<Bytes, GatherError> {
    let too_large = || GatherError::TooLarge { max_bytes };
    let announced = download.bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if announced.is_some_and(|bytes| bytes > max_bytes) {
        return Err(too_large());
    }
    let mut stream = download.stream;
    let mut all = BytesMut::with_capacity(announced.unwrap_or_default());
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if piece.len() > max_bytes - all.len() {
            return Err(too_large());
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn download(bytes: Option<u64>, pieces: &[&'static [u8]]) -> Download {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
        Download { media_type: String::new(), bytes, stream: stream::iter(pieces).boxed() }
    }

    #[tokio::test]
    async fn a_download_is_gathered_up_to_its_limit_and_no_further() {
        let whole = gather(download(None, &[b"ab", b"cd"]), 4).await.expect("four bytes are allowed");
        assert_eq!(&whole[..], b"abcd");
        let longer = gather(download(Some(1), &[b"ab", b"cde"]), 4).await;
        assert!(matches!(longer, Err(GatherError::TooLarge { max_bytes: 4 })));
    }

    #[tokio::test]
    async fn a_download_that_announces_too_much_is_not_begun() {
        let stream = stream::once(async { panic!("nothing is read") }).boxed();
        let announced = Download { media_type: String::new(), bytes: Some(5), stream };
        assert!(matches!(gather(announced, 4).await, Err(GatherError::TooLarge { .. })));
    }
}
