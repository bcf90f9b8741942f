//! The types that are part of Ringback: those of the two systems that it can stand in for, and what it says
//! of itself.

use std::sync::LazyLock;

use super::EventType;

/// The built-in types.
///
/// `newRoleId` has 255 characters, as Conga Sign's own documentation says; 256 is told of it elsewhere. `KBA_FAILURE` is
/// `BA_FAILURE` in one column of that documentation, and not in the payload that receivers see.
#[must_use]
pub fn built_in() -> &'static [EventType] {
    static TYPES: LazyLock<Vec<EventType>> = LazyLock::new(|| {
        serde_json::from_str(include_str!("built_in.json")).expect("a test has read it")
    });
    &TYPES
}
