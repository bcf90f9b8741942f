//! What the console tells of itself: that a callback was disabled by its owner.

use std::sync::Arc;

use ringback_core::callback::CallbackState;
use ringback_core::operational::Happening;
use ringback_core::{Account, Callback, Dispatch};

use crate::Console;

/// Tells that a change disabled a callback, if it did. The change is made, and stays so if this fails: that is logged.
pub(crate) async fn tell_disabled(console: &Console, before: &Callback, after: &Callback) {
    let CallbackState::Disabled(reason) = after.state else { return };
    if !before.state.is_enabled() {
        return;
    }
    let disabled = Happening::CallbackDisabled { callback: after, reason, at: after.updated_at };
    let event = Arc::new(disabled.event(console.clock.now()));
    let dispatch = Dispatch::of_event(event).in_doubt();
    if let Err(error) = console.broker.publish(vec![dispatch]).await {
        tracing::warn!(
            callback = %after.id, account = after.account.as_ref().map(Account::as_str),
            error = &error as &dyn std::error::Error,
            "that it is disabled could not be told as an event"
        );
    }
}
