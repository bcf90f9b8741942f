//! Keys that are made at the first start and kept in the data directory, readable by its owner alone.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use ringback_core::secret::Secret;
use ringback_store::MasterKey;

/// The file that `dev` keeps its admin key in; the command line finds it there.
pub(crate) const ADMIN_KEY_FILE: &str = "admin-key";

/// The master key of this data directory, made now if there is none yet.
///
/// It is on the disk before anything is sealed with it: otherwise a crash could leave secrets that nobody can read.
///
/// # Errors
/// If it can't be read or written, or is no key.
pub(crate) fn master_key(data_dir: &Path) -> anyhow::Result<MasterKey> {
    let path = data_dir.join("master-key");
    if ringback_sqlite::exists(data_dir) && !path.exists() {
        bail!(
            "master_key: {} is missing, and the database beside it was written with the key in it; put it back, or \
             give the key by RINGBACK_MASTER_KEY",
            path.display()
        );
    }
    let text = read_or_make(&path, || {
        let mut random = [0; 32];
        getrandom::fill(&mut random).context("no random bytes to be had")?;
        Ok(MasterKey::from_random(random).to_base64())
    })?;
    let key = text.reveal().trim().parse();
    key.with_context(|| format!("{} holds no master key: 32 bytes in base64", path.display()))
}

/// The key that seals the secrets of an export, made now if there is none in this file yet.
///
/// # Errors
/// If it can't be read or written, or is no key.
pub(crate) fn transfer_key(path: &Path) -> anyhow::Result<MasterKey> {
    let text = read_or_make(path, || {
        let mut random = [0; 32];
        getrandom::fill(&mut random).context("no random bytes to be had")?;
        Ok(MasterKey::from_random(random).to_base64())
    })?;
    parsed(path, &text)
}

/// The key that an export was made with.
///
/// # Errors
/// If it can't be read, or is no key.
pub(crate) fn transfer_key_of(path: &Path) -> anyhow::Result<MasterKey> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("key_file: {} can't be read", path.display()))?;
    parsed(path, &Secret::new(text))
}

fn parsed(path: &Path, text: &Secret) -> anyhow::Result<MasterKey> {
    let key = text.reveal().trim().parse();
    key.with_context(|| format!("key_file: {} holds no key: 32 bytes in base64", path.display()))
}

/// The admin key that `dev` prints, made now if there is none yet: the same at each start, so that pasted commands go
/// on working.
///
/// # Errors
/// If it can't be read or written.
pub(crate) fn admin_key(data_dir: &Path) -> anyhow::Result<Secret> {
    let text = read_or_make(&data_dir.join(ADMIN_KEY_FILE), || {
        let mut random = [0; 20];
        getrandom::fill(&mut random).context("no random bytes to be had")?;
        let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Secret::new(format!("rbk_{hex}")))
    })?;
    Ok(Secret::new(text.reveal().trim()))
}

fn read_or_make(
    path: &Path,
    make: impl FnOnce() -> anyhow::Result<Secret>,
) -> anyhow::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(Secret::new(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("{} can't be read", path.display()));
        }
    }
    let secret = make()?;
    write(path, &secret).with_context(|| format!("{} can't be written", path.display()))?;
    // Not what was made here, but what is there now.
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("{} can't be read", path.display()))?;
    Ok(Secret::new(text))
}

/// Whole or not at all: under another name first, on the disk, then under its own, unless another process was quicker.
fn write(path: &Path, secret: &Secret) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    let directory = directory.unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let unfinished = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{}", secret.reveal())?;
    file.sync_all()?;
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => File::open(directory)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_stay_the_same_and_are_for_their_owner_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = admin_key(directory.path()).expect("made");
        assert_eq!(first, admin_key(directory.path()).expect("read"));
        let master = master_key(directory.path()).expect("made").to_base64();
        assert_eq!(master, master_key(directory.path()).expect("read").to_base64());
        for file in [ADMIN_KEY_FILE, "master-key"] {
            let mode =
                fs::metadata(directory.path().join(file)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn file_that_holds_no_master_key_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("master-key"), "nonsense").expect("written");
        let error = format!("{:#}", master_key(directory.path()).expect_err("refused"));
        assert!(error.contains("master-key"), "{error}");
    }
}
