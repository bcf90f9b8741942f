//! Benchmarks. `cargo xtask bench embedded` builds and runs this; docs/performance.md has figures.
//!
//! Three processes share the machine: this one (the producers), a receiver (this program again, as `receiver`), and
//! Ringback. Rates depend on the machine and on who else uses it, so what counts is the ratio to the bare HTTP client,
//! measured in the same run against the same receiver.

mod embedded;
mod measure;
mod producer;
mod receiver;
mod server;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The embedded pipeline against the bare HTTP client
    Embedded(embedded::Options),
    /// The receiver that the others send to: prints its address, counts, and ends with its standard input
    Receiver,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Before any client is made; fails only if it was done already.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    match arguments.command {
        Command::Embedded(options) => {
            tokio::runtime::Runtime::new()?.block_on(embedded::run(options))
        }
        // One thread, as cheap as it gets: it is not what is measured.
        Command::Receiver => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(receiver::serve()),
    }
}
