//! End to end: a real `ringback` process, a real receiver, HTTP between them and us. Nothing here looks inside.
//!
//! `cargo xtask test` builds the process and says where it is.

mod accounts;
mod api_document;
mod backup;
mod bad_input;
mod browser;
mod callback_fields;
mod catalog;
mod cloud_events;
mod commands;
mod console_links;
mod delivery;
mod distributed;
mod events;
mod full_disk;
mod kill;
mod lifecycle;
mod logs;
mod metrics;
mod monitoring;
mod operational;
mod pausing;
mod receivers;
mod replay;
mod rotation;
mod samples;
mod scheduled;
mod stand_in;
mod support;
mod tls;
mod traces;
