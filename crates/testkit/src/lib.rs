//! What tests are made of, and nothing else uses: a clock moved by hand ([`ManualClock`]), an HTTP server that
//! misbehaves ([`Receiver`]) with bad certificates ([`Certificate`]), a collector of traces ([`Collector`]), processes that
//! can be killed ([`Process`]), servers of one's own ([`servers`]), a browser ([`Browser`]), and valid values of the domain
//! ([`builders`]).
//!
//! What waits has a deadline and panics past it, saying what did not come: a test has nothing better to do.

#![expect(
    clippy::disallowed_methods,
    reason = "tests spawn tasks of their own and look at the machine's time and environment"
)]

mod browser;
pub mod builders;
mod certificate;
mod clock;
mod collector;
mod process;
mod receiver;
pub mod servers;

pub use browser::{
    Browser, BrowserSettings, Cookie, Extent, Impact, Key, Scheme, Script, Violation, Window,
};
pub use certificate::{Certificate, CertificateKind};
pub use clock::ManualClock;
pub use collector::{Collected, Collector};
pub use process::{
    Launch, Process, Usage, free_port, old_ringback_binary, python, ringback_binary,
};
pub use receiver::{Answer, Behaviour, Memory, Received, Receiver, Tally, TallyKey, Wire};
