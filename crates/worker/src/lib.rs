//! Takes dispatches off the queue and delivers them.
//!
//! The way of a dispatch is [`pipeline`]: resolve, skip, admit, attempt, decide, settle, ack. Around it stand what it
//! asks: the [`directory`] of callbacks (no query an event), the [`gate`] of each callback (how many requests at once),
//! and the [`sender`] (one HTTP request, guarded). [`Worker`] feeds it.

mod directory;
mod gate;
mod pipeline;
mod request;
mod sender;
mod worker;

pub use sender::{InvalidCaFile, Sender, SenderSettings};
pub use worker::{Ports, Worker, WorkerSettings};
