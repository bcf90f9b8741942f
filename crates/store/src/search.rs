//! Events searched by name and by a variable, for every database.
//!
//! There is no index for either, on purpose: each event would pay for it. So a search looks at a bounded number of events
//! along the index of its list ([`LOOKED_MAX`]), and says how far it came.

use ringback_core::{Event, Timestamp};
use serde_json::value::RawValue;

use crate::Cursor;
use crate::query::{EventSearch, EventsFound, LOOKED_MAX, VariableIs};
use crate::rows::Bind;
use crate::sql::{self, Statement};

/// Events asked for at once when some of them may turn out not to match.
const ROUND: usize = 500;

/// A search under way. The adapter runs its statements and gives it the rows.
pub(crate) struct Searching<'a> {
    search: &'a EventSearch,
    limit: usize,
    /// Where it goes on.
    after: Option<Cursor>,
    /// How far back it looks; none: to the end.
    bound: Option<Timestamp>,
    found: Vec<Event>,
    has_reached_the_bound: bool,
}

impl<'a> Searching<'a> {
    pub(crate) fn new(search: &'a EventSearch, limit: usize, after: Option<&Cursor>) -> Self {
        let (after, found) = (after.cloned(), Vec::new());
        Self { search, limit, after, bound: None, found, has_reached_the_bound: false }
    }

    /// Asks for the moment at which as many events are between here and there as may be looked at; none: there is no need
    /// to, as every event that is looked at is found.
    pub(crate) fn bound_statement<B: Bind + Default>(&self) -> Option<Statement<B>> {
        let EventSearch { name, name_begins, variable, .. } = self.search;
        let all = name.is_none() && name_begins.is_none() && variable.is_none();
        (!all).then(|| sql::bound_of_search(self.search, LOOKED_MAX, self.after.as_ref()))
    }

    /// The answer to that; none: there are fewer.
    pub(crate) fn bounded(&mut self, bound: Option<Timestamp>) {
        self.bound = bound;
    }

    /// Asks for the next events that may match; none: it is done. `finds` is the database's function for the place of a text
    /// in another.
    pub(crate) fn next_statement<B: Bind + Default>(
        &self,
        finds: &'static str,
    ) -> Option<Statement<B>> {
        let is_done = self.found.len() > self.limit || self.has_reached_the_bound;
        let after = self.after.as_ref();
        (!is_done)
            .then(|| sql::search_events(self.search, self.round(), (after, self.bound), finds))
    }

    /// The answer to that.
    pub(crate) fn take(&mut self, events: Vec<Event>) {
        self.has_reached_the_bound = events.len() < self.round();
        if let Some(last) = events.last() {
            self.after = Some(place(last));
        }
        let variable = self.search.variable.as_ref();
        let matching = |event: &Event| variable.is_none_or(|variable| is(event, variable));
        self.found.extend(events.into_iter().filter(matching));
    }

    pub(crate) fn end(mut self) -> EventsFound {
        if self.found.len() > self.limit {
            self.found.truncate(self.limit);
            let next = self.found.last().map(place);
            return EventsFound { events: self.found, next, looked_back_to: None };
        }
        // All of that millisecond were looked at: it goes on before the first id that there may be.
        let next = self.bound.map(|at| Cursor { at, id: uuid::Uuid::nil().to_string() });
        EventsFound { events: self.found, next, looked_back_to: self.bound }
    }

    fn round(&self) -> usize {
        let one_more = self.limit.saturating_add(1);
        if self.search.variable.is_some() { one_more.max(ROUND) } else { one_more }
    }
}

fn place(event: &Event) -> Cursor {
    Cursor { at: event.accepted_at, id: event.id.to_string() }
}

fn is(event: &Event, wanted: &VariableIs) -> bool {
    event.variables.get(&wanted.name).is_some_and(|value| is_value(value, &wanted.value))
}

/// The JSON text to the letter, or the text that a JSON string holds.
fn is_value(value: &RawValue, wanted: &str) -> bool {
    let json = value.get();
    json == wanted
        || (json.starts_with('"')
            && serde_json::from_str::<String>(json).is_ok_and(|text| text == wanted))
}

/// What the JSON text of an event's variables holds if one of them may be this: the member's name, and besides one of the
/// other texts. Where a string is written in another way than here, it holds one of two escapes that are not used here.
pub(crate) struct Traces {
    pub(crate) name: String,
    pub(crate) any: [String; 5],
}

impl Traces {
    pub(crate) fn of(wanted: &VariableIs) -> Self {
        let json = |text: &str| serde_json::to_string(text).expect("texts always serialize");
        let name = format!("{}:", json(&wanted.name));
        let text = format!("{name}{}", json(&wanted.value));
        // No JSON text has a character numbered 0, and PostgreSQL takes none.
        let value = Some(&*wanted.value).filter(|value| !value.contains('\0'));
        let ended = |end| value.map_or_else(|| text.clone(), |value| format!("{name}{value}{end}"));
        let (number, slash) = ("\\u".to_owned(), "\\/".to_owned());
        Self { any: [ended(","), ended("}"), text, number, slash], name }
    }
}
