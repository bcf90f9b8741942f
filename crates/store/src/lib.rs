//! Configuration (callbacks, API keys) and history (events, deliveries, attempts).
//!
//! [`Store`] is the port. Adapters stand beside it, each of which runs the same conformance suite. All SQL of
//! configuration and history is here, and so is the sealing of secrets: what leaves this crate for a disk is unreadable
//! without the master key.

pub mod api_key;
mod batch;
mod catalog;
mod changes;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod logged_request;
mod migrations;
mod port;
pub mod postgres;
mod query;
mod replay;
mod rows;
mod seal;
mod search;
mod sessions;
mod sql;
pub mod sqlite;
mod tally;
mod traffic;
pub mod transfer;
mod writes;

pub use api_key::{ApiKey, KeyHash, Scope};
pub use catalog::{AccountSettings, CatalogStore, UnknownTypes};
pub use error::{Cause, Error};
pub use logged_request::LoggedRequest;
pub use port::{
    Backlog, CallbackChange, DeliveryKey, HistoryRecord, LOGGED_REQUESTS_KEPT, LOOKED_AHEAD,
    LastKey, LiveAttempt, OVERDUE_AFTER, OVERDUE_MAX, Parked, Recorded, RecordedState, Revision,
    Store,
};
pub use query::{
    CallbackQuery, Cursor, DeliveryQuery, EventQuery, EventSearch, EventsFound, InvalidCursor,
    LOOKED_MAX, LoggedRequestQuery, Page, StatusFilter, VariableIs,
};
pub use replay::{Replay, ReplayFilter, ReplayStatus, Replayable, Replays};
pub use seal::{InvalidMasterKey, MasterKey};
pub use sessions::{Pass, Sessions};
pub use traffic::{Step, Traffic, TrafficOf, TrafficStore};
