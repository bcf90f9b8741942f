//! `cargo xtask test`: all tests, with the binary they start and the servers they share.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use crate::axe;
use crate::machine;
use crate::metadata::Metadata;
use crate::python;
use crate::run::{cargo, find, show_and_run};
use crate::servers::Starting;

/// Builds the binary and runs the tests with one of `filters` in their name; without filters, all.
///
/// # Errors
/// If it can't be built, a server does not start, or a test fails.
pub(crate) fn run(filters: &[String]) -> anyhow::Result<()> {
    machine::complete()?;
    let servers = Starting::begin()?;
    // Built by itself, as users build it: in a build of the whole workspace tests would lend it features.
    show_and_run(&mut cargo(&["build", "--package", "ringback"]))?;
    let target = Metadata::read()?.target_directory;
    let binary = target.join("debug/ringback");
    ensure!(binary.is_file(), "cargo has built no {}", binary.display());

    let python = python::environment(&target)?;
    let axe = axe::script(&target)?;

    // Documentation tests first: the last line is to be that of the run that everybody asks about.
    if filters.is_empty() {
        show_and_run(&mut cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    }
    let servers = servers.finish()?;
    let mut tests = all_others(&binary, filters);
    tests.env(python::VARIABLE, python).env(axe::VARIABLE, axe);
    show_and_run(tests.envs(servers.addresses()))
}

/// cargo-nextest where it is installed: it runs each test in a process of its own, and ends one that hangs.
fn all_others(binary: &Path, filters: &[String]) -> Command {
    let mut command = match find("cargo-nextest") {
        Some(_) => cargo(&["nextest", "run", "--workspace"]),
        None => {
            cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast", "--"])
        }
    };
    command.args(filters).env("RINGBACK_BIN", binary);
    command
}
