//! `cargo xtask check`: what needs no test to run.

use crate::metadata::Metadata;
use crate::run::{cargo, find, show_and_run};
use crate::{boundaries, documents, machine};

/// Runs all checks, the quick ones first.
///
/// # Errors
/// The first that fails.
pub(crate) fn run() -> anyhow::Result<()> {
    machine::complete()?;
    show_and_run(&mut cargo(&["fmt", "--all", "--check"]))?;
    println!("$ documents");
    documents::check()?;
    println!("$ boundaries");
    boundaries::check(&Metadata::read()?)?;
    if find("cargo-deny").is_some() {
        show_and_run(&mut cargo(&["deny", "check"]))?;
    }
    show_and_run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    show_and_run(
        cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )?;
    println!("all checks passed");
    Ok(())
}
