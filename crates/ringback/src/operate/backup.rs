//! `ringback backup`: a copy of the embedded database, while it is in use.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::say;
use crate::exit::Failure;
use crate::settings::{Given, Openness};

/// Copy the embedded database (queue, configuration and history of one moment) into a new file, also while Ringback runs.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The file to make
    file: PathBuf,
    #[command(flatten)]
    given: Given,
}

impl Backup {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // Secrets stay sealed.
        let settings = self.given.without_master_key().check(Openness::Guarded);
        let settings = settings.map_err(Failure::Usage)?;
        if settings.is_all_remote() {
            return Err(Failure::Usage(anyhow!(
                "data_dir: nothing is kept there; of servers make the backups that they have (docs/operations.md)"
            )));
        }
        if !ringback_sqlite::exists(&settings.data_dir) {
            return Err(Failure::Usage(anyhow!(
                "data_dir: there is no database in {}",
                settings.data_dir.display()
            )));
        }
        // Made here, so that nobody else can read it; SQLite takes a file that is empty.
        let made = File::options().write(true).create_new(true).mode(0o600).open(&self.file);
        made.with_context(|| format!("{} can't be made", self.file.display()))
            .map_err(Failure::Usage)?;
        if let Err(error) = ringback_sqlite::backup(&settings.data_dir, &self.file).await {
            let _nothing_of_use = std::fs::remove_file(&self.file);
            return Err(error.into());
        }
        say(format_args!(
            "copied to {}; the secrets in it open with the master key alone: keep {} too, elsewhere",
            self.file.display(),
            settings.data_dir.join("master-key").display()
        ));
        Ok(())
    }
}
