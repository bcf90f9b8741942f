//! Benchmarks. `cargo xtask bench embedded` and `cargo xtask bench distributed` build and run this; docs/performance.md
//! has figures.
//!
//! Several processes share the machine: this one (the producers), a receiver (this program again, as `receiver`), and
//! what is measured. Rates depend on the machine and on who else uses it, so what counts is the ratio to a yardstick
//! measured in the same run against the same receiver: the bare HTTP client, or the bare pipelines (this program again).

mod bare;
mod distributed;
mod embedded;
mod measure;
mod pages;
mod process;
mod producer;
mod receiver;
mod server;

use clap::{Parser, Subcommand};

/// As in Ringback, so that it is no difference between it and the yardsticks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The embedded pipeline against the bare HTTP client
    Embedded(embedded::Options),
    /// The distributed pipeline against bare ones
    Distributed(distributed::Options),
    /// The console's pages over a long history
    Pages(pages::Options),
    /// A yardstick's first half: prints its address, and ends with its standard input
    BareIngest(bare::Options),
    /// A yardstick's second half: says that it is ready, and ends with its standard input
    BareWorker(bare::Options),
    /// The receiver that the others send to: prints its address, counts, and ends with its standard input
    Receiver,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Before any client is made; fails only if it was done already.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let many_threads = tokio::runtime::Runtime::new;
    // As cheap as it gets.
    let one_thread = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    match arguments.command {
        Command::Embedded(options) => many_threads()?.block_on(embedded::run(options)),
        Command::Distributed(options) => many_threads()?.block_on(distributed::run(options)),
        Command::Pages(options) => many_threads()?.block_on(pages::run(options)),
        Command::BareIngest(options) => one_thread()?.block_on(bare::ingest(options)),
        Command::BareWorker(options) => one_thread()?.block_on(bare::worker(options)),
        Command::Receiver => one_thread()?.block_on(receiver::serve()),
    }
}
