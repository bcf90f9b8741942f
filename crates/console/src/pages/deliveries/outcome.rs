//! What an attempt met, as small as a word: no more than the reader may see.

use std::collections::HashMap;

use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::delivery::Delivery;
use ringback_core::{Callback, DeliveryId, Outcome, Timestamp};

use crate::Console;
use crate::deliveries::detail_for;
use crate::pages::parts::{badge, number};
use crate::pages::visitor::Visitor;
use crate::wire::delivery::Detail;

/// The last outcome of each row of a list. One id may be there twice, where an event was sent again days later.
pub(in crate::pages) struct LastOutcomes(HashMap<(DeliveryId, Timestamp), Outcome>);

impl LastOutcomes {
    /// Of these.
    ///
    /// # Errors
    /// If they can't be read.
    pub(in crate::pages) async fn of(
        console: &Console,
        deliveries: &[Delivery],
    ) -> Result<Self, Problem> {
        let outcomes = console.store.last_outcomes(deliveries).await?;
        let rows = deliveries.iter().map(|delivery| (delivery.id, delivery.created_at));
        Ok(Self(rows.zip(outcomes).filter_map(|(row, outcome)| Some((row, outcome?))).collect()))
    }

    /// How many attempts were made, and what the last of them met. `callback` is the delivery's, if the reader manages it.
    pub(in crate::pages) fn attempts(
        &self,
        visitor: &Visitor,
        callback: Option<&Callback>,
        delivery: &Delivery,
    ) -> Markup {
        let detail = detail_for(&visitor.caller, callback);
        html! {
            (number(delivery.attempts.into()))
            @if let Some(outcome) = self.0.get(&(delivery.id, delivery.created_at)) { " " (outcome_badge(outcome, detail)) }
        }
    }
}

pub(super) fn outcome_badge(outcome: &Outcome, detail: Detail) -> Markup {
    match (outcome, detail) {
        (Outcome::Success { status }, Detail::Full) => badge("good", &status.to_string()),
        (Outcome::HttpError { status, .. }, Detail::Full) => badge("bad", &status.to_string()),
        (Outcome::Success { .. }, Detail::Outcome) => badge("good", "success"),
        (Outcome::HttpError { .. }, Detail::Outcome) => badge("bad", "refused"),
        (Outcome::Timeout { .. }, _) => badge("bad", "timeout"),
        (Outcome::Connection { .. }, _) => badge("bad", "no connection"),
        (Outcome::Blocked { .. }, _) => badge("bad", "blocked"),
    }
}
