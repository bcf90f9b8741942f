//! The order of the list.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::{Row, STATES, word_of};
use crate::pages::parts::name_of;

/// The order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) by: Column,
    pub(super) descends: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    State,
    Success,
    Created,
}

/// There is no such order.
#[derive(Debug)]
pub(super) struct UnknownSort;

impl Sort {
    /// Unless something else is said.
    pub(super) const FIRST: Self = Self { by: Column::Name, descends: false };

    pub(super) fn apply(self, rows: &mut [Row<'_>]) {
        let name = |row: &Row<'_>| (name_of(row.callback).to_lowercase(), row.callback.id);
        let state = |row: &Row<'_>| STATES.iter().position(|it| *it == word_of(row.callback.state));
        // Rows come in no order: the id makes one of those that are equal, the same on each page.
        match self.by {
            Column::Name => rows.sort_by_cached_key(name),
            Column::State => rows.sort_by_cached_key(|row| (state(row), name(row))),
            Column::Created => rows.sort_by_key(|row| (row.callback.created_at, row.callback.id)),
            Column::Success => rows.sort_by(by_success),
        }
        if self.descends {
            rows.reverse();
        }
    }

    /// As it stands in an address.
    pub(super) fn word(self) -> String {
        let by = match self.by {
            Column::Name => "name",
            Column::State => "state",
            Column::Success => "success",
            Column::Created => "created",
        };
        format!("{}{by}", if self.descends { "-" } else { "" })
    }
}

impl FromStr for Sort {
    type Err = UnknownSort;

    fn from_str(word: &str) -> Result<Self, UnknownSort> {
        let (descends, by) = match word.strip_prefix('-') {
            Some(by) => (true, by),
            None => (false, word),
        };
        let by = match by {
            "name" => Column::Name,
            "state" => Column::State,
            "success" => Column::Success,
            "created" => Column::Created,
            _ => return Err(UnknownSort),
        };
        Ok(Self { by, descends })
    }
}

impl fmt::Display for UnknownSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("name, state, success or created, with a - before it: the other way round")
    }
}

/// Those that got nothing are neither good nor bad: they come after the best.
fn by_success(a: &Row<'_>, b: &Row<'_>) -> Ordering {
    let ratio = |row: &Row<'_>| row.ratio().unwrap_or(2.0);
    ratio(a).total_cmp(&ratio(b)).then_with(|| a.callback.id.cmp(&b.callback.id))
}
