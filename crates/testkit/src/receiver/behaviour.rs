//! What a receiver does with a request.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Interval;

use super::Received;

/// What a receiver does with a request.
#[derive(Clone)]
pub enum Behaviour {
    /// Answers.
    Answer(Answer),
    /// Waits before it goes on.
    After(Duration, Box<Self>),
    /// Never answers.
    Hang,
    /// Answers the first requests with one `webhook-id` in one way, and goes on in another.
    FailFirst {
        /// How many requests fail.
        times: u32,
        /// How they fail.
        failure: Box<Self>,
        /// What follows.
        then: Box<Self>,
    },
    /// Closes the connection after the head of the request, without reading its body.
    CloseBeforeBody,
    /// Closes the connection after the whole request, without an answer.
    CloseAfterRequest,
    /// Whatever the function says for the request.
    Choose(Arc<dyn Fn(&Received) -> Self + Send + Sync>),
}

/// What a receiver does with a connection. Kept connections stay as they began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Speaks HTTP/1.1.
    Http,
    /// Closes each connection at once.
    CloseAtOnce,
    /// Reads nothing and answers something that is not HTTP.
    Garbage,
}

impl Behaviour {
    /// Answers with this status and nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer(Answer::new(status))
    }

    /// Answers 204, this late.
    #[must_use]
    pub fn slow(delay: Duration) -> Self {
        Self::After(delay, Box::new(Self::status(204)))
    }

    /// Answers `status` to the first `times` requests with one `webhook-id`, and 204 to those after.
    #[must_use]
    pub fn fail_first(times: u32, status: u16) -> Self {
        Self::FailFirst {
            times,
            failure: Box::new(Self::status(status)),
            then: Box::new(Self::status(204)),
        }
    }

    /// Whatever the function says for the request.
    #[must_use]
    pub fn choose(choose: impl Fn(&Received) -> Self + Send + Sync + 'static) -> Self {
        Self::Choose(Arc::new(choose))
    }
}

impl From<Answer> for Behaviour {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: AnswerBody,
}

#[derive(Clone, Debug)]
enum AnswerBody {
    Whole(Bytes),
    Zeros { bytes: u64 },
    Endless { every: Duration },
}

impl Answer {
    /// This status, no headers, no body.
    ///
    /// # Panics
    /// If `status` is none.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("tests give statuses from 100 to 999"),
            headers: HeaderMap::new(),
            body: AnswerBody::Whole(Bytes::new()),
        }
    }

    /// With this header besides.
    ///
    /// # Panics
    /// If it can't be sent.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("tests give names of headers");
        self.headers
            .append(name, HeaderValue::from_str(value).expect("tests give values of headers"));
        self
    }

    /// With `Retry-After` in seconds.
    #[must_use]
    pub fn retry_after_seconds(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER.as_str(), &seconds.to_string())
    }

    /// With `Retry-After` as a date, so far from now, rounded down to the second.
    #[must_use]
    pub fn retry_after_date(self, from_now: Duration) -> Self {
        let date = httpdate::fmt_http_date(SystemTime::now() + from_now);
        self.header(RETRY_AFTER.as_str(), &date)
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = AnswerBody::Whole(body.into());
        self
    }

    /// With a body of so many zeros, which costs the receiver no memory.
    #[must_use]
    pub fn zeros(mut self, bytes: u64) -> Self {
        self.body = AnswerBody::Zeros { bytes };
        self
    }

    /// With a body that goes on for ever, 1 KiB each time.
    #[must_use]
    pub fn endless(mut self, every: Duration) -> Self {
        self.body = AnswerBody::Endless { every };
        self
    }

    pub(super) fn into_response(self) -> http::Response<Content> {
        let content = match self.body {
            AnswerBody::Whole(body) => Content::Whole(body),
            AnswerBody::Zeros { bytes } => Content::Zeros { left: bytes },
            AnswerBody::Endless { every } => {
                Content::Endless { ticks: tokio::time::interval(every) }
            }
        };
        let mut response = http::Response::new(content);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// The body of an answer on its way.
pub(super) enum Content {
    Whole(Bytes),
    Zeros { left: u64 },
    Endless { ticks: Interval },
}

static ZEROS: [u8; 64 * 1024] = [b'0'; 64 * 1024];

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.get_mut() {
            Self::Whole(body) => std::mem::take(body),
            Self::Zeros { left } => {
                let length = ZEROS.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= length as u64;
                Bytes::from_static(&ZEROS[..length])
            }
            Self::Endless { ticks } => {
                std::task::ready!(ticks.poll_tick(context));
                Bytes::from_static(&ZEROS[..1024])
            }
        };
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_empty(),
            Self::Zeros { left } => *left == 0,
            Self::Endless { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Self::Zeros { left } => SizeHint::with_exact(*left),
            Self::Endless { .. } => SizeHint::new(),
        }
    }
}
