//! What tests need of the machine beyond Rust.

use anyhow::bail;

use crate::run::{find, program, show_and_run};

/// A program, and the Debian package it comes in.
struct Needed {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const NEEDED: [Needed; 2] = [
    Needed { program: "cc", package: "build-essential", why: "compiles SQLite" },
    Needed {
        program: "curl",
        package: "curl",
        why: "runs the commands that `ringback dev` prints",
    },
];

/// Installs what is missing if we may, or says how to.
///
/// # Errors
/// If something stays missing.
pub(crate) fn complete() -> anyhow::Result<()> {
    let missing: Vec<&Needed> =
        NEEDED.iter().filter(|needed| find(needed.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for Needed { program, package, why } in &missing {
        println!("`{program}` is missing: it {why} (Debian package {package})");
    }
    let packages: Vec<&str> = missing.iter().map(|needed| needed.package).collect();
    let install = [&["install", "--yes", "--no-install-recommends"], &packages[..]].concat();
    if find("apt-get").is_none() || !is_root()? {
        bail!("install what is missing, on Debian with: sudo apt-get {}", install.join(" "));
    }
    show_and_run(&mut program("apt-get", &["update"]))?;
    show_and_run(program("apt-get", &install).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn is_root() -> anyhow::Result<bool> {
    let output = program("id", &["-u"]).output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}
