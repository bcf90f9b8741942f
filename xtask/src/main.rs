//! The developer's commands: `cargo xtask test`, `cargo xtask check`.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "commands for people at a terminal"
)]

mod bench;
mod boundaries;
mod check;
mod documents;
mod machine;
mod metadata;
mod python;
mod run;
mod servers;
mod test;

use clap::{Parser, Subcommand};

/// Ringback's developer commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the binary, starts RabbitMQ, Redis and PostgreSQL, and runs all tests, unit and end to end.
    Test {
        /// Only the tests with one of these in their name.
        filters: Vec<String>,
    },
    /// Starts the servers that tests share, says where they are, and stops them at Ctrl-C.
    Servers,
    /// Runs a benchmark, in release builds: `bench embedded`.
    Bench {
        /// Which one, and its options; `bench -- --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
    /// Format, clippy, documentation, crate boundaries, links.
    Check,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Test { filters } => test::run(&filters),
        Command::Servers => servers::run(),
        Command::Bench { arguments } => bench::run(&arguments),
        Command::Check => check::run(),
    }
}
