//! The management API (callbacks, history, retries by hand, API keys, live attempts) and the web console.
//!
//! Each part has its handlers in a module of its own (`callbacks`, `pausing`, `rotation`, `events`, `deliveries`, `live`,
//! `api_keys`, `console_links`, `event_types`, `accounts`); what they take and answer is in `wire`, apart from the domain. What
//! brings deliveries to an end or makes them anew is in `cancelling`, `again` (one event), `replays` (many, as a job) and
//! `trial` (a test event). Three tasks work on their own: `parked`, which lets go what was kept while a callback was paused,
//! `replaying`, which works on bulk replays, and `pages::ready`, which reads what pages show of everything. `registration` and
//! `sink` stand in for two other systems.
//!
//! `pages` is the web console, for people, `reference` its public part; `facts` is what the process tells it of itself.

mod router;
mod state;

mod callbacks;
mod merge_patch;
mod operational;
mod parked;
mod pausing;
mod rotation;

mod deliveries;
mod events;
mod live;

mod again;
mod cancelling;
mod replaying;
mod replays;
mod trial;

mod registration;
mod sink;

mod api_keys;
mod console_links;
mod facts;

mod accounts;
mod event_types;
mod reference;

mod pages;

mod wire;

pub use facts::{Dependency, Facts, Kept};
pub use router::{openapi, router};
pub use state::Console;
