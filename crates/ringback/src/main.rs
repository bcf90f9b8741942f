//! The one binary: `serve` for production, `dev` and `demo` for trying out, and the commands for daily use.

mod cli;
mod demo;
mod dev;
mod exit;
mod health;
mod housekeeping;
mod http;
mod key_files;
mod operate;
mod parts;
mod process;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Failure;
use crate::process::Role;

/// The system's allocator was a sixth of the processor time of a delivery; this one is half of that (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Delivers event callbacks (webhooks), and loses none.
#[derive(Parser)]
#[command(name = "ringback", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run it for trying out: on this machine, with an admin key and two commands to paste
    Dev(settings::Given),
    /// Run it: all roles in one process
    Serve(settings::Given),
    /// Run one that takes events in; any number may run on the same servers
    Ingest(settings::Given),
    /// Run one that delivers; any number may run on the same servers
    Worker(settings::Given),
    /// Run one that answers the management API and keeps house
    Console(settings::Given),
    /// See deliveries and retries happen, in ten seconds
    Demo,
    #[command(flatten)]
    Operate(operate::Command),
    #[command(flatten)]
    Client(cli::Command),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; for the rest 64, as for any other bad setting.
            let code = if error.use_stderr() { 64 } else { 0 };
            return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::from(code));
        }
    };
    raise_open_files_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::Other(error.into()).report(),
    };
    let ended = runtime.block_on(async {
        match arguments.command {
            Command::Dev(given) => dev::run(given).await,
            Command::Serve(given) => serve::run(Role::All, given).await,
            Command::Ingest(given) => serve::run(Role::Ingest, given).await,
            Command::Worker(given) => serve::run(Role::Worker, given).await,
            Command::Console(given) => serve::run(Role::Console, given).await,
            Command::Demo => demo::run().await,
            Command::Operate(command) => operate::run(command).await,
            Command::Client(command) => return cli::run(command).await,
        }
        .map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
    });
    // A blocked name look-up must not keep the process: everything that matters has been waited for.
    runtime.shutdown_background();
    ended
}

/// A worker holds many connections at once; running out of file handles would look like the endpoints' failure.
fn raise_open_files_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        // Logs are not set up yet, and it is no reason not to work.
        eprintln!("ringback: the limit of open files stays as it is: {error}");
    }
}
