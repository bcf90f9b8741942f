//! `cargo xtask screenshots`: pictures of the pages, for the documents.

use crate::machine;
use crate::metadata::Metadata;
use crate::run::{cargo, show_and_run};

/// Where they are written.
const DIRECTORY: &str = "docs/images";

/// Builds the binary, and takes a picture of each page, in light and dark, on a desktop and on a phone.
///
/// # Errors
/// If it can't be built, or a page is not there.
pub(crate) fn run() -> anyhow::Result<()> {
    machine::complete()?;
    show_and_run(&mut cargo(&["build", "--package", "ringback"]))?;
    let binary = Metadata::read()?.target_directory.join("debug/ringback");
    let camera = ["run", "--package", "ringback-e2e", "--example", "screenshots", "--", DIRECTORY];
    show_and_run(cargo(&camera).env("RINGBACK_BIN", binary))
}
