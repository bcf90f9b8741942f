//! How a command ends: the codes of sysexits.h, so that a service manager can tell a typing error from a full disk.

use std::process::ExitCode;

/// Why the process ends other than well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 64: a setting or argument is wrong; trying again changes nothing.
    Usage(anyhow::Error),
    /// 69: something that is needed is not to be had now: the port, the data directory.
    Unavailable(anyhow::Error),
    /// 1: anything else.
    Other(anyhow::Error),
}

impl Failure {
    /// Says why on standard error, and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Self::Usage(error) => (error, 64),
            Self::Unavailable(error) => (error, 69),
            Self::Other(error) => (error, 1),
        };
        eprintln!("ringback: {error:#}");
        ExitCode::from(code)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<ringback_sqlite::Error> for Failure {
    fn from(error: ringback_sqlite::Error) -> Self {
        match error {
            ringback_sqlite::Error::InUse { .. } | ringback_sqlite::Error::Directory { .. } => {
                Self::Unavailable(error.into())
            }
            _ => Self::Other(error.into()),
        }
    }
}

impl From<ringback_store::Error> for Failure {
    fn from(error: ringback_store::Error) -> Self {
        match error {
            ringback_store::Error::WrongMasterKey => {
                Self::Usage(anyhow::Error::from(error).context("master_key"))
            }
            // Only a server refuses: a wrong password, a database that is not there.
            ringback_store::Error::Refused { .. } => {
                Self::Unavailable(anyhow::Error::from(error).context("database_url"))
            }
            error if error.is_temporary() => Self::Unavailable(error.into()),
            _ => Self::Other(error.into()),
        }
    }
}
