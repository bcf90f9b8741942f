//! API keys as they come and go.

use ringback_core::{Account, Timestamp};
use ringback_store::{ApiKey, Scope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiKey {
    /// The account it opens; null: everything.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) account: Option<Account>,
    /// What it is for: at most 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub(crate) description: String,
}

/// A key, but for the key itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeyAnswer {
    #[schema(format = "uuid")]
    id: String,
    /// The account it opens; null: everything.
    #[schema(required, value_type = Option<String>)]
    account: Option<Account>,
    description: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeApiKey {
    /// The key. Shown now and never again: only its hash is kept.
    #[schema(example = "rbk_…")]
    pub(crate) key: String,
    #[serde(flatten)]
    pub(crate) about: ApiKeyAnswer,
}

impl ApiKeyAnswer {
    pub(crate) fn of(key: &ApiKey) -> Self {
        let account = match &key.scope {
            Scope::Instance => None,
            Scope::Account(account) => Some(account.clone()),
        };
        Self {
            id: key.id.to_string(),
            account,
            description: key.description.clone(),
            created_at: key.created_at,
        }
    }
}
