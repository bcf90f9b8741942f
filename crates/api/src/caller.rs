//! Who calls, and what that opens.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use ringback_core::Account;
use ringback_core::secret::Secret;
use ringback_store::{KeyHash, Scope};

use crate::{Keys, Problem};

/// Who calls: taken from the API key of the request. A handler that asks for it is closed to all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What the key opens.
    pub scope: Scope,
    /// The key itself, as far as anybody knows it.
    pub key: KeyHash,
}

/// A caller whose key may also stand behind `Basic`, as it is: clients of Conga Sign send theirs so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicOrBearer(pub Caller);

impl Caller {
    /// Whether what belongs to this account is for the caller to see.
    #[must_use]
    pub fn may_see(&self, account: &Account) -> bool {
        match &self.scope {
            Scope::Instance => true,
            Scope::Account(own) => own == account,
        }
    }

    /// The one account that the key opens; none: all of them.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        match &self.scope {
            Scope::Instance => None,
            Scope::Account(own) => Some(own),
        }
    }

    /// Refuses account keys.
    ///
    /// # Errors
    /// 403.
    pub fn require_instance(&self) -> Result<(), Problem> {
        match self.scope {
            Scope::Instance => Ok(()),
            Scope::Account(_) => {
                Err(Problem::forbidden("this takes an instance key, and this is an account's key"))
            }
        }
    }

    /// The account that a request is about: the one it names; for an account key always its own, named or not. None:
    /// an instance key that names none, so all of them.
    ///
    /// # Errors
    /// 403 if an account key names another account.
    pub fn account_for(&self, requested: Option<Account>) -> Result<Option<Account>, Problem> {
        match (&self.scope, requested) {
            (Scope::Instance, requested) => Ok(requested),
            (Scope::Account(own), None) => Ok(Some(own.clone())),
            (Scope::Account(own), Some(requested)) if *own == requested => Ok(Some(requested)),
            (Scope::Account(own), Some(_)) => {
                Err(Problem::forbidden(format!("this key is for account `{own}` alone")))
            }
        }
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Keys>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Self::behind(&["bearer"], parts, &Arc::<Keys>::from_ref(state)).await
    }
}

impl<S> FromRequestParts<S> for BasicOrBearer
where
    S: Send + Sync,
    Arc<Keys>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let keys = Arc::<Keys>::from_ref(state);
        Caller::behind(&["bearer", "basic"], parts, &keys).await.map(Self)
    }
}

impl Caller {
    async fn behind(schemes: &[&str], parts: &Parts, keys: &Keys) -> Result<Self, Problem> {
        let value = parts.headers.get(AUTHORIZATION).ok_or_else(Problem::unauthorized)?;
        let value = value.to_str().map_err(|_| Problem::unauthorized())?;
        let (scheme, key) = value.split_once(' ').ok_or_else(Problem::unauthorized)?;
        if !schemes.iter().any(|taken| scheme.eq_ignore_ascii_case(taken)) {
            return Err(Problem::unauthorized());
        }
        keys.caller(&Secret::new(key.trim())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Account {
        name.parse().expect("a valid account")
    }

    fn caller(scope: Scope) -> Caller {
        Caller { scope, key: KeyHash([0; 32]) }
    }

    #[test]
    fn account_key_is_about_its_own_account_whatever_is_asked() {
        let caller = caller(Scope::Account(account("acme")));
        assert_eq!(caller.account_for(None), Ok(Some(account("acme"))));
        assert_eq!(caller.account_for(Some(account("acme"))), Ok(Some(account("acme"))));
        assert!(caller.account_for(Some(account("other"))).is_err());
        assert!(caller.may_see(&account("acme")));
        assert!(!caller.may_see(&account("other")));
        assert!(caller.require_instance().is_err());
    }

    #[test]
    fn instance_key_is_about_what_it_names() {
        let caller = caller(Scope::Instance);
        assert_eq!(caller.account_for(None), Ok(None));
        assert_eq!(caller.account_for(Some(account("acme"))), Ok(Some(account("acme"))));
        assert!(caller.require_instance().is_ok());
    }
}
