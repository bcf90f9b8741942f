//! Who is signed in to the console.

use async_trait::async_trait;
use ringback_core::Timestamp;

use super::PostgresStore;
use super::values::Values;
use crate::rows;
use crate::{Error, KeyHash, Pass, Sessions, sql};

#[async_trait]
impl Sessions for PostgresStore {
    async fn create_session(&self, session: &Pass) -> Result<(), Error> {
        self.add(sql::FORGET_SESSIONS, sql::INSERT_SESSION, session).await
    }

    async fn session(&self, hash: KeyHash, now: Timestamp) -> Result<Option<Pass>, Error> {
        let found = self.database.rows(sql::SESSION, at(hash, now)).await?;
        found.first().map(rows::pass).transpose()
    }

    async fn delete_session(&self, hash: KeyHash) -> Result<(), Error> {
        let values = || {
            let mut values = Values::none();
            rows::bind_hash(&mut values, hash);
            values
        };
        self.database.execute(sql::DELETE_SESSION, values).await.map(|_| ())
    }

    async fn create_console_link(&self, link: &Pass) -> Result<(), Error> {
        self.add(sql::FORGET_CONSOLE_LINKS, sql::INSERT_CONSOLE_LINK, link).await
    }

    async fn console_link(&self, hash: KeyHash, now: Timestamp) -> Result<Option<Pass>, Error> {
        let found = self.database.rows(sql::CONSOLE_LINK, at(hash, now)).await?;
        found.first().map(rows::pass).transpose()
    }

    async fn redeem_console_link(
        &self,
        hash: KeyHash,
        now: Timestamp,
    ) -> Result<Option<Pass>, Error> {
        let redeemed = self.database.change(sql::REDEEM_CONSOLE_LINK, || at(hash, now)).await?;
        redeemed.first().map(rows::pass).transpose()
    }
}

impl PostgresStore {
    /// Forgets what has expired, and adds one.
    async fn add(
        &self,
        forget: &'static str,
        insert: &'static str,
        pass: &Pass,
    ) -> Result<(), Error> {
        self.database.execute(forget, || Values::none().and(pass.created_at.ms())).await?;
        let values = || {
            let mut values = Values::none();
            rows::bind_pass(&mut values, pass);
            values
        };
        self.database.execute(insert, values).await.map(|_| ())
    }
}

fn at(hash: KeyHash, now: Timestamp) -> Values {
    let mut values = Values::none();
    rows::bind_pass_at(&mut values, hash, now);
    values
}
