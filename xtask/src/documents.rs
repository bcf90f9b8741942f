//! What documents promise: links that lead somewhere, commands that exist; and files of a length that one can read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::run::root;

/// The two commands that README gives, each doing all its own set-up.
const README_COMMANDS: [&str; 2] = ["cargo run --release -- dev", "cargo xtask test"];
const SOURCE_LINES_MAX: usize = 800;
const ARCHITECTURE_LINES_MAX: usize = 300;
/// Written by tools, or by nobody.
const NOT_OURS: [&str; 4] = [".git", "target", "ringback-data", "node_modules"];

/// Checks all documents and sources of the repository.
///
/// # Errors
/// Names each that is at fault.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for file in files(root())? {
        let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        let faults_of_file = match file.extension().and_then(|extension| extension.to_str()) {
            Some("md") => faults_of_document(&file, &fs::read_to_string(&file)?),
            Some("rs") => faults_of_source(&fs::read_to_string(&file)?),
            _ => Vec::new(),
        };
        faults.extend(faults_of_file.into_iter().map(|fault| format!("{shown}: {fault}")));
    }
    faults.extend(faults_of_front_page()?);
    ensure!(faults.is_empty(), "documents:\n  {}", faults.join("\n  "));
    Ok(())
}

fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        if NOT_OURS.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn faults_of_document(file: &Path, text: &str) -> Vec<String> {
    let directory = file.parent().unwrap_or(file);
    let broken = relative_links(text).into_iter().filter(|link| !directory.join(link).exists());
    broken.map(|link| format!("the link to `{link}` leads nowhere")).collect()
}

/// The targets of links that are files of this repository, without their fragments.
fn relative_links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for (start, _) in line.match_indices("](") {
            let rest = &line[start + 2..];
            let target = rest.split([')', ' ']).next().unwrap_or(rest);
            let path = target.split('#').next().unwrap_or(target);
            if !path.is_empty() && !path.contains(':') {
                links.push(path);
            }
        }
    }
    links
}

fn faults_of_source(text: &str) -> Vec<String> {
    // Put together here, so that this file is not its own first finding.
    let unfinished = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    let lines = text.lines().count();
    let long = (lines > SOURCE_LINES_MAX)
        .then(|| format!("{lines} lines, where {SOURCE_LINES_MAX} is the most"));
    let marks = unfinished
        .into_iter()
        .filter(|mark| text.contains(mark))
        .map(|mark| format!("`{mark}` left behind"));
    long.into_iter().chain(marks).collect()
}

fn faults_of_front_page() -> anyhow::Result<Vec<String>> {
    let read = |name: &str| fs::read_to_string(root().join(name)).with_context(|| name.to_owned());
    let readme = read("README.md")?;
    let missing = README_COMMANDS.iter().filter(|command| !readme.contains(*command));
    let mut faults: Vec<_> =
        missing.map(|command| format!("README.md: does not say `{command}`")).collect();
    let lines = read("ARCHITECTURE.md")?.lines().count();
    if lines > ARCHITECTURE_LINES_MAX {
        faults.push(format!(
            "ARCHITECTURE.md: {lines} lines, where {ARCHITECTURE_LINES_MAX} is the most"
        ));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_into_the_repository_are_found_and_others_left_alone() {
        let text = "[a](docs/a.md#b) and [c](https://example.com) [d](#e)\n```\n[f](g)\n```\n![h](i.png \"j\")";
        assert_eq!(relative_links(text), ["docs/a.md", "i.png"]);
    }

    #[test]
    fn link_that_leads_nowhere_is_a_fault() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("there.md"), "").expect("written");
        let faults =
            faults_of_document(&directory.path().join("here.md"), "[a](there.md) [b](gone.md)");
        assert_eq!(faults, ["the link to `gone.md` leads nowhere"]);
    }

    #[test]
    fn long_and_unfinished_sources_are_faults() {
        assert_eq!(faults_of_source("fn a() {}\n"), [""; 0]);
        assert_eq!(faults_of_source(&"\n".repeat(SOURCE_LINES_MAX + 1)).len(), 1);
        assert_eq!(faults_of_source(concat!("// TO", "DO")).len(), 1);
    }
}
