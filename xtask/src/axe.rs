//! axe-core for tests: what finds faults of pages in the browser, as `tests/browser/package-lock.json` has it.
//!
//! By npm, though one file is all that is wanted: it knows which registry a machine is to use and how to get there (a
//! mirror in house, a proxy, a token), and holds what comes to the checksum of the lock file. To fetch the archive
//! ourselves would need a registry's address in here, and all of that once more.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::run::{program, root, show_and_run};

/// Tests that open pages are told by this variable which file to load into them.
pub(crate) const VARIABLE: &str = "RINGBACK_TEST_AXE";

const DIRECTORY: &str = "tests/browser";
const PACKAGE: &str = "package.json";
const LOCK: &str = "package-lock.json";
/// What was installed stands in this file, written last: without it, it is not whole.
const MADE_OF: &str = "made-of-this-lock.json";

/// The file, which is fetched if it is not there or another version was asked for.
///
/// # Errors
/// If it can't be had, or is not what was asked for.
pub(crate) fn script(target: &Path) -> anyhow::Result<PathBuf> {
    let place = target.join("test-browser");
    let script = place.join("node_modules/axe-core/axe.min.js");
    let ours = root().join(DIRECTORY);
    let wanted = fs::read_to_string(ours.join(LOCK)).context(LOCK)?;
    let made_of = fs::read_to_string(place.join(MADE_OF)).unwrap_or_default();
    if made_of == wanted && script.exists() {
        return Ok(script);
    }
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    for file in [PACKAGE, LOCK] {
        fs::copy(ours.join(file), place.join(file)).context(file)?;
    }
    // Nothing that comes is run here.
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"];
    show_and_run(program("npm", &install).current_dir(&place))?;
    ensure!(script.is_file(), "npm has installed no {}", script.display());
    fs::write(place.join(MADE_OF), wanted)?;
    Ok(script)
}
