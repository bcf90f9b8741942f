//! `ringback serve`: all roles in one process, for production.

use crate::exit::Failure;
use crate::process::{self, Process};
use crate::settings::{Given, Openness};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Bad settings, before any port is bound; what is needed and not there; a task that fails.
pub(crate) async fn run(given: Given) -> Result<(), Failure> {
    let settings = given.check(Openness::Guarded).map_err(Failure::Usage)?;
    process::start_logs(&settings)?;
    let process = Process::open(settings).await?;
    if !process.has_a_way_in().await? {
        return Err(Failure::Usage(anyhow::anyhow!(
            "admin_key: nobody could call the API, for no API key exists yet; set RINGBACK_ADMIN_KEY to `rbk_` and at \
             least 32 characters (for example: echo rbk_$(openssl rand -hex 20))"
        )));
    }
    process.listen().await?.run(process::stop_signal()).await
}
