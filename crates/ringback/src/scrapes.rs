//! The text of `/metrics`, for as many as ask for it, and however slowly they read.
//!
//! **Problem.** Asking takes no key. With thousands of callbacks the text takes a core for a while to write, and tens of
//! megabytes until its last reader has it: who asked again and again, and read nothing, would fill the memory.
//!
//! **Design.** It is written once a second at the most, and who asks within that second gets the same. It is handed out
//! piece by piece, and no more than [`TEXTS_MAX`] texts are kept: when one more is written, the oldest is taken away from
//! whoever still reads it, and the answer is broken off.

use std::collections::VecDeque;
use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{Stream, stream};
use ringback_metrics::Metrics;
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_secs(1);
/// With the newest one. Who reads has three seconds, and longer where nobody asks each second.
const TEXTS_MAX: usize = 4;
/// Copied for a reader at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Writes down what is counted, and hands it out.
pub(crate) struct Scrapes {
    metrics: Metrics,
    written: Arc<Mutex<Written>>,
}

/// What was counted at one moment.
pub(crate) struct Text {
    len: usize,
    /// None: it was taken away.
    bytes: RwLock<Option<Bytes>>,
}

/// Newer ones were asked for while it was read.
#[derive(Debug, thiserror::Error)]
#[error("read too slowly")]
pub(crate) struct Overtaken;

#[derive(Default)]
struct Written {
    newest: Option<(Instant, Arc<Text>)>,
    /// Those before it, the oldest first, as far as somebody reads them.
    read: VecDeque<Weak<Text>>,
}

impl Scrapes {
    pub(crate) fn of(metrics: Metrics) -> Self {
        Self { metrics, written: Arc::default() }
    }

    /// What is counted now, or was a moment ago.
    ///
    /// # Errors
    /// If writing it down panics.
    pub(crate) async fn text(&self) -> Result<Arc<Text>, JoinError> {
        // It goes along with the work: if who asked hangs up, the next one waits for this text and does not write another.
        let mut written = self.written.clone().lock_owned().await;
        if let Some((at, text)) = &written.newest
            && at.elapsed() < INTERVAL
        {
            return Ok(text.clone());
        }
        let metrics = self.metrics.clone();
        let write = move || written.put(metrics.to_text(), Instant::now());
        tokio::task::spawn_blocking(write).await
    }
}

impl Written {
    fn put(&mut self, text: String, now: Instant) -> Arc<Text> {
        if let Some((_, before)) = self.newest.take() {
            self.read.push_back(Arc::downgrade(&before));
        }
        self.read.retain(|text| text.strong_count() > 0);
        while self.read.len() >= TEXTS_MAX {
            if let Some(text) = self.read.pop_front().and_then(|oldest| oldest.upgrade()) {
                text.take_away();
            }
        }
        let text = Arc::new(Text { len: text.len(), bytes: RwLock::new(Some(text.into())) });
        self.newest = Some((now, text.clone()));
        text
    }
}

impl Text {
    /// In bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// All of it, piece by piece.
    pub(crate) fn pieces(self: Arc<Self>) -> impl Stream<Item = Result<Bytes, Overtaken>> {
        stream::try_unfold((self, 0), async |(text, from)| {
            if from == text.len {
                return Ok(None);
            }
            let piece = text.piece(from)?;
            let next = from + piece.len();
            Ok(Some((piece, (text, next))))
        })
    }

    fn piece(&self, from: usize) -> Result<Bytes, Overtaken> {
        let bytes = self.bytes.read().expect("nobody panics holding it");
        let bytes = bytes.as_ref().ok_or(Overtaken)?;
        let to = bytes.len().min(from + PIECE_BYTES);
        // A slice would keep the whole alive.
        Ok(Bytes::copy_from_slice(&bytes[from..to]))
    }

    fn take_away(&self) {
        *self.bytes.write().expect("nobody panics holding it") = None;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, TryStreamExt as _};

    use super::*;

    async fn read(text: Arc<Text>) -> Result<String, Overtaken> {
        let pieces: Vec<Bytes> = text.pieces().try_collect().await?;
        Ok(String::from_utf8(pieces.concat()).expect("text"))
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_within_a_second_gets_the_same_text() {
        let metrics = Metrics::default();
        let scrapes = Scrapes::of(metrics.clone());
        let first = scrapes.text().await.expect("written");
        assert!(Arc::ptr_eq(&first, &scrapes.text().await.expect("written")));
        assert!(!read(first).await.expect("whole").contains("ringback_events_accepted_total"));
        let _intake = metrics.intake();
        tokio::time::advance(INTERVAL).await;
        let next = scrapes.text().await.expect("written");
        assert!(read(next).await.expect("whole").contains("ringback_events_accepted_total"));
    }

    #[tokio::test]
    async fn slow_readers_keep_few_texts_and_the_newest_is_whole() {
        let mut written = Written::default();
        let text = |number: usize| number.to_string().repeat(PIECE_BYTES + 1);
        let mut slow = Vec::new();
        for number in 0..10 {
            let mut pieces = Box::pin(written.put(text(number), Instant::now()).pieces());
            pieces.next().await.expect("the first piece").expect("it is there");
            slow.push(pieces);
        }
        for (number, mut pieces) in slow.into_iter().enumerate() {
            let next = pieces.next().await.expect("more").is_ok();
            assert_eq!(next, number >= 10 - TEXTS_MAX, "{number}");
        }
        // Those that nobody reads are in nobody's way.
        let whole = written.put(text(1), Instant::now());
        for number in 0..10 {
            written.put(text(number), Instant::now());
        }
        assert_eq!(read(whole).await.expect("whole"), text(1));
    }
}
