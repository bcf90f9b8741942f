//! `ringback export` and `ringback import`: everything that an instance keeps, in one file, from any shape to any other.
//!
//! **Nothing runs meanwhile.** They open databases and queue themselves. What is exported stays where it is: whoever
//! starts the old instance again delivers a second time.
//! **Nothing accepted is lost.** What waits on the queue goes with the rest, with the time at which it is due. It is put
//! on the new queue last, when the history is there, and marked as perhaps repeated: so an import that was cut off can
//! be made again, and what was done already is not done twice.
//! **Repeats are known.** The events that were accepted in the last 24 hours are remembered as accepted, as their ids were
//! in the old instance ([`known`]).
//! **Secrets** are sealed with a key of their own, in a file of its own, with which the whole file is sealed against
//! changes too ([`mod@file`]).

mod export;
mod file;
mod import;
mod known;
mod place;

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use crate::exit::Failure;
use crate::settings::{Given, Openness, Settings};

/// Write everything that an instance keeps into one file, to be imported into another. No Ringback may be at work on it.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The file to make; `-`: standard output
    file: PathBuf,
    /// The file with the key that seals the secrets in it; made if it is not there. Carry it another way than the file
    #[arg(long, env = "RINGBACK_TRANSFER_KEY_FILE", value_name = "FILE")]
    key_file: PathBuf,
    /// Leave out what is over: of the history only what is still to be delivered, and no bulk replays
    #[arg(long)]
    without_history: bool,
    /// Leave out what the log callback was sent
    #[arg(long)]
    without_log: bool,
    #[command(flatten)]
    given: Given,
}

/// Put what `ringback export` wrote into an empty instance. No Ringback may be at work on it. Cut off, it can be made again.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The file that was exported
    file: PathBuf,
    /// The file with the key that it was exported with
    #[arg(long, env = "RINGBACK_TRANSFER_KEY_FILE", value_name = "FILE")]
    key_file: PathBuf,
    /// Into an instance that is not empty: what it has stays as it is
    #[arg(long)]
    merge: bool,
    #[command(flatten)]
    given: Given,
}

impl Export {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let settings = settings(self.given)?;
        let scope = export::Scope { history: !self.without_history, log: !self.without_log };
        export::run(&settings, &self.file, &self.key_file, scope).await
    }
}

impl Import {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let settings = settings(self.given)?;
        let target = if self.merge { import::Target::Any } else { import::Target::Empty };
        import::run(&settings, &self.file, &self.key_file, target).await
    }
}

fn settings(given: Given) -> Result<Settings, Failure> {
    given.check(Openness::Guarded).map_err(Failure::Usage)
}

/// What is told on standard error: standard output may be the file. That nobody reads it is no error.
fn note(line: impl std::fmt::Display) {
    let _nobody_reads = writeln!(std::io::stderr().lock(), "{line}");
}
