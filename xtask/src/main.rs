//! The developer's commands: `cargo xtask test`, `cargo xtask check`.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "commands for people at a terminal"
)]

mod axe;
mod bench;
mod boundaries;
mod check;
mod documents;
mod image;
mod machine;
mod metadata;
mod metrics;
mod python;
mod run;
mod screenshots;
mod servers;
mod test;
mod upgrade;

use std::path::PathBuf;

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
    /// Builds the binary of another commit, and has processes of both versions work together on the same servers.
    UpgradeTest {
        /// Which commit [default: the last release; before the first, the last commit].
        #[arg(long, value_name = "REV")]
        from: Option<String>,
        /// A binary of another version that is there already.
        #[arg(long, value_name = "FILE", conflicts_with = "from")]
        binary: Option<std::path::PathBuf>,
    },
    /// Format, clippy, documentation, crate boundaries, links, the Dockerfile.
    Check,
    /// Writes the documents that are made of the code: docs/metrics.md.
    Docs,
    /// Takes pictures of the console's pages and writes them to docs/images.
    Screenshots,
    /// Runs the steps of the Dockerfile that make the image's files, without Docker, and starts the binary among them.
    ImageSteps {
        /// Cargo's profile; `dev` builds sooner.
        #[arg(long, default_value = "release")]
        profile: String,
        /// Where; it stays then, and the next run finds what this one has built.
        #[arg(long)]
        directory: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Test { filters } => test::run(&filters),
        Command::Servers => servers::run(),
        Command::Bench { arguments } => bench::run(&arguments),
        Command::UpgradeTest { from, binary } => upgrade::run(from.as_deref(), binary),
        Command::Docs => metrics::write(),
        Command::Screenshots => screenshots::run(),
        Command::Check => check::run(),
        Command::ImageSteps { profile, directory } => image::run_steps(&profile, directory),
    }
}
