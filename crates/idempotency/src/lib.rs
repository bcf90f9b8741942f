//! Who does what once: claims on attempts, and the answers to requests that may come twice.
//!
//! [`Idempotency`] is the port. Adapters stand beside it, each of which runs the same `conformance` suite. What is kept
//! here is a memory of the recent past that may be lost: the history in the store is the truth.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod embedded;
mod port;
pub mod redis;

pub use port::{AttemptKey, Begun, Claim, Error, Fence, Idempotency, RequestKey};
