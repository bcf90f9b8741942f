//! `cargo xtask bench`: benchmarks, in release builds. Never part of the tests.

use crate::metadata::Metadata;
use crate::run::{cargo, program, show_and_run};

/// Builds what is measured and what measures, and runs a benchmark with these arguments.
///
/// # Errors
/// If it can't be built or does not come to its end.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let packages = ["--package", "ringback", "--package", "ringback-bench"];
    show_and_run(cargo(&["build", "--release"]).args(packages))?;
    let benchmark = Metadata::read()?.target_directory.join("release/ringback-bench");
    show_and_run(program(&benchmark.to_string_lossy(), &[]).args(arguments))
}
