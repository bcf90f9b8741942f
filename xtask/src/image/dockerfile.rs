//! A Dockerfile, as far as it has to be understood: stages, and their instructions in one line each.
//!
//! # Source
//! <https://docs.docker.com/reference/dockerfile/>

use std::path::Path;

use anyhow::{Context as _, ensure};

/// A Dockerfile.
pub(super) struct Dockerfile {
    /// Those before the first stage, `NAME=default` each.
    pub(super) arguments: Vec<String>,
    pub(super) stages: Vec<Stage>,
}

/// From one `FROM` to the next.
pub(super) struct Stage {
    pub(super) name: Option<String>,
    pub(super) instructions: Vec<Instruction>,
}

/// An instruction.
pub(super) struct Instruction {
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    /// In capitals.
    pub(super) name: String,
    /// All that follows, in one line.
    pub(super) words: String,
}

impl Dockerfile {
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut dockerfile = Self { arguments: vec![], stages: vec![] };
        for instruction in instructions(text) {
            if instruction.name == "FROM" {
                dockerfile.stages.push(Stage::begin(&instruction)?);
            } else if let Some(stage) = dockerfile.stages.last_mut() {
                stage.instructions.push(instruction);
            } else {
                let line = instruction.line;
                ensure!(instruction.name == "ARG", "line {line}: {} before FROM", instruction.name);
                dockerfile.arguments.push(instruction.words);
            }
        }
        Ok(dockerfile)
    }

    pub(super) fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name.as_deref() == Some(name))
    }
}

impl Stage {
    fn begin(from: &Instruction) -> anyhow::Result<Self> {
        let words: Vec<&str> = from.words_after_flags().split_whitespace().collect();
        let image = words.first().with_context(|| format!("line {}: FROM what?", from.line))?;
        let is_fixed = *image == "scratch"
            || image.rsplit_once(':').is_some_and(|(_, tag)| !tag.is_empty() && tag != "latest");
        ensure!(is_fixed, "line {}: `{image}` is another one every day: give it a tag", from.line);
        let name = words.get(2).map(|name| (*name).to_owned());
        Ok(Self { name, instructions: vec![] })
    }
}

impl Instruction {
    /// The value of `--name=value`.
    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        let flags = self.words.split_whitespace().take_while(|word| word.starts_with("--"));
        let mut flags = flags.filter_map(|flag| flag.trim_start_matches("--").split_once('='));
        flags.find(|(flag, _)| *flag == name).map(|(_, value)| value)
    }

    /// All but the flags at the beginning.
    pub(super) fn words_after_flags(&self) -> &str {
        let mut rest = self.words.trim_start();
        while rest.starts_with("--") {
            rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
        }
        rest
    }
}

/// Lines that end with a backslash go on in the next one; comments and empty lines are left out, in between too.
fn instructions(text: &str) -> Vec<Instruction> {
    let mut found: Vec<Instruction> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (content, more) = match line.strip_suffix('\\') {
            Some(content) => (content.trim_end(), true),
            None => (line, false),
        };
        match found.last_mut().filter(|_| goes_on) {
            Some(instruction) => {
                instruction.words.push(' ');
                instruction.words.push_str(content);
            }
            None => {
                let (name, words) =
                    content.split_once(char::is_whitespace).unwrap_or((content, ""));
                found.push(Instruction {
                    line: index + 1,
                    name: name.to_ascii_uppercase(),
                    words: words.trim_start().to_owned(),
                });
            }
        }
        goes_on = more;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_put_together_from_their_lines() {
        let text = "# syntax\nARG A=1\nFROM x:1 AS build\nRUN --mount=type=cache,target=/c \\\n  # why\n  a \\\n  && b\n\
                    FROM scratch\nCOPY --from=build /a /\n";
        let dockerfile = Dockerfile::parse(text).expect("it can be read");
        assert_eq!(dockerfile.arguments, ["A=1"]);
        let run = &dockerfile.stage("build").expect("named").instructions[0];
        assert_eq!((run.line, run.words_after_flags()), (4, "a && b"));
        assert_eq!(run.flag("mount"), Some("type=cache,target=/c"));
        let copy = &dockerfile.stages[1].instructions[0];
        assert_eq!((copy.flag("from"), copy.words_after_flags()), (Some("build"), "/a /"));
    }

    #[test]
    fn image_without_a_version_is_refused() {
        for image in ["debian", "debian:latest", "debian:"] {
            assert!(Dockerfile::parse(&format!("FROM {image}\n")).is_err(), "{image}");
        }
        assert!(Dockerfile::parse("RUN true\n").is_err());
    }
}
