//! The web console, as a browser without script sees it.

mod harness;

mod callback;
mod callbacks;
mod event_notification;
mod integrations;
mod overview;
mod signing_in;
mod deliveries;
mod events;
mod failed;
mod replays;
mod links;
mod log;
mod reference;
mod settings;
