//! Takes events in: checked, given an id, on the queue, and only then answered.
//!
//! The way of a request is [`accept`](Ingest::accept): parse, recognise repeats, publish, remember, answer. A 202 says
//! that the event is durable: whatever dies after it, the event reaches every callback that matches. What producers put
//! on a queue themselves goes the same way ([`run_intake`](Ingest::run_intake)), and is acked where a request is answered.

mod accept;
mod amqp;
mod candidate;
mod catalog;
mod cloud_event;
mod counting;
mod http;
mod mark;
mod memory;
mod spans;
mod wire;

pub use accept::{Ingest, Rules};
pub use candidate::REMEMBERED;
pub use http::{openapi, router};
