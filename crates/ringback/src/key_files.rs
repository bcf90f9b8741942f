//! Keys that are made at the first start and kept in the data directory, readable by its owner alone.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
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
    let text = read_or_make(&path, || {
        let mut random = [0; 32];
        getrandom::fill(&mut random).context("no random bytes to be had")?;
        Ok(MasterKey::from_random(random).to_base64())
    })?;
    let key = text.reveal().trim().parse();
    key.with_context(|| format!("{} holds no master key: 32 bytes in base64", path.display()))
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
    Ok(secret)
}

/// Whole or not at all: under another name first, on the disk, then renamed.
fn write(path: &Path, secret: &Secret) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let unfinished = path.with_extension("new");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{}", secret.reveal())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()
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
