//! Pieces that many pages are made of.

use std::fmt::Display;
use std::time::Duration;

use maud::{Markup, html};
use ringback_api::PageQuery;
use ringback_core::callback::{Callback, CallbackState, DisabledReason};
use ringback_core::delivery::{DeliveryState, WaitReason};
use ringback_core::{Account, CallbackId, Timestamp};
use ringback_store::Cursor;

use super::ROOT;
use super::posted::TOKEN;
use super::visitor::Visitor;

/// How many rows a list shows.
pub(super) const ROWS: usize = PageQuery::LIMIT_DEFAULT;
/// Deliveries are counted no further: to count is to look at each, and a database that has none of them in memory takes a
/// tenth of a millisecond for one.
pub(super) const COUNTED_MAX: u32 = 1_000;
/// Before something is done with all of them they are counted so far: whoever is asked waits for it once.
pub(super) const ASKED_ABOUT_MAX: u32 = 10_000;

/// A moment: in UTC, which script turns into the viewer's own time and leaves to be read in the title.
pub(super) fn time(at: Timestamp) -> Markup {
    let (exact, utc) = (at.to_string(), utc(at));
    // To the second: the rest is in the title.
    let shown = utc.split_once('.').map_or(utc.clone(), |(seconds, _)| format!("{seconds} UTC"));
    html! { time datetime=(exact) title=(utc) { (shown) } }
}

/// The same, of which the day is enough to know.
pub(super) fn day(at: Timestamp) -> Markup {
    let (exact, utc) = (at.to_string(), utc(at));
    let shown = utc.split_once(' ').map_or(&*utc, |(date, _)| date);
    html! { time datetime=(exact) title=(utc) data-day { (shown) } }
}

fn utc(at: Timestamp) -> String {
    format!("{} UTC", at.to_string().replace('T', " ").trim_end_matches('Z'))
}

/// How long something took, or will.
pub(super) fn duration(time: Duration) -> String {
    let (ms, seconds) = (time.as_millis(), time.as_secs());
    match seconds {
        0 => format!("{ms} ms"),
        1..10 => format!("{:.1} s", time.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// So many of a thing, which has an s where there are several.
pub(super) fn so_many(count: usize, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", number(u64::try_from(count).unwrap_or(u64::MAX)))
}

/// A number that was counted up to `max`: there may be more.
pub(super) fn counted(count: u64, max: u32) -> String {
    if count < u64::from(max) { number(count) } else { format!("{}+", number(max.into())) }
}

/// A share from 0 to 1 in percent. What is not all is never shown as all.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p >= 100.0 => "100 %".to_owned(),
        p if p > 99.9 => "99.9 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

/// How something stands, in a word and a colour.
pub(super) fn badge(kind: &'static str, word: &str) -> Markup {
    html! { span class={ "badge " (kind) } { (word) } }
}

/// Where a delivery stands, and what it waits for.
pub(super) fn delivery_badge(state: DeliveryState) -> Markup {
    match state {
        DeliveryState::Delivered => badge("good", "delivered"),
        DeliveryState::Exhausted => badge("bad", "exhausted"),
        DeliveryState::Cancelled(_) => badge("quiet", "cancelled"),
        DeliveryState::Pending { waits: None, .. } => badge("busy", "under way"),
        DeliveryState::Pending { waits: Some(reason), .. } => badge("busy", waits_for(reason)),
    }
}

pub(super) const fn waits_for(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::Retry => "retry ahead",
        WaitReason::Concurrency => "waits its turn",
        WaitReason::RateLimit => "rate limited",
        WaitReason::CircuitOpen => "circuit open",
        WaitReason::Paused => "kept: paused",
        WaitReason::Scheduled => "scheduled",
    }
}

/// Whether a callback takes deliveries.
pub(super) fn callback_badge(state: CallbackState) -> Markup {
    match state {
        CallbackState::Enabled => badge("good", "enabled"),
        CallbackState::Paused => badge("busy", "paused"),
        CallbackState::Disabled(DisabledReason::ByOwner) => badge("quiet", "disabled"),
        CallbackState::Disabled(DisabledReason::Gone) => badge("bad", "gone"),
    }
}

/// Whose events a callback gets.
pub(super) fn account_of(callback: &Callback) -> Markup {
    match &callback.account {
        Some(account) => html! { (account) },
        None => html! { span.muted.nowrap { "all accounts" } },
    }
}

/// What a key, a link or a session opens: an account, or if none is given all of them.
pub(super) fn opens(account: Option<&Account>) -> Markup {
    match account {
        Some(account) => html! { "account " strong { (account) } },
        None => html! { strong { "the whole instance" } },
    }
}

/// What people know a callback by.
pub(super) fn name_of(callback: &Callback) -> &str {
    if callback.description.is_empty() { callback.url.as_str() } else { &callback.description }
}

/// A callback, by its name; one that is not the visitor's, or was deleted, by its id.
pub(super) fn callback_link(callback: Option<&Callback>, id: CallbackId) -> Markup {
    match callback {
        Some(callback) => html! { a href={ (ROOT) "/callbacks/" (id) } { (name_of(callback)) } },
        None => html! { code title="Deleted, or not one of yours" { (short(&id.to_string())) } },
    }
}

/// The end of an id, which is enough to tell it from its neighbours.
pub(super) fn short(id: &str) -> String {
    // Ids begin with their time, which neighbours share.
    let tail = id.rsplit('-').next().unwrap_or(id);
    format!("…{tail}")
}

/// A button that changes something: a form of its own.
pub(super) fn post_button(visitor: &Visitor, action: &str, label: &str, class: &str) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            (token(visitor))
            button class=[(!class.is_empty()).then_some(class)] type="submit" { (label) }
        }
    }
}

/// What each form has to hold.
pub(super) fn token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(visitor.form_token()); }
}

/// In the place of a list that has nothing in it.
pub(super) fn nothing(what: &str, hint: Markup) -> Markup {
    html! { div.nothing { p.what { (what) } p { (hint) } } }
}

/// Leads to the next page of a list, and back to its first. `address` is the list's, with its filter.
pub(super) fn pager(address: &str, is_first: bool, next: Option<&Cursor>) -> Markup {
    let sign = if address.contains('?') { '&' } else { '?' };
    html! {
        @if !is_first || next.is_some() {
            nav.pager aria-label="Pages" {
                @if !is_first { a href=(address) { "First page" } }
                @if let Some(next) = next {
                    a rel="next" href={ (address) (sign) "cursor=" (next) } { "Next page" }
                }
            }
        }
    }
}

/// The address of a page with these parameters; those without a value are left out.
pub(super) fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { format!("{ROOT}{path}") } else { format!("{ROOT}{path}?{query}") }
}

/// A parameter of an address; empty: it has no value.
pub(super) fn text_of(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shares_are_shown_as_people_read_them() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.999_99), "99.9 %");
        assert_eq!(percent(0.5), "50.0 %");
    }

    #[test]
    fn durations_are_short() {
        for (ms, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_500, "1.5 s"),
            (59_000, "59 s"),
            (300_000, "5 min"),
            (7_200_000, "2 h"),
            (200_000_000, "2 days"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), shown);
        }
    }

    #[test]
    fn time_is_utc_to_the_second_with_the_rest_in_its_title() {
        let shown = time(Timestamp::from_ms(1_767_323_045_678)).into_string();
        assert_eq!(
            shown,
            "<time datetime=\"2026-01-02T03:04:05.678Z\" title=\"2026-01-02 03:04:05.678 UTC\">2026-01-02 03:04:05 UTC</time>"
        );
    }
}
