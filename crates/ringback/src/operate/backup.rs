//! `ringback backup`: a copy of the embedded database, while it is in use.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

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
        let unmade = || format!("{} can't be made", self.file.display());
        if self.file.symlink_metadata().is_ok() {
            let there = anyhow!("it is there already");
            return Err(Failure::Usage(there.context(unmade())));
        }
        // Under another name until it is whole: half a copy would be taken for one.
        let unfinished = beside(&self.file);
        // Made here, so that nobody else can read it; SQLite takes a file that is empty.
        let made = File::options().write(true).create_new(true).mode(0o600).open(&unfinished);
        made.with_context(unmade).map_err(Failure::Usage)?;
        let copied = ringback_sqlite::backup(&settings.data_dir, &unfinished).await;
        let named = match copied {
            Ok(()) => name(&unfinished, &self.file).with_context(unmade).map_err(Failure::Usage),
            Err(error) => Err(error.into()),
        };
        if named.is_err() {
            let _nothing_of_use = fs::remove_file(&unfinished);
        }
        named?;
        say(format_args!(
            "copied to {}; the secrets in it open with the master key alone: keep {} too, elsewhere",
            self.file.display(),
            settings.data_dir.join("master-key").display()
        ));
        Ok(())
    }
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    name.into()
}

/// Gives a file its name, on the disk, unless something else has it.
fn name(unfinished: &Path, file: &Path) -> io::Result<()> {
    match fs::hard_link(unfinished, file) {
        Ok(()) => fs::remove_file(unfinished)?,
        // Such as on a stick: a file system without links.
        Err(error) if error.kind() != ErrorKind::AlreadyExists && !file.exists() => {
            fs::rename(unfinished, file)?;
        }
        Err(error) => return Err(error),
    }
    let directory = file.parent().filter(|parent| *parent != Path::new(""));
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
