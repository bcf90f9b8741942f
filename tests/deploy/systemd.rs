//! `deploy/systemd`: units that systemd understands, and that leave the process little it could do harm with.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{changed, command, files_below, read, run};

/// Of 100; what runs as root and unconfined has 96.
const EXPOSURE_MAX: &str = "20";

fn units() -> Vec<PathBuf> {
    let units = files_below("deploy/systemd", ".service");
    assert_eq!(units.len(), 4);
    units
}

/// A unit as it would be installed: the binary that it names is there.
fn installed(unit: &Path, directory: &Path) -> PathBuf {
    let binary = ringback_testkit::ringback_binary().expect("the binary is built");
    let text = fs::read_to_string(unit).expect("it is there");
    let text = text.replace("/usr/local/bin/ringback", &binary.to_string_lossy());
    let name = unit.file_name().expect("a file").to_string_lossy();
    let file = directory.join(name.as_ref());
    fs::write(&file, text).expect("there is room");
    file
}

/// What systemd has to say of a unit: nothing, if all is well.
fn faults(unit: &Path, directory: &Path) -> String {
    let file = installed(unit, directory);
    // Of a template any instance will do.
    let name = file.file_name().expect("a file").to_string_lossy().replace('@', "@1");
    let verify = ["verify", "--man=no", "--recursive-errors=no"];
    let (verified, said) = run(command("systemd-analyze")
        .args(verify)
        .arg(directory.join(name))
        // systemd's own are not asked for on a machine that has none.
        .env("SYSTEMD_LOG_LEVEL", "warning"));
    if verified { said } else { format!("refused: {said}") }
}

fn is_confined(unit: &Path) -> (bool, String) {
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    run(command("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true"])
        .arg(threshold)
        .arg(unit))
}

#[test]
fn units_are_understood_and_confined() {
    let directory = tempfile::tempdir().expect("a directory");
    for unit in units() {
        assert_eq!(faults(&unit, directory.path()), "", "{}", unit.display());
        let (confined, said) = is_confined(&unit);
        assert!(confined, "{}: {said}", unit.display());
    }
}

#[test]
fn slips_in_a_unit_are_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let copies = tempfile::tempdir().expect("a directory");
    for (from, to) in
        [("RestartSec=1", "RestartSecs=1"), ("ExecStart=/usr", "ExecStart=/nowhere/usr")]
    {
        let bad = changed("deploy/systemd/ringback.service", from, to, copies.path());
        assert_ne!(faults(&bad, directory.path()), "", "{to}");
    }
    let open =
        changed("deploy/systemd/ringback.service", "DynamicUser=yes", "User=root", copies.path());
    let text = fs::read_to_string(&open).expect("it is there");
    let half =
        text.lines().filter(|line| !line.starts_with("Protect") && !line.starts_with("SystemCall"));
    fs::write(&open, half.collect::<Vec<_>>().join("\n")).expect("there is room");
    assert!(!is_confined(&open).0);
}

#[test]
fn stopping_and_starting_again_is_as_ringback_needs_it() {
    for unit in units() {
        let text = fs::read_to_string(&unit).expect("it is there");
        for line in [
            "KillSignal=SIGTERM",
            "TimeoutStopSec=35",
            "Restart=always",
            // A bad setting stays one.
            "RestartPreventExitStatus=64",
            "LoadCredential=ringback.toml:/etc/ringback/ringback.toml",
        ] {
            assert!(text.lines().any(|found| found == line), "{}: no {line}", unit.display());
        }
    }
    assert!(read("docs/settings.md").contains("TimeoutStopSec=35"));
}
