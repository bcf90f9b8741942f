//! The management API: callbacks, history, retries by hand, API keys, live attempts.
//!
//! Each part has its handlers in a module of its own ([`callbacks`], [`events`], [`deliveries`], [`api_keys`],
//! [`live`]); what they take and answer is in [`wire`], apart from the domain.

mod api_keys;
mod callbacks;
mod deliveries;
mod events;
mod live;
mod merge_patch;
mod router;
mod state;
mod wire;

pub use router::{openapi, router};
pub use state::Console;
