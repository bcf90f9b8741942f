//! The web console, as a browser without script sees it.

mod harness;

mod callback;
mod callbacks;
mod deliveries;
mod event_notification;
mod events;
mod failed;
mod integrations;
mod links;
mod live;
mod log;
mod overview;
mod ready;
mod reference;
mod replays;
mod settings;
mod signing_in;
