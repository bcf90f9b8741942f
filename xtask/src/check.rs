//! `cargo xtask check`: what needs no test to run.

use anyhow::ensure;

use crate::metadata::Metadata;
use crate::run::{cargo, find, root, show_and_run};
use crate::{boundaries, documents, image, machine, metrics};

/// Runs all checks, the quick ones first.
///
/// # Errors
/// The first that fails.
pub(crate) fn run() -> anyhow::Result<()> {
    machine::complete()?;
    show_and_run(&mut cargo(&["fmt", "--all", "--check"]))?;
    println!("$ documents");
    documents::check()?;
    println!("$ metrics");
    metrics::check()?;
    println!("$ Dockerfile");
    let faults = image::check(root())?;
    ensure!(faults.is_empty(), "{}", faults.join("\n  "));
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
