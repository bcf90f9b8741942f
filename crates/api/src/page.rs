//! Lists in pages.

use ringback_store::{Cursor, Page};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Problem, Query};

/// Which page of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// At most so many items.
    pub limit: usize,
    /// Those after this place; none: the first page.
    pub after: Option<Cursor>,
}

impl PageQuery {
    /// The most items that can be asked for.
    pub const LIMIT_MAX: usize = 200;
    /// As many come if nothing is said.
    pub const LIMIT_DEFAULT: usize = 50;

    /// Takes `limit` and `cursor` out of a query.
    ///
    /// # Errors
    /// 400 if one of them is not valid.
    pub fn take(query: &mut Query) -> Result<Self, Problem> {
        let limit = query.take("limit")?.unwrap_or(Self::LIMIT_DEFAULT);
        if !(1..=Self::LIMIT_MAX).contains(&limit) {
            let detail =
                format!("query parameter `limit`: a whole number from 1 to {}", Self::LIMIT_MAX);
            return Err(Problem::malformed(detail));
        }
        Ok(Self { limit, after: query.take("cursor")? })
    }
}

/// A page of a list, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PageAnswer<T: ToSchema> {
    /// The items.
    pub data: Vec<T>,
    /// Given back as `cursor`, it brings the next page; null: this was the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T: ToSchema> PageAnswer<T> {
    /// A page of the store, each item as the caller sees it.
    pub fn of<I>(page: Page<I>, show: impl FnMut(I) -> T) -> Self {
        Self {
            data: page.items.into_iter().map(show).collect(),
            next_cursor: page.next.map(|cursor| cursor.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(query: &str) -> Result<PageQuery, Problem> {
        PageQuery::take(&mut Query::parse(query))
    }

    #[test]
    fn limit_is_50_unless_said_and_from_1_to_200() {
        assert_eq!(take("").expect("valid").limit, 50);
        assert_eq!(take("limit=1").expect("valid").limit, 1);
        assert_eq!(take("limit=200").expect("valid").limit, 200);
        for bad in ["limit=0", "limit=201", "limit=-1", "limit=1.5", "cursor=nonsense"] {
            assert!(take(bad).is_err(), "{bad}");
        }
    }
}
