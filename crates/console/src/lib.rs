//! The management API: callbacks, history, retries by hand, API keys, live attempts.
//!
//! Each part has its handlers in a module of its own (`callbacks`, `events`, `deliveries`, `live`, `api_keys`); what
//! they take and answer is in `wire`, apart from the domain.

mod router;
mod state;

mod callbacks;
mod merge_patch;

mod deliveries;
mod events;
mod live;

mod api_keys;

mod wire;

pub use router::{openapi, router};
pub use state::Console;
