//! What a build is sent: all files but those that `.dockerignore` names.
//!
//! # Source
//! <https://docs.docker.com/build/concepts/context/#dockerignore-files>

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The lines of a `.dockerignore`.
pub(super) struct Ignored {
    rules: Vec<Rule>,
}

struct Rule {
    parts: Vec<String>,
    /// A line with `!` takes back what those before it said.
    ignores: bool,
}

impl Ignored {
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(root.join(".dockerignore")).context(".dockerignore")?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let rules = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
            let (ignores, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (false, pattern),
                None => (true, line),
            };
            let parts = pattern.split('/').filter(|part| !part.is_empty()).map(str::to_owned);
            Rule { parts: parts.collect(), ignores }
        });
        Self { rules: rules.collect() }
    }

    /// Files that are sent, relative to `root`, in order.
    pub(super) fn files_left(&self, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut left = Vec::new();
        self.collect(root, Path::new(""), &mut left)?;
        left.sort();
        Ok(left)
    }

    fn collect(&self, root: &Path, below: &Path, left: &mut Vec<PathBuf>) -> anyhow::Result<()> {
        let directory = root.join(below);
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                if !self.ignores(&path) || self.may_take_back_below(&path) {
                    self.collect(root, &path, left)?;
                }
            } else if !self.ignores(&path) {
                left.push(path);
            }
        }
        Ok(())
    }

    /// The last line that speaks of it, or of a directory that it is in, counts.
    fn ignores(&self, path: &Path) -> bool {
        let parts: Vec<String> = parts(path);
        let speaks = |rule: &&Rule| (1..=parts.len()).any(|end| fits(&rule.parts, &parts[..end]));
        self.rules.iter().rfind(speaks).is_some_and(|rule| rule.ignores)
    }

    fn may_take_back_below(&self, directory: &Path) -> bool {
        let parts = parts(directory);
        let taken_back = self.rules.iter().filter(|rule| !rule.ignores);
        taken_back.into_iter().any(|rule| {
            let shared = parts.len().min(rule.parts.len());
            rule.parts.contains(&"**".to_owned()) || fits(&rule.parts[..shared], &parts[..shared])
        })
    }
}

fn parts(path: &Path) -> Vec<String> {
    path.iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

/// Whether a pattern, part by part, is that of a path; `**` is any number of parts.
fn fits(pattern: &[String], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            fits(rest, path) || path.split_first().is_some_and(|(_, path)| fits(pattern, path))
        }
        (Some((first, pattern)), Some((part, path))) => {
            part_fits(first.as_bytes(), part.as_bytes()) && fits(pattern, path)
        }
        _ => false,
    }
}

/// `*` is any number of characters, `?` is one.
fn part_fits(pattern: &[u8], part: &[u8]) -> bool {
    match (pattern.split_first(), part.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            part_fits(rest, part)
                || part.split_first().is_some_and(|(_, part)| part_fits(pattern, part))
        }
        (Some((b'?', pattern)), Some((_, part))) => part_fits(pattern, part),
        (Some((wanted, pattern)), Some((found, part))) => {
            wanted == found && part_fits(pattern, part)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_line_that_speaks_of_a_file_counts() {
        let ignored = Ignored::parse("# why\n*\n!crates\n**/*.key\n!tests/lib.rs\n");
        let is_sent = |path: &str| !ignored.ignores(Path::new(path));
        assert!(is_sent("crates/core/src/lib.rs") && is_sent("tests/lib.rs"));
        assert!(!is_sent(".env") && !is_sent("docs/api.md") && !is_sent("crates/a/b.key"));
        assert!(ignored.may_take_back_below(Path::new("tests")));
        assert!(!ignored.may_take_back_below(Path::new("target")));
    }
}
