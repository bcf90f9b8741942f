//! What a process says of itself, for people who look after it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringback_core::Timestamp;

/// What a process says of itself. No secret is among it.
#[derive(Clone)]
pub struct Facts {
    /// Of Ringback.
    pub version: &'static str,
    /// Where it takes requests.
    pub listens_at: SocketAddr,
    /// How long history is kept.
    pub retention: Duration,
    /// Gives what it works on, as it was found at the last look: asking costs nothing, so everybody may ask at any time.
    pub dependencies: Arc<dyn Fn() -> Vec<Dependency> + Send + Sync>,
}

/// One of the things that a process works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// What it is for.
    pub name: &'static str,
    /// Where that is.
    pub kept: Kept,
    /// What is wrong with it; none: it does its job.
    pub trouble: Option<String>,
    /// Since when that is so, as far as this process knows; none: it was not looked at yet.
    pub since: Option<Timestamp>,
}

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the data directory of the process.
    InDirectory,
    /// On a server, which is called so.
    OnServer(&'static str),
}
