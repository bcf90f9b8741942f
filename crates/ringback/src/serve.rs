//! `ringback serve`, all roles in one process, and `ingest`, `worker` and `console`, one each: for production.

use crate::exit::Failure;
use crate::process::{self, Process, Role};
use crate::settings::{Given, Openness, Settings};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Bad settings, before any port is bound; what is needed and not there; a task that fails.
pub(crate) async fn run(role: Role, given: Given) -> Result<(), Failure> {
    let settings = given.check(Openness::Guarded).map_err(Failure::Usage)?;
    check_servers(role, &settings)?;
    process::start_logs(&settings)?;
    let process = Process::open(role, settings).await?;
    if matches!(role, Role::All | Role::Console) && !process.has_a_way_in().await? {
        return Err(Failure::Usage(anyhow::anyhow!(
            "admin_key: nobody could call the API, for no API key exists yet; set RINGBACK_ADMIN_KEY to `rbk_` and at \
             least 32 characters (for example: echo rbk_$(openssl rand -hex 20))"
        )));
    }
    process.listen().await?.run(process::stop_signal()).await
}

/// A role by itself works with others, and what is in its own data directory they would never see.
fn check_servers(role: Role, settings: &Settings) -> Result<(), Failure> {
    let missing = settings.missing_servers();
    match missing.first() {
        Some(first) if role != Role::All => Err(Failure::Usage(anyhow::anyhow!(
            "{first}: `ringback {}` works together with other processes on shared servers: set {} (`ringback serve` is all \
             roles in one process, and needs none of them)",
            role.name(),
            missing.join(", "),
        ))),
        _ => Ok(()),
    }
}
