//! How far back a page looks, and what happened since: in steps of time, as its charts show it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use maud::{Markup, html};
use ringback_api::Problem;
use ringback_core::Timestamp;
use ringback_store::{Step, Traffic, TrafficOf};

use super::parts::address;
use crate::Console;

/// How far back a page looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Span {
    Hour,
    #[default]
    Day,
    Week,
    Month,
}

/// The word is no span.
#[derive(Debug)]
pub(super) struct InvalidSpan;

/// The steps of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    /// When the first one begins.
    pub(super) first: Timestamp,
    /// How long each is.
    pub(super) length: Duration,
    /// How many there are.
    pub(super) count: u16,
}

/// What happened within a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) span: Span,
    pub(super) steps: Steps,
    /// All of it.
    pub(super) sum: Traffic,
    /// Each step of it.
    pub(super) traffic: Vec<Traffic>,
}

impl Span {
    const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// As it stands in a sentence.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "last hour",
            Self::Day => "last 24 hours",
            Self::Week => "last 7 days",
            Self::Month => "last 30 days",
        }
    }

    const fn short(self) -> &'static str {
        match self {
            Self::Hour => "1 hour",
            Self::Day => "24 hours",
            Self::Week => "7 days",
            Self::Month => "30 days",
        }
    }

    /// How long a step of it is.
    pub(super) const fn step_name(self) -> &'static str {
        match self {
            Self::Hour => "five minutes",
            Self::Day => "an hour",
            Self::Week => "six hours",
            Self::Month => "a day",
        }
    }

    /// How many of its steps have one label on a chart.
    pub(super) const fn steps_labelled(self) -> u16 {
        match self {
            Self::Hour => 3,
            Self::Day => 6,
            Self::Week => 4,
            Self::Month => 5,
        }
    }

    /// Its steps, the last of which is the one that it is now.
    pub(super) fn steps_until(self, now: Timestamp) -> Steps {
        const HOUR: Duration = Step::Hour.length();
        let (length, count) = match self {
            Self::Hour => (Step::FiveMinutes.length(), 12),
            Self::Day => (HOUR, 24),
            Self::Week => (HOUR * 6, 28),
            Self::Month => (HOUR * 24, 30),
        };
        Steps::until(now, length, count)
    }

    const fn recorded_by(self) -> Step {
        match self {
            Self::Hour => Step::FiveMinutes,
            Self::Day | Self::Week | Self::Month => Step::Hour,
        }
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        Self::ALL.into_iter().find(|span| span.word() == text).ok_or(InvalidSpan)
    }
}

impl fmt::Display for InvalidSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1h, 24h, 7d or 30d")
    }
}

impl Steps {
    /// So many steps, the last of which is the one that it is now. They begin at multiples of their length (UTC).
    pub(super) fn until(now: Timestamp, length: Duration, count: u16) -> Self {
        let whole = i64::try_from(length.as_millis()).expect("a step is no longer than a day");
        let last = Timestamp::from_ms(now.ms() - now.ms().rem_euclid(whole));
        let first = last - length * (u32::from(count) - 1);
        Self { first, length, count }
    }

    /// The step that a moment is in. What another process's clock takes for later still is in the last.
    pub(super) fn index(self, at: Timestamp) -> usize {
        let index = at.since(self.first).as_millis() / self.length.as_millis();
        usize::try_from(index).map_or(self.len(), |index| index).min(self.len() - 1)
    }

    pub(super) fn len(self) -> usize {
        self.count.into()
    }

    /// When each begins.
    pub(super) fn begins(self) -> impl Iterator<Item = Timestamp> {
        (0..u32::from(self.count)).map(move |index| self.first + self.length * index)
    }
}

impl Past {
    /// What happened within a span, but for the last seconds.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) async fn read(
        console: &Console,
        of: &TrafficOf,
        span: Span,
    ) -> Result<Self, Problem> {
        let steps = span.steps_until(console.clock.now());
        let found = console.store.traffic(of, span.recorded_by(), steps.first).await?;
        Ok(Self::of(span, steps, found))
    }

    pub(super) fn of(span: Span, steps: Steps, found: Vec<(Timestamp, Traffic)>) -> Self {
        let mut past = Self {
            span,
            steps,
            sum: Traffic::default(),
            traffic: vec![Traffic::default(); steps.len()],
        };
        for (at, traffic) in found {
            past.traffic[steps.index(at)] += traffic;
            past.sum += traffic;
        }
        past
    }
}

/// Leads to the same page with another span. `kept` are its other parameters.
pub(super) fn chooser(chosen: Span, path: &str, kept: &[(&str, &str)]) -> Markup {
    html! {
        nav.spans aria-label="How far back" {
            @for span in Span::ALL {
                @let parameters: Vec<_> = [("span", span.word())].into_iter().chain(kept.iter().copied()).collect();
                a.button.small href=(address(path, &parameters)) aria-current=[(span == chosen).then_some("true")] {
                    (span.short())
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 60 * 60 * 1_000;

    #[test]
    fn last_step_is_the_one_that_it_is_now() {
        for now in [100 * HOUR_MS, 100 * HOUR_MS + 1, 101 * HOUR_MS - 1] {
            let now = Timestamp::from_ms(now);
            let steps = Span::Day.steps_until(now);
            assert_eq!(steps.first, Timestamp::from_ms(77 * HOUR_MS), "{now}");
            assert_eq!((steps.index(steps.first), steps.index(now)), (0, 23), "{now}");
            assert_eq!(steps.index(now + Duration::from_secs(7_200)), 23, "a clock that goes fast");
        }
    }

    #[test]
    fn hours_that_are_recorded_add_up_to_the_longer_steps_that_are_shown() {
        let now = Timestamp::from_ms(1_000 * HOUR_MS);
        let at = |hour: i64, failed| {
            let traffic = Traffic { failed, ..Traffic::default() };
            (Timestamp::from_ms(hour * HOUR_MS), traffic)
        };
        // Six hours begin with 996: a multiple of six.
        let found = vec![at(995, 1), at(996, 2), at(1_000, 4)];
        let past = Past::of(Span::Week, Span::Week.steps_until(now), found);
        let failed: Vec<_> = past.traffic.iter().map(|traffic| traffic.failed).collect();
        assert_eq!(failed[26..], [1, 6]);
        assert_eq!((past.sum.failed, failed.len()), (7, 28));
    }

    #[test]
    fn each_span_divides_into_its_labels_and_is_found_by_its_word() {
        for span in Span::ALL {
            let steps = span.steps_until(Timestamp::EPOCH);
            assert_eq!(steps.count % span.steps_labelled(), 0, "{span:?}");
            assert_eq!(span.word().parse::<Span>().expect("a span"), span);
        }
        assert!("2h".parse::<Span>().is_err());
    }
}
