//! Takes events in over HTTP: checked, given an id, on the queue, and only then answered.
//!
//! The way of a request is [`accept`](Ingest::accept): parse, recognise repeats, publish, remember, answer. A 202 says
//! that the event is durable: whatever dies after it, the event reaches every callback that matches.

mod accept;
mod http;
mod wire;

pub use accept::Ingest;
pub use http::{openapi, router};
