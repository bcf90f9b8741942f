//! `cargo xtask upgrade-test`: processes of this version and of another one, together on the same servers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::machine;
use crate::metadata::Metadata;
use crate::run::{cargo, program, show_and_run};
use crate::servers::Starting;

const TEST: &str = "two_versions_work_together_and_each_event_comes_once";

/// Builds both versions and has them work together.
///
/// `binary` is one that was built before; else that of `from` is built, once: what was built is kept by its commit.
///
/// # Errors
/// If one can't be built, a server does not start, or they don't get on.
pub(crate) fn run(from: Option<&str>, binary: Option<PathBuf>) -> anyhow::Result<()> {
    machine::complete()?;
    let servers = Starting::begin()?;
    let target = Metadata::read()?.target_directory;
    let old = match binary {
        Some(binary) => binary,
        None => build(&target, &revision(from)?)?,
    };
    show_and_run(&mut cargo(&["build", "--package", "ringback"]))?;
    let servers = servers.finish()?;
    let mut test = cargo(&["test", "--package", "ringback-e2e", "--test", "e2e", "--"]);
    test.args(["--ignored", "--nocapture", TEST])
        .env("RINGBACK_BIN", target.join("debug/ringback"))
        .env("RINGBACK_OLD_BINARY", fs::canonicalize(&old).context("the other version's binary")?)
        .envs(servers.addresses());
    show_and_run(&mut test)
}

/// The commit that is meant: without a name the last release, and before the first one the last commit.
fn revision(from: Option<&str>) -> anyhow::Result<String> {
    let name = match from {
        Some(name) => name.to_owned(),
        None => said(&["describe", "--tags", "--abbrev=0"]).unwrap_or_else(|_| "HEAD".to_owned()),
    };
    said(&["rev-parse", "--verify", &format!("{name}^{{commit}}")])
}

/// Builds the binary of a commit beside ours: in a tree and a target directory of its own.
fn build(target: &Path, commit: &str) -> anyhow::Result<PathBuf> {
    let home = target.join("upgrade").join(commit);
    let binary = home.join("ringback");
    if binary.is_file() {
        return Ok(binary);
    }
    fs::create_dir_all(&home)?;
    let tree = home.join("tree");
    let tree_text = tree.to_string_lossy().into_owned();
    if !tree.exists() {
        show_and_run(&mut program("git", &["worktree", "add", "--detach", &tree_text, commit]))?;
    }
    let mut building = cargo(&["build", "--package", "ringback", "--locked"]);
    let built = home.join("target");
    show_and_run(building.current_dir(&tree).arg("--target-dir").arg(&built))?;
    fs::copy(built.join("debug/ringback"), &binary).context("the binary that was built")?;
    // Gigabytes that nobody needs any more.
    fs::remove_dir_all(&built)?;
    show_and_run(&mut program("git", &["worktree", "remove", "--force", &tree_text]))?;
    Ok(binary)
}

/// What git answers.
fn said(arguments: &[&str]) -> anyhow::Result<String> {
    let output = program("git", arguments).output().context("running git")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
