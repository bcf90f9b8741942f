//! The pipeline over the real embedded adapters and a real receiver.

#![expect(clippy::disallowed_methods, reason = "tests spawn tasks of their own")]

mod admission;
mod bench;
mod circuits;
mod claims;
mod deliveries;
mod hand_over;
mod operational;
mod outages;
mod ports;
mod scheduled;
mod stopping;
