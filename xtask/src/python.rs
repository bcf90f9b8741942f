//! Python for tests: an environment with what `tests/python/requirements.txt` lists.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::run::{program, root, show_and_run};

/// Tests that run a Python program are told by this variable which interpreter to use.
pub(crate) const VARIABLE: &str = "RINGBACK_TEST_PYTHON";

const REQUIREMENTS: &str = "tests/python/requirements.txt";
/// What an environment was made of stands in this file of it, written last: without it, it is not whole.
const MADE_OF: &str = "made-of-these-requirements.txt";

/// The interpreter of the environment, which is made if it is not there or was made of other requirements.
///
/// # Errors
/// If it can't be made.
pub(crate) fn environment(target: &Path) -> anyhow::Result<PathBuf> {
    let environment = target.join("test-python");
    let interpreter = environment.join("bin/python");
    let wanted = fs::read_to_string(root().join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let made_of = fs::read_to_string(environment.join(MADE_OF)).unwrap_or_default();
    if made_of == wanted && interpreter.exists() {
        return Ok(interpreter);
    }
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    let name = environment.to_string_lossy();
    show_and_run(&mut program("python3", &["-m", "venv", &name]))?;
    let install = ["-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS];
    show_and_run(program(&interpreter.to_string_lossy(), &install).env("PIP_NO_INPUT", "1"))?;
    fs::write(environment.join(MADE_OF), wanted)?;
    Ok(interpreter)
}
