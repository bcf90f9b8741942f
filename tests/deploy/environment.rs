//! `.env`: made with random secrets, and checked. `deploy/make-env`, `deploy/check-env`.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::{command, read, root, run};

/// What has to be in it.
pub(crate) const SECRETS: [&str; 5] = [
    "POSTGRES_PASSWORD",
    "RABBITMQ_PASSWORD",
    "REDIS_PASSWORD",
    "GRAFANA_PASSWORD",
    "RINGBACK_MASTER_KEY",
];
/// What is made with them, and taken out again once there is an instance key.
pub(crate) const ADMIN_KEY: &str = "RINGBACK_ADMIN_KEY";

/// An `.env` as `make-env` makes it.
pub(crate) fn made(directory: &Path) -> PathBuf {
    let file = directory.join(".env");
    let (made, said) = run(command("sh").arg("deploy/make-env").arg(&file));
    assert!(made, "{said}");
    file
}

/// The variables of an `.env`.
pub(crate) fn variables(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).expect("it is there");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn check(file: &Path) -> (bool, String) {
    run(command("sh").arg("deploy/check-env").arg(file))
}

#[test]
fn env_is_made_of_random_secrets_for_its_owner_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = made(directory.path());
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let variables = variables(&file);
    let values: HashSet<_> = variables.iter().map(|(_, value)| value).collect();
    assert_eq!(values.len(), variables.len(), "each has its own");
    for name in SECRETS.into_iter().chain([ADMIN_KEY]) {
        assert!(variables.iter().any(|(made, value)| made == name && value.len() >= 40), "{name}");
    }
    assert_eq!(check(&file), (true, String::new()));
    // Another time, other secrets.
    let second = tempfile::tempdir().expect("a directory");
    let again = self::variables(&made(second.path()));
    assert!(again.iter().all(|(_, value)| !values.contains(value)));
}

#[test]
fn env_that_is_there_stays_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join(".env");
    fs::write(&file, "RINGBACK_MASTER_KEY=precious\n").expect("there is room");
    let (made, said) = run(command("sh").arg("deploy/make-env").arg(&file));
    assert!(!made, "{said}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "RINGBACK_MASTER_KEY=precious\n");
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 1);
}

#[test]
fn placeholders_are_refused_and_not_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = made(directory.path());
    let good = fs::read_to_string(&file).expect("it is there");
    for (name, bad, why) in [
        ("POSTGRES_PASSWORD", "", "empty"),
        ("POSTGRES_PASSWORD", "changemechangemechangeme", "placeholder"),
        ("RABBITMQ_PASSWORD", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "placeholder"),
        ("REDIS_PASSWORD", "Xk39dLq2", "8 characters"),
        ("GRAFANA_PASSWORD", "Xk39dLq2/Xk39dLq2@Xk39dLq2", "letters and digits"),
        ("RINGBACK_ADMIN_KEY", "Xk39dLq2Xk39dLq2Xk39dLq2Xk39dLq2", "rbk_"),
        ("RINGBACK_ADMIN_KEY", "rbk_Xk39dLq2", "8 characters"),
        ("RINGBACK_MASTER_KEY", "c2hvcnQ=", "32 bytes"),
        ("RINGBACK_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "placeholder"),
    ] {
        let lines = good.lines().map(|line| match line.split_once('=') {
            Some((found, _)) if found == name => format!("{name}={bad}\n"),
            _ => format!("{line}\n"),
        });
        fs::write(&file, lines.collect::<String>()).expect("there is room");
        let (passed, said) = check(&file);
        assert!(!passed && said.contains(name) && said.contains(why), "{name}={bad}: {said}");
        assert!(bad.is_empty() || !said.contains(bad), "{said}");
    }
    // Once there is an instance key.
    let without_admin_key = good.lines().filter(|line| !line.starts_with(ADMIN_KEY));
    let emptied = without_admin_key.chain(["RINGBACK_ADMIN_KEY="]).collect::<Vec<_>>().join("\n");
    fs::write(&file, emptied).expect("there is room");
    assert_eq!(check(&file), (true, String::new()));
    fs::write(&file, &good).expect("there is room");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let (passed, said) = check(&file);
    assert!(!passed && said.contains("others may read"), "{said}");
}

#[test]
fn example_has_no_secret_that_would_work() {
    let example = variables(&root().join(".env.example"));
    for name in SECRETS.into_iter().chain([ADMIN_KEY]) {
        let found = example.iter().find(|(found, _)| found == name);
        assert_eq!(found.map(|(_, value)| value.as_str()), Some(""), "{name}");
    }
    assert!(read(".gitignore").lines().any(|line| line == "/.env"), "git would take an .env along");
}
