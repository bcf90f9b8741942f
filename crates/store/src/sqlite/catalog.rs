//! The catalog, and the settings of accounts.

use async_trait::async_trait;
use ringback_core::catalog::EventType;
use ringback_core::{EventName, Timestamp};

use super::SqliteStore;
use crate::rows::catalog as rows;
use crate::{AccountSettings, CatalogStore, Error, sql};

#[async_trait]
impl CatalogStore for SqliteStore {
    async fn event_types(&self) -> Result<Vec<EventType>, Error> {
        let rows = sqlx::query(sql::EVENT_TYPES).fetch_all(self.database.readers()).await?;
        rows.iter().map(rows::event_type).collect()
    }

    async fn change_event_types(
        &self,
        put: &[EventType],
        delete: &[EventName],
        now: Timestamp,
    ) -> Result<bool, Error> {
        let (put, delete) = (put.to_vec(), delete.to_vec());
        let to = self.configuration.clone();
        let change =
            async move { to.change(|_| rows::change_event_types(&put, &delete, now)).await };
        self.writes.to_the_end(change).await
    }

    async fn account_settings(&self) -> Result<Vec<AccountSettings>, Error> {
        let rows = sqlx::query(sql::ACCOUNT_SETTINGS).fetch_all(self.database.readers()).await?;
        rows.iter().map(rows::account_settings).collect()
    }

    async fn put_account_settings(
        &self,
        settings: &AccountSettings,
        now: Timestamp,
    ) -> Result<(), Error> {
        let settings = settings.clone();
        let to = self.configuration.clone();
        let change = async move {
            to.change(|_| rows::put_account_settings(&settings, now)).await.map(|_| ())
        };
        self.writes.to_the_end(change).await
    }
}
