//! What stands in the URL of a request: its query and its ids.

use std::convert::Infallible;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use crate::Problem;

/// The query of a request, taken out parameter by parameter. [`end`](Self::end) refuses what nobody took: a filter
/// that is misspelt must not show more than was asked for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Query {
    /// Reads a query, the part of a URL after the `?`.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let left = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self { left, known: Vec::new() }
    }

    /// The value of a parameter, if it is there. An empty value is the same as none.
    ///
    /// # Errors
    /// 400 if it stands there twice, or its value is not what it should be.
    pub fn take<T>(&mut self, name: &'static str) -> Result<Option<T>, Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.known.push(name);
        let mut values = self.left.extract_if(.., |(n, _)| n == name).map(|(_, value)| value);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Problem::malformed(format!("query parameter `{name}` stands there twice")));
        }
        if value.is_empty() {
            return Ok(None);
        }
        let parsed = value.parse();
        parsed
            .map(Some)
            .map_err(|error| Problem::malformed(format!("query parameter `{name}`: {error}")))
    }

    /// Says that all parameters are taken.
    ///
    /// # Errors
    /// 400 if there are others.
    pub fn end(self) -> Result<(), Problem> {
        let Some((name, _)) = self.left.first() else {
            return Ok(());
        };
        let name: String = name.chars().take(100).collect();
        let known = match self.known.as_slice() {
            [] => "there are none here".to_owned(),
            known => format!("known are `{}`", known.join("`, `")),
        };
        Err(Problem::malformed(format!("query parameter `{name}` is not known; {known}")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// The id in a path such as `/v1/callbacks/{id}`. What is no id names nothing: 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathId<T>(pub T);

impl<S, T> FromRequestParts<S> for PathId<T>
where
    S: Send + Sync,
    T: FromStr,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let missing = || Problem::not_found("thing: its id is not a UUID");
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| missing())?;
        let id = params.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| id.parse().ok());
        id.map(Self).ok_or_else(missing)
    }
}

/// The name in a path such as `/v1/event-types/{name}`, whatever the path calls it. There is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathName<T>(pub T);

impl<S, T> FromRequestParts<S> for PathName<T>
where
    S: Send + Sync,
    T: FromStr,
    T::Err: Display,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::malformed("the path is not UTF-8"))?;
        let (_, text) = params.iter().next().unwrap_or_default();
        text.parse()
            .map(Self)
            .map_err(|error| Problem::malformed(format!("the last part of the path: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_and_repeated_parameters_are_refused() {
        let mut query = Query::parse("acount=acme");
        assert_eq!(query.take::<String>("account"), Ok(None));
        let problem = query.end().expect_err("misspelt");
        assert_eq!(problem.detail(), "query parameter `acount` is not known; known are `account`");
        let mut twice = Query::parse("account=a&account=b");
        assert!(twice.take::<String>("account").is_err());
    }

    #[test]
    fn values_are_decoded_and_checked() {
        let mut query = Query::parse("account=a%5Fb&limit=ten&name=");
        let account =
            query.take::<ringback_core::Account>("account").expect("valid").expect("there");
        assert_eq!(account.as_str(), "a_b");
        assert!(query.take::<usize>("limit").is_err());
        assert_eq!(query.take::<String>("name"), Ok(None));
        assert!(query.end().is_ok());
    }
}
