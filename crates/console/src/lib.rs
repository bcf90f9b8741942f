//! The management API: callbacks, history, retries by hand, API keys, live attempts.
//!
//! Each part has its handlers in a module of its own (`callbacks`, `pausing`, `events`, `deliveries`, `live`,
//! `api_keys`); what they take and answer is in `wire`, apart from the domain. One task works on its own: `parked`, which
//! lets go what was kept while a callback was paused.

mod router;
mod state;

mod callbacks;
mod merge_patch;
mod parked;
mod pausing;

mod deliveries;
mod events;
mod live;

mod api_keys;

mod wire;

pub use router::{openapi, router};
pub use state::Console;
