//! Takes dispatches off the queue and delivers them.
//!
//! The way of a dispatch is [`pipeline`]: resolve, skip, admit, attempt, decide, settle, ack. Around it stand what
//! travels ([`job`], one target of a dispatch, and the [`bundle`] it came in) and what is asked: the [`directory`] of
//! callbacks (no query an event), for each callback its [`gate`] (how many requests at once), [`circuit`] (whether its
//! endpoint is left alone) and [`rate`] (how many a second), the [`sender`] (one HTTP request, guarded), and the
//! [`history`] (tried until it answers). [`Worker`] feeds it.

mod bundle;
mod circuit;
mod directory;
mod fan_out;
mod gate;
mod history;
mod insist;
mod job;
mod pipeline;
mod rate;
mod request;
mod sender;
mod waits;
mod worker;

pub use circuit::{CircuitState, Circuits};
pub use sender::{InvalidCaFile, Sender, SenderSettings, trusted_certificates};
pub use worker::{Ports, Worker, WorkerSettings};
