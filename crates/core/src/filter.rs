//! Which events a callback gets.

use crate::{EventName, operational};

/// A list of event names, prefixes (`PACKAGE_*`), or everything (`*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    All,
    Prefix(Box<str>),
    Name(EventName),
}

/// Why a filter can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// Nothing would ever match.
    #[error("at least one event name, prefix such as PACKAGE_* or \"*\"")]
    Empty,
    /// Longer than anybody needs, and every event is compared with each.
    #[error("at most {} patterns", EventFilter::LEN_MAX)]
    TooMany,
    /// Neither a name nor a prefix.
    #[error(
        "an event name (1 to 128 of A-Z a-z 0-9 _ . -), such a name's beginning followed by *, or *"
    )]
    Pattern {
        /// Which one, from 0.
        index: usize,
    },
}

impl EventFilter {
    /// The most patterns of one filter.
    pub const LEN_MAX: usize = 1_000;

    /// Every event.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![Pattern::All])
    }

    /// Reads the patterns of a callback.
    ///
    /// # Errors
    /// [`InvalidFilter`] says which pattern is wrong.
    pub fn parse<S: AsRef<str>>(patterns: &[S]) -> Result<Self, InvalidFilter> {
        if patterns.is_empty() {
            return Err(InvalidFilter::Empty);
        }
        if patterns.len() > Self::LEN_MAX {
            return Err(InvalidFilter::TooMany);
        }
        patterns
            .iter()
            .enumerate()
            .map(|(index, text)| {
                Pattern::parse(text.as_ref()).ok_or(InvalidFilter::Pattern { index })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether an event of this name passes.
    ///
    /// Ringback's own events ([`operational`]) pass where they are asked for alone: by name, or by a
    /// prefix that begins as they do. Who wants everything wants everything of his producers.
    #[must_use]
    pub fn matches(&self, name: &EventName) -> bool {
        let is_own = operational::is_reserved(name);
        self.0.iter().any(|pattern| match pattern {
            Pattern::All => !is_own,
            Pattern::Prefix(prefix) => {
                name.as_str().starts_with(&**prefix)
                    && (!is_own || prefix.starts_with(operational::NAME_PREFIX))
            }
            Pattern::Name(one) => one == name,
        })
    }

    /// Whether every event passes: worth a warning, it may overwhelm a receiver.
    #[must_use]
    pub fn matches_all(&self) -> bool {
        self.0.contains(&Pattern::All)
    }

    /// The patterns as texts.
    #[must_use]
    pub fn patterns(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|pattern| match pattern {
                Pattern::All => "*".to_owned(),
                Pattern::Prefix(prefix) => format!("{prefix}*"),
                Pattern::Name(name) => name.to_string(),
            })
            .collect()
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('*') {
            Some("") => Some(Self::All),
            // A prefix obeys the rule of a name: what could begin no name could match none.
            Some(prefix) => prefix.parse::<EventName>().ok().map(|_| Self::Prefix(prefix.into())),
            None => text.parse().ok().map(Self::Name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(patterns: &[&str]) -> InvalidFilter {
        EventFilter::parse(patterns).expect_err("a refusal")
    }

    #[test]
    fn name_passes_if_any_pattern_matches() {
        let filter = EventFilter::parse(&["COMMENT_CREATED", "PACKAGE_*"]).expect("valid");
        for (name, passes) in [
            ("COMMENT_CREATED", true),
            ("COMMENT_CREATED_2", false),
            ("comment_created", false),
            ("PACKAGE_", true),
            ("PACKAGE_EXPIRE", true),
            ("PACKAGE", false),
        ] {
            assert_eq!(filter.matches(&name.parse().expect("a name")), passes, "{name}");
        }
        assert!(!filter.matches_all());
    }

    #[test]
    fn star_is_everything_wherever_it_stands() {
        let filter = EventFilter::parse(&["A", "*"]).expect("valid");
        assert!(filter.matches_all());
        assert!(filter.matches(&"B".parse().expect("a name")));
        assert_eq!(EventFilter::all().patterns(), ["*"]);
    }

    #[test]
    fn own_events_pass_where_they_are_asked_for_and_nowhere_else() {
        let name = "ringback.circuit.opened".parse().expect("a name");
        for (patterns, passes) in [
            (&["ringback.circuit.opened"][..], true),
            (&["ringback.*"], true),
            (&["ringback.circuit.*"], true),
            (&["*", "ringback.c*"], true),
            (&["*"], false),
            (&["r*", "ringback*"], false),
            (&["ringback.delivery.*"], false),
        ] {
            let filter = EventFilter::parse(patterns).expect("valid");
            assert_eq!(filter.matches(&name), passes, "{patterns:?}");
        }
        let of_a_producer = "ringbacks".parse().expect("a name");
        assert!(EventFilter::all().matches(&of_a_producer));
    }

    #[test]
    fn bad_filters_are_refused_with_the_place() {
        assert_eq!(refusal(&[]), InvalidFilter::Empty);
        assert_eq!(refusal(&["A"; 1_001]), InvalidFilter::TooMany);
        for bad in ["", "**", "*_CREATED", "A*B", "A B", "é", &"a".repeat(129)] {
            assert_eq!(refusal(&["A", bad]), InvalidFilter::Pattern { index: 1 }, "{bad}");
        }
    }
}
