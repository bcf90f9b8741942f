//! What lists can be asked for.

use std::fmt;
use std::str::FromStr;

use ringback_core::{Account, CallbackId, Event, EventId, EventName, Timestamp};

/// One page of a list, newest first, and where the next one begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// None: this was the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page of `limit` items, out of up to one more: that one is not shown, but says that there is another page.
    pub(crate) fn of(
        mut items: Vec<T>,
        limit: usize,
        place: fn(&T) -> (Timestamp, String),
    ) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next = last.map(place).map(|(at, id)| Cursor { at, id });
        Self { items, next }
    }
}

/// A place in a list: that of the last item shown. Stays right while items are added or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The item's time.
    pub at: Timestamp,
    /// The item's id, for those of the same millisecond.
    pub id: String,
}

/// The text is no cursor that a list gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor that a list gave out")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at.ms(), self.id)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ms, id) = text.split_once('_').ok_or(InvalidCursor)?;
        let ms = ms.parse().map_err(|_| InvalidCursor)?;
        if id.is_empty() || id.len() > 200 {
            return Err(InvalidCursor);
        }
        Ok(Self { at: Timestamp::from_ms(ms), id: id.to_owned() })
    }
}

/// Which callbacks.
#[derive(Clone, Debug, Default)]
pub struct CallbackQuery {
    /// Those of this account only.
    pub account: Option<Account>,
}

/// Which requests that the log callback was sent.
#[derive(Clone, Debug, Default)]
pub struct LoggedRequestQuery {
    /// Those of this account only.
    pub account: Option<Account>,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Those of this account only.
    pub account: Option<Account>,
    /// Those of this name only.
    pub name: Option<EventName>,
    /// Accepted at this moment or later.
    pub since: Option<Timestamp>,
    /// Accepted before this moment.
    pub until: Option<Timestamp>,
}

/// Which events, found by looking at them: [`Store::search_events`](crate::Store::search_events).
#[derive(Clone, Debug, Default)]
pub struct EventSearch {
    /// Those of this account only.
    pub account: Option<Account>,
    /// Those of this name only.
    pub name: Option<EventName>,
    /// Those whose name begins so only.
    pub name_begins: Option<EventName>,
    /// Those with this variable only.
    pub variable: Option<VariableIs>,
    /// Accepted at this moment or later.
    pub since: Option<Timestamp>,
    /// Accepted before this moment.
    pub until: Option<Timestamp>,
}

/// A variable, and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableIs {
    /// Its name.
    pub name: String,
    /// Its JSON text to the letter (`178`, `true`, `{"a":1}`), or the text that it holds if it is a string.
    pub value: String,
}

/// How many events a search looks at before it says how far it came: a page takes some 15 ms for it (`cargo xtask bench pages`).
pub const LOOKED_MAX: u32 = 10_000;

/// What a search has found, last accepted first, and where it goes on.
#[derive(Clone, Debug)]
pub struct EventsFound {
    /// At most as many as were asked for. There may be none, and more further back.
    pub events: Vec<Event>,
    /// None: it has looked at all there are.
    pub next: Option<Cursor>,
    /// Set if it stopped because it had looked at [`LOOKED_MAX`] events: it has looked at those accepted at this moment or
    /// later.
    pub looked_back_to: Option<Timestamp>,
}

/// Which deliveries.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Those of this account only.
    pub account: Option<Account>,
    /// Those to this callback only.
    pub callback: Option<CallbackId>,
    /// Those of this event only.
    pub event: Option<EventId>,
    /// Those that stand so only.
    pub status: Option<StatusFilter>,
    /// Of events accepted at this moment or later.
    pub since: Option<Timestamp>,
    /// Of events accepted before this moment.
    pub until: Option<Timestamp>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Not settled.
    Pending,
    /// A 2xx came.
    Delivered,
    /// The policy is spent.
    Exhausted,
    /// Given up on.
    Cancelled,
}

impl StatusFilter {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Exhausted, Self::Cancelled];

    /// The one that this word stands for, see [`as_str`](Self::as_str).
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// The word that stands in rows and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
        }
    }
}
