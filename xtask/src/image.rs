//! The container image: what its Dockerfile promises, and its steps on a machine without Docker.

mod context;
mod dockerfile;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use self::context::Ignored;
use self::dockerfile::{Dockerfile, Instruction, Stage};
use crate::run::{program, root, show_and_run};

/// The stage whose steps make the files of the image.
const BUILD: &str = "build";
/// Where all stages but the last work.
const WORKDIR: &str = "/build/";
/// What that stage leaves them in, in its working directory.
const IMAGE: &str = "image";

/// Runs the steps that make the image's files, in a directory that holds what the build would be sent and nothing else, and
/// then starts the binary with these files for its whole world.
///
/// Where `directory` is given it stays, and a second run finds what the first has built of dependencies: as with their layer.
///
/// # Errors
/// If a step fails, or the binary does not start.
pub(crate) fn run_steps(profile: &str, directory: Option<PathBuf>) -> anyhow::Result<()> {
    ensure!(
        check(root())?.is_empty(),
        "`cargo xtask check` has something to say of the Dockerfile"
    );
    let dockerfile = Dockerfile::read(&root().join("Dockerfile"))?;
    let (_, stages) = dockerfile.stages.split_last().context("the Dockerfile has a stage")?;
    let temporary = tempfile::tempdir()?;
    let directory = directory.unwrap_or_else(|| temporary.path().to_owned());
    fs::create_dir_all(&directory)?;
    let directory = directory.canonicalize()?;
    for stage in stages {
        run_stage(stage, profile, &directory)?;
    }
    let image = directory.join(BUILD).join(IMAGE);
    start_alone(&image)?;
    let image = image.to_string_lossy();
    show_and_run(&mut program("du", &["--summarize", "--human-readable", &image]))
}

/// Runs the steps of a stage, in a directory of its name.
fn run_stage(stage: &Stage, profile: &str, stages_in: &Path) -> anyhow::Result<()> {
    let directory = stages_in.join(stage.name.as_deref().context("a stage without a name")?);
    fs::create_dir_all(&directory)?;
    for instruction in &stage.instructions {
        match instruction.name.as_str() {
            "WORKDIR" | "ARG" => {}
            "COPY" => match instruction.flag("from") {
                Some(other) => copy_from(instruction, &stages_in.join(other), &directory)?,
                None => copy(instruction, &directory)?,
            },
            "RUN" => {
                let mut shell = program("sh", &["-euc", instruction.words_after_flags()]);
                let shell = shell.current_dir(&directory).env("PROFILE", profile);
                // Built there, as in the image, whatever the environment says.
                show_and_run(shell.env("CARGO_TARGET_DIR", directory.join("target")))?;
            }
            other => bail!("line {}: there is no way here to do {other}", instruction.line),
        }
    }
    Ok(())
}

/// Starts the binary with the image's files for its whole world: the libraries are there, and a name is looked up, which is
/// the last thing that a library could be missing for.
fn start_alone(image: &Path) -> anyhow::Result<()> {
    let hosts = image.join("etc/hosts");
    // Whoever runs a container makes this file in it.
    fs::write(&hosts, "127.0.0.1 a-name-of-this-image\n")?;
    let image = image.to_string_lossy();
    // A world of its own needs no right that a user has not: in a name space he is root.
    let ringback = ["--user", "--map-root-user", "chroot", &image, "/usr/bin/ringback"];
    show_and_run(program("unshare", &ringback).arg("--version"))?;
    let health = ["health", "--url", "http://a-name-of-this-image:1"];
    let asked = program("unshare", &ringback).args(health).output()?;
    fs::remove_file(&hosts)?;
    let said = String::from_utf8_lossy(&asked.stderr);
    // The name leads to this machine, where nobody listens.
    ensure!(said.contains("refused"), "the image can't look names up: {said}");
    Ok(())
}

fn copy(instruction: &Instruction, directory: &Path) -> anyhow::Result<()> {
    ensure!(
        instruction.words == ". .",
        "line {}: only `COPY . .` can be done here, and not `{}`",
        instruction.line,
        instruction.words
    );
    let ignored = Ignored::read(root())?;
    for file in ignored.files_left(root())? {
        let to = directory.join(&file);
        fs::create_dir_all(to.parent().expect("a file in a directory"))?;
        fs::copy(root().join(&file), to).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// From the directory of another stage, all that is in a directory there.
fn copy_from(instruction: &Instruction, stage: &Path, directory: &Path) -> anyhow::Result<()> {
    let words = instruction.words_after_flags();
    let from = words.strip_prefix(WORKDIR).and_then(|words| words.strip_suffix("/ ."));
    let from = from.with_context(|| {
        format!("line {}: only a directory below {WORKDIR} can be copied here", instruction.line)
    })?;
    let all = stage.join(from).join(".");
    let [all, to] = [all.to_string_lossy(), directory.to_string_lossy()];
    show_and_run(&mut program("cp", &["--recursive", &all, &to]))
}

/// What is wrong with the Dockerfile in this directory, and with what a build would be sent.
///
/// # Errors
/// If a file can't be read.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let dockerfile = Dockerfile::read(&root.join("Dockerfile"))?;
    let sent = Ignored::read(root)?.files_left(root)?;
    let mut faults = faults_of_sources(&dockerfile, &sent, root);
    faults.extend(faults_of_layers(&dockerfile));
    faults.extend(faults_of_secrets(&sent));
    faults.extend(faults_of_version(&dockerfile, root)?);
    match dockerfile.stages.last() {
        Some(last) => faults.extend(faults_of_image(last)),
        None => faults.push("there is no stage".to_owned()),
    }
    Ok(faults.into_iter().map(|fault| format!("Dockerfile: {fault}")).collect())
}

/// What is copied or run has to be there, and sent.
fn faults_of_sources(dockerfile: &Dockerfile, sent: &[PathBuf], root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let is_sent = |path: &str| {
        let path = path.trim_start_matches("./").trim_end_matches('/');
        path == "." || sent.iter().any(|file| file.starts_with(path))
    };
    for instruction in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
        let line = instruction.line;
        let words: Vec<&str> = instruction.words_after_flags().split_whitespace().collect();
        match instruction.name.as_str() {
            "COPY" if instruction.flag("from").is_none() => {
                let sources = words.split_last().map(|(_, sources)| sources).unwrap_or_default();
                let missing = sources.iter().filter(|source| !is_sent(source));
                faults.extend(missing.map(|source| format!("line {line}: no `{source}` is sent")));
            }
            "RUN" => {
                let ours =
                    words.iter().filter(|word| word.contains('/') && root.join(word).exists());
                let missing = ours.filter(|word| !is_sent(word));
                faults.extend(missing.map(|word| format!("line {line}: no `{word}` is sent")));
            }
            _ => {}
        }
    }
    // Cargo reads all of them, whatever it builds.
    for manifest in manifests(root) {
        if !sent.contains(&manifest) {
            faults.push(format!("`{}` is not sent", manifest.display()));
        }
    }
    faults
}

fn manifests(root: &Path) -> Vec<PathBuf> {
    let crates = fs::read_dir(root.join("crates")).into_iter().flatten().flatten();
    let crates = crates.map(|entry| Path::new("crates").join(entry.file_name()));
    let members = crates.chain(["tests".into(), "xtask".into(), PathBuf::new()]);
    members
        .map(|member| member.join("Cargo.toml"))
        .filter(|file| root.join(file).exists())
        .collect()
}

/// Dependencies have a layer of their own, before that of our sources, which are others in each build.
fn faults_of_layers(dockerfile: &Dockerfile) -> Vec<String> {
    let Some(stage) = dockerfile.stage(BUILD) else { return vec![format!("no stage `{BUILD}`")] };
    let is_sources = |instruction: &&Instruction| {
        instruction.name == "COPY" && instruction.flag("from").is_none()
    };
    let before = stage.instructions.iter().take_while(|instruction| !is_sources(instruction));
    let mut builds = before.filter(|instruction| {
        instruction.name == "RUN"
            && instruction.words_after_flags().contains("cargo build")
            && instruction.flag("mount").is_none()
    });
    match builds.next() {
        Some(_) => vec![],
        None => vec!["no layer of dependencies before the sources".to_owned()],
    }
}

/// What is sent ends up in a layer of the build, which is pushed to caches.
fn faults_of_secrets(sent: &[PathBuf]) -> Vec<String> {
    let is_private = |file: &&PathBuf| {
        let mut parts = file.iter().filter_map(|part| part.to_str());
        parts.any(|part| {
            [".git", "target", "ringback-data"].contains(&part)
                || part.starts_with(".env")
                || Path::new(part).extension().is_some_and(|extension| extension == "key")
        })
    };
    let found = sent.iter().filter(is_private);
    found
        .map(|file| format!("`{}` would be sent: name it in .dockerignore", file.display()))
        .collect()
}

/// One version of Rust for developers and for the image.
fn faults_of_version(dockerfile: &Dockerfile, root: &Path) -> anyhow::Result<Vec<String>> {
    let text =
        fs::read_to_string(root.join("rust-toolchain.toml")).context("rust-toolchain.toml")?;
    let table: toml::Table = text.parse().context("rust-toolchain.toml")?;
    let channel = table.get("toolchain").and_then(|toolchain| toolchain.get("channel"));
    let channel =
        channel.and_then(toml::Value::as_str).context("rust-toolchain.toml: a channel")?;
    let asked = format!("RUST={channel}");
    let same = dockerfile.arguments.contains(&asked);
    Ok(if same { vec![] } else { vec![format!("no `ARG {asked}`, as rust-toolchain.toml has it")] })
}

/// What whoever runs the image counts on.
fn faults_of_image(stage: &Stage) -> Vec<String> {
    let mut faults = Vec::new();
    let words = |name: &str| {
        let found = stage.instructions.iter().rfind(|instruction| instruction.name == name);
        found.map(Instruction::words_after_flags)
    };
    let is_a_number = |id: &str| id.parse::<u32>().is_ok_and(|id| id > 0);
    if !words("USER").is_some_and(|user| user.split(':').all(is_a_number)) {
        faults.push("USER is to be a number other than 0".to_owned());
    }
    if words("STOPSIGNAL") != Some("SIGTERM") {
        faults.push("STOPSIGNAL is to be SIGTERM".to_owned());
    }
    for name in ["ENTRYPOINT", "HEALTHCHECK"] {
        let is_a_list =
            |words: &str| words.trim_start_matches("CMD ").trim_start().starts_with('[');
        if !words(name).is_some_and(is_a_list) {
            faults.push(format!("{name} is to be a list: there is no shell"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A copy of what the checks read, changed.
    fn faults_with(file: &str, change: impl Fn(&str) -> String) -> Vec<String> {
        let copy = tempfile::tempdir().expect("a directory");
        let mut needed = manifests(root());
        needed.extend(["Dockerfile", ".dockerignore", "rust-toolchain.toml"].map(PathBuf::from));
        needed.extend(["assemble", "stubs"].map(|file| Path::new("deploy/docker").join(file)));
        needed.push("Cargo.lock".into());
        for path in &needed {
            let to = copy.path().join(path);
            fs::create_dir_all(to.parent().expect("in a directory")).expect("made");
            let text = fs::read_to_string(root().join(path)).expect("it is there");
            let text = if path == Path::new(file) { change(&text) } else { text };
            fs::write(to, text).expect("written");
        }
        fs::write(copy.path().join(".env"), "SECRET=1\n").expect("written");
        check(copy.path()).expect("it can be read")
    }

    #[test]
    fn dockerfile_is_as_whoever_runs_the_image_counts_on() {
        assert_eq!(check(root()).expect("it can be read"), [""; 0]);
        assert_eq!(faults_with("", str::to_owned), [""; 0]);
    }

    #[test]
    fn each_slip_is_found() {
        let found = |file: &str, from: &str, to: &str, what: &str| {
            let faults = faults_with(file, |text| {
                assert!(text.contains(from), "{file} has no `{from}`");
                text.replace(from, to)
            });
            assert!(faults.iter().any(|fault| fault.contains(what)), "{from}: {faults:?}");
        };
        found("Dockerfile", "COPY . .", "COPY sources .", "no `sources` is sent");
        found("Dockerfile", "USER 65532:65532", "USER ringback", "USER");
        found("Dockerfile", "USER 65532:65532", "USER 0", "USER");
        found("Dockerfile", "STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", "STOPSIGNAL");
        found(
            "Dockerfile",
            "[\"/usr/bin/ringback\", \"health\"]",
            "ringback health",
            "HEALTHCHECK",
        );
        found("Dockerfile", "ARG RUST=", "ARG RUST=0.", "no `ARG RUST=");
        let layer = "RUN cargo build";
        found("Dockerfile", layer, "RUN true", "no layer of dependencies");
        let mounted = "RUN --mount=type=cache,target=/build/target cargo build";
        found("Dockerfile", layer, mounted, "no layer of dependencies");
        found("Dockerfile", "COPY --from=manifests /build/stubs/ .", "COPY . .", "no layer");
        found(
            ".dockerignore",
            "!deploy/docker/assemble",
            "",
            "no `deploy/docker/assemble` is sent",
        );
        found(".dockerignore", "!xtask/Cargo.toml", "", "`xtask/Cargo.toml` is not sent");
        found(".dockerignore", "*\n!Cargo.toml", "target\n!Cargo.toml", "`.env` would be sent");
    }
}
