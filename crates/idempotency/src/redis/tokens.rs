//! By what a call that was made twice is recognised.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts from a random number on: no two calls of this process have the same token, and none of two processes.
pub(super) struct Tokens(AtomicU64);

impl Tokens {
    pub(super) fn new() -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).expect("the system gives random bytes");
        Self(AtomicU64::new(u64::from_be_bytes(random)))
    }

    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
