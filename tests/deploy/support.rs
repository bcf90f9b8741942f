//! Files of the repository, and programs that read them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the root")
}

/// What a file of the repository says.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A copy of a file of the repository with this put in the place of that.
pub(crate) fn changed(path: &str, from: &str, to: &str, directory: &Path) -> PathBuf {
    let text = read(path);
    assert!(text.contains(from), "{path} has no `{from}`");
    let copy = directory.join(Path::new(path).file_name().expect("a file"));
    fs::write(&copy, text.replacen(from, to, 1)).expect("there is room");
    copy
}

/// All files below a directory of the repository whose names end so, in order.
pub(crate) fn files_below(directory: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root().join(directory)];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                left.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A command in the root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The interpreter of the tests' Python.
pub(crate) fn python() -> Command {
    command(ringback_testkit::python().expect("it is there"))
}

/// What a program did: whether it succeeded, and what it printed to either side.
pub(crate) fn run(command: &mut Command) -> (bool, String) {
    let output = output(command);
    let [said, complained] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.success(), said + &complained)
}

/// The JSON that a program prints.
pub(crate) fn json(command: &mut Command) -> Value {
    let output = output(command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()))
}

/// A string in JSON.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}"))
}

/// The items of an array, none if there is no array.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
