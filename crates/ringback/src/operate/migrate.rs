//! `ringback migrate`: brings PostgreSQL's tables up to date.

use clap::Args;
use ringback_runtime::{Clock as _, SystemClock};
use ringback_store::postgres;

use super::say;
use crate::exit::Failure;
use crate::settings::{Given, Openness, StoreSettings};

/// Bring PostgreSQL's tables up to date, and make the partitions of the next days. Every start does so too.
#[derive(Args, Debug)]
pub(crate) struct Migrate {
    #[command(flatten)]
    given: Given,
}

impl Migrate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // Secrets are not touched: a migration needs no key.
        let settings = self.given.without_master_key().check(Openness::Guarded);
        let settings = settings.map_err(Failure::Usage)?;
        let StoreSettings::Postgres(postgres) = &settings.store else {
            return Err(Failure::Usage(anyhow::anyhow!(
                "database_url: this command is about PostgreSQL; set RINGBACK_DATABASE_URL (SQLite's tables are brought \
                 up to date at each start)"
            )));
        };
        let migrated = postgres::migrate(postgres, SystemClock.now()).await?;
        for step in &migrated.steps {
            say(format_args!("done: {step}"));
        }
        say(format_args!(
            "{} has schema {}{}",
            postgres.place(),
            migrated.to,
            if migrated.steps.is_empty() { ", as before" } else { "" },
        ));
        Ok(())
    }
}
