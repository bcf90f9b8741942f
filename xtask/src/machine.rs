//! What tests need of the machine beyond Rust.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ringback_testkit::servers::find_program;

use crate::run::{find, program, show_and_run};

/// A program, and the Debian package it comes in.
struct Needed {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const NEEDED: [Needed; 12] = [
    Needed { program: "cc", package: "build-essential", why: "compiles SQLite" },
    Needed {
        program: "curl",
        package: "curl",
        why: "runs the commands that `ringback dev` prints",
    },
    Needed {
        program: "rabbitmq-server",
        package: "rabbitmq-server",
        why: "is one of the two brokers",
    },
    Needed { program: "redis-server", package: "redis-server", why: "keeps request keys" },
    Needed { program: "postgres", package: "postgresql", why: "keeps the history" },
    Needed {
        program: "prometheus",
        package: "prometheus",
        why: "reads metrics, and runs the alerts and the queries of the dashboards",
    },
    Needed { program: "haproxy", package: "haproxy", why: "stands before the API" },
    Needed { program: "systemd-analyze", package: "systemd", why: "checks the units" },
    Needed {
        program: "python3",
        package: "python3-venv",
        why: "runs a producer, a receiver and a checker of the API that others wrote",
    },
    Needed { program: "chromium", package: "chromium", why: "shows the pages" },
    Needed {
        program: "chromedriver",
        package: "chromium-driver",
        why: "does in the browser what people do",
    },
    Needed { program: "npm", package: "npm", why: "fetches what finds faults of pages" },
];

impl Needed {
    fn is_there(&self) -> bool {
        find_program(self.program).is_some()
            // Debian has the interpreter in a package of its own, without what makes environments.
            && (self.program != "python3" || succeeds("python3", &["-c", "import ensurepip, venv"]))
    }
}

fn succeeds(name: &str, arguments: &[&str]) -> bool {
    program(name, arguments).output().is_ok_and(|output| output.status.success())
}

/// Installs what is missing if we may, or says how to.
///
/// # Errors
/// If something stays missing.
pub(crate) fn complete() -> anyhow::Result<()> {
    let missing: Vec<&Needed> = NEEDED.iter().filter(|needed| !needed.is_there()).collect();
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
    let _decree = NoServices::decree(Path::new(NoServices::POLICY))?;
    show_and_run(&mut program("apt-get", &["update"]))?;
    show_and_run(program("apt-get", &install).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn is_root() -> anyhow::Result<bool> {
    let output = program("id", &["-u"]).output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// While it lives, packages that are installed don't start the services in them: tests start their own, and a container
/// has nothing to start one with, which fails the installation.
struct NoServices {
    /// Ours, to be removed.
    policy: Option<PathBuf>,
}

impl NoServices {
    /// What Debian's maintainer scripts ask before they start a service.
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn decree(policy: &Path) -> anyhow::Result<Self> {
        // Should we be killed before it is removed, it has no effect any more.
        let script = format!(
            "#!/bin/sh\n# `cargo xtask` installs what tests need, and starts no services.\n\
             kill -0 {} 2>/dev/null && exit 101\nexit 0\n",
            std::process::id()
        );
        match OpenOptions::new().write(true).create_new(true).mode(0o755).open(policy) {
            Ok(mut file) => {
                file.write_all(script.as_bytes())?;
                Ok(Self { policy: Some(policy.to_owned()) })
            }
            // The machine has a policy already, as container images do.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { policy: None }),
            Err(error) => Err(error).with_context(|| policy.display().to_string()),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = &self.policy {
            // It has no effect once we are gone.
            let _ = fs::remove_file(policy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_not_started_while_the_decree_lives() {
        let directory = tempfile::tempdir().expect("there is room");
        let policy = directory.path().join("policy-rc.d");
        let decree = NoServices::decree(&policy).expect("it can be written");
        let asked = program(&policy.to_string_lossy(), &["redis-server", "start"]).status();
        assert_eq!(asked.expect("it can be run").code(), Some(101));
        drop(decree);
        assert!(!policy.exists());
    }

    #[test]
    fn policy_of_the_machine_stays_as_it_is() {
        let directory = tempfile::tempdir().expect("there is room");
        let policy = directory.path().join("policy-rc.d");
        fs::write(&policy, "theirs").expect("there is room");
        drop(NoServices::decree(&policy).expect("there is one already"));
        assert_eq!(fs::read_to_string(&policy).expect("it is there"), "theirs");
    }
}
