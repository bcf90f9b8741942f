//! End to end: a real `ringback` process, a real receiver, HTTP between them and us. Nothing here looks inside.
//!
//! `cargo xtask test` builds the process and says where it is.

mod accounts;
mod bad_input;
mod commands;
mod delivery;
mod distributed;
mod events;
mod full_disk;
mod kill;
mod lifecycle;
mod pausing;
mod receivers;
mod support;
mod tls;
