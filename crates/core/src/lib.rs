//! The domain of Ringback: what an event, a callback, a delivery and an outcome are, and what follows from them.
//!
//! Everything here is pure: no I/O, no clock, no randomness, no async. Time and chance come in as arguments, so a
//! test of a retry in 300 s takes no time. Read in this order: what comes in ([`event`], [`catalog`]), who wants it
//! ([`callback`], [`filter`], [`template`]), how it travels ([`dispatch`]), what goes out ([`render`],
//! [`signature`], [`address`]), what came of it ([`outcome`], [`retry`], [`delivery`]), how fast it may be ([`rate`]),
//! which trace it belongs to ([`trace`]).

#![deny(clippy::wildcard_enum_match_arm)]

pub mod address;
pub mod callback;
pub mod catalog;
pub mod delivery;
pub mod dispatch;
pub mod event;
pub mod filter;
pub mod id;
pub mod operational;
pub mod outcome;
pub mod rate;
pub mod render;
pub mod retry;
pub mod secret;
pub mod signature;
pub mod template;
pub mod timestamp;
pub mod trace;

pub use callback::Callback;
pub use dispatch::{Dispatch, Target, Targets};
pub use event::{Account, Event, EventName, Variables};
pub use id::{ApiKeyId, CallbackId, DeliveryId, EventId, LoggedRequestId, ReplayId};
pub use outcome::Outcome;
pub use timestamp::Timestamp;
pub use trace::TraceContext;
